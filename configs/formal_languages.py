"""Parity and modular arithmetic, trained at lengths 3-40, tested at 40-256.

Paper: Beck et al. 2024, xLSTM, https://arxiv.org/abs/2405.04517; Grazzi et al.
2024, https://arxiv.org/abs/2411.12537: scaled accuracy at lengths 40-256, best
of three seeds. DeltaNet with eigenvalues in (0, 1) / (-1, 1): parity .017 /
1.0, modular arithmetic .314 / .971, with brackets .194 / .260.
Command: python launch.py --config=configs/formal_languages.py:parity-delta_net
  with eigenvalues in (-1, 1): --config.model.layer.negative=True
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

TASKS = {
  'parity': 'parity.Parity',
  'modular_arithmetic': 'modular_arithmetic.ModularArithmetic',
  'brackets': 'modular_arithmetic_brackets.ModularArithmeticBrackets',
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'parity-delta_net') -> ConfigDict:
  """A task and a model, `parity-slstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  config = base()
  config.task = ConfigDict({'name': TASKS[task], 'shortest': 3, 'longest': 40})
  config.model = model(name, width=128, depth=2, window=256)
  config.train.update(steps=20_000, batch_size=256, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1, warmup_steps=1000)
  config.log.every = 200
  rows = {'every': 1000, 'batch_size': 256, 'steps': 8}
  longer = {'shortest': 40, 'longest': 256}
  if size == 'quick':
    config.task.update(shortest=1, longest=6)
    config.model = model(name, width=16, depth=1, window=16)
    longer = {'shortest': 7, 'longest': 9}
  for label, changes in (('held_out', {}), ('longer', longer)):
    config.evals[label] = ConfigDict(rows | {'task': changes})
  best = 'longer/scaled_accuracy'
  config.checkpoint.update(every=1000, best=best, best_is='max')
  return (quick(config) if size == 'quick' else config).lock()
