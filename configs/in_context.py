"""To learn from the examples of a row: linear functions and automata.

Paper: Garg et al. 2022, https://arxiv.org/abs/2208.01066, and von Oswald et al.
2023, https://arxiv.org/abs/2212.07677, for functions; Akyurek et al. 2024,
https://arxiv.org/abs/2401.12973, for automata.
Command: python launch.py --config=configs/in_context.py:regression-delta_net
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

REGRESSION = {'length': 32, 'width': 8, 'noise': 0.1}
SMALL = {'length': 8, 'width': 2}
LONGER = {'length_64': {'length': 64}}
# {task: (class, fields, fields of the quick version, evaluation sets)}
TASKS: dict[str, tuple[str, dict, dict, dict]] = {
  'regression': ('regression.Regression', REGRESSION, SMALL, LONGER),
  'drift': (
    'regression.Regression',
    REGRESSION | {'drift': 0.05},
    SMALL,
    LONGER,
  ),
  'automata': (
    'automata.Automata',
    {'length': 256, 'symbols': 18, 'states': 12},
    {'length': 16, 'symbols': 4, 'shortest': 2, 'longest': 4},
    {'more_states': {'fewest_states': 13, 'states': 24}},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'regression-delta_net') -> ConfigDict:
  """A task and a model, `automata-gru`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, fields, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path} | fields)
  config.model = model(name, width=128, depth=2, window=256)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.01, warmup_steps=100)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/loss')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    sets = {}
  for label, changes in {'held_out': {}, **sets}.items():
    rows = {'every': 1000, 'batch_size': 200, 'steps': 5}
    config.evals[label] = ConfigDict(rows | {'task': changes})
  return (quick(config) if size == 'quick' else config).lock()
