"""The five tasks of the NTM paper, each with any of the memories.

Paper: Graves et al. 2014, Neural Turing Machines, section 4,
https://arxiv.org/abs/1410.5401: a memory of 128 slots, controllers of 100
units, RMSProp at 1e-4 with momentum 0.9 as in Graves 2013.
Command: python launch.py --config=configs/ntm_tasks.py:copy-ntm
Result: copy with Adam at 0.003: experiments/ntm/README.md; else not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant


def _fixed(name: str, sizes: tuple[int, ...], low: str, high: str) -> dict:
  """Evaluation sets of rows of one size."""
  return {f'{name}_{n}': {low: n, high: n} for n in sizes}


# {task: (class, fields of the quick version, evaluation sets)}
TASKS = {
  'copy': (
    'bit_copy.BitCopy',
    {'longest': 3},
    _fixed('length', (20, 40, 80, 120), 'shortest', 'longest'),
  ),
  'repeat_copy': (
    'repeat_copy.RepeatCopy',
    {'longest': 3, 'most': 2},
    {'held_out': {}}
    | _fixed('length', (10, 20), 'shortest', 'longest')
    | _fixed('repeats', (10, 20), 'fewest', 'most'),
  ),
  'associative_recall': (
    'associative_recall.AssociativeRecall',
    {'most': 3},
    _fixed('items', (6, 8, 10, 12), 'fewest', 'most'),
  ),
  'priority_sort': (
    'priority_sort.PrioritySort',
    {'vectors': 4, 'outputs': 3},
    {'held_out': {}},
  ),
  'dynamic_ngrams': (
    'dynamic_ngrams.DynamicNGrams',
    {'sequence': 12},
    {'held_out': {}},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'copy-ntm') -> ConfigDict:
  """A task and a model, `copy-ntm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path})
  config.model = model(name, width=100, depth=1, window=128)
  config.train.update(steps=50_000, batch_size=16, steps_per_call=50)
  config.optim.update(
    name='rmsprop', learning_rate=1e-4, schedule='constant', clip_norm=10.0
  )
  config.optim.options = ConfigDict(
    {'decay': 0.95, 'eps': 1e-4, 'centered': True, 'momentum': 0.9}
  )
  config.log.every = 500
  for label, fields in sets.items():
    rows = {'every': 2500, 'batch_size': 100, 'steps': 10}
    config.evals[label] = ConfigDict(rows | {'task': fields})
  best = next(iter(sets))
  config.checkpoint.update(every=2500, best=f'{best}/loss')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=8)
    quick(config)
  return config.lock()
