"""Small recall tasks: induction heads, selective copy, kinds of keys, names.

Paper: Gu & Dao 2023, Mamba, https://arxiv.org/abs/2312.00752, section 4.1, for
the first two; the others are multi-query recall with keys written several
times, of two tokens or with vectors, and types of entities by their names.
Command: python launch.py --config=configs/recall.py:induction_heads-transformer
Result: mentions in experiments/breadth; the others were not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

# {task: (class, fields, fields of the quick version, evaluation sets)}
TASKS = {
  'induction_heads': (
    'induction_heads.InductionHeads',
    {'length': 256, 'vocab': 16},
    {'length': 16},
    {f'length_{n}': {'length': n} for n in (64, 512, 1024)},
  ),
  'selective_copy': (
    'selective_copy.SelectiveCopy',
    {'length': 256, 'vocab': 16, 'symbols': 16},
    {'length': 16, 'symbols': 4},
    {'length_512': {'length': 512}, 'symbols_32': {'symbols': 32}},
  ),
  'mqar_overwrite': (
    'mqar_overwrite.MQAROverwrite',
    {'length': 128, 'keys': 8, 'writes': 32, 'vocab': 8192},
    {'length': 16, 'keys': 2, 'writes': 4, 'vocab': 64},
    {
      'once': {'keys': 32},
      'twice': {'length': 256, 'keys': 16, 'writes': 64},
    },
  ),
  'mqar_compositional': (
    'mqar_compositional.MQARCompositional',
    {'length': 128, 'grid': 2, 'vocab': 8192},
    {'length': 24, 'vocab': 24},
    {'grid_3': {'grid': 3}},
  ),
  'mqar_continuous': (
    'mqar_continuous.MQARContinuous',
    {'pairs': 16},
    {'pairs': 2, 'vectors': 8, 'width': 8},
    {'pairs_64': {'pairs': 64}},
  ),
  'mentions': (
    'mentions.Mentions',
    {'length': 256, 'entities': 8},
    {'length': 16, 'entities': 2},
    {'length_1024': {'length': 1024}, 'entities_32': {'entities': 32}},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'induction_heads-transformer') -> ConfigDict:
  """A task and a model, `selective_copy-gru`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, fields, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path} | fields)
  config.model = model(name, width=64, depth=2, window=256)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    sets = {}
  for label, changes in {'held_out': {}, **sets}.items():
    rows = {'every': 1000, 'batch_size': 200, 'steps': 5}
    config.evals[label] = ConfigDict(rows | {'task': changes})
  return (quick(config) if size == 'quick' else config).lock()
