"""Working-memory tasks of psychology, each with any of the memories.

Paper: see n_back.py, delayed_xor.py and sequence_recall.py in memjax/tasks.
Command: python launch.py --config=configs/working_memory.py:n_back-gru
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

# {task: (class, fields of the quick version, evaluation sets)}
TASKS: dict[str, tuple[str, dict, dict]] = {
  'n_back': (
    'n_back.NBack',
    {'length': 12},
    {'held_out': {}, 'longer': {'length': 200}},
  ),
  'delayed_xor': (
    'delayed_xor.DelayedXOR',
    {'longest': 4},
    {'held_out': {}, 'longer': {'shortest': 40, 'longest': 40}},
  ),
  'sequence_recall': (
    'sequence_recall.SequenceRecall',
    {'longest': 3, 'delay': 2},
    {
      'held_out': {},
      'forward': {'cues': 'forward'},
      'backward': {'cues': 'backward'},
      'longer': {'shortest': 12, 'longest': 12},
    },
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'n_back-gru') -> ConfigDict:
  """A task and a model, `n_back-gru`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path})
  config.model = model(name, width=128, depth=1, window=64)
  config.train.update(steps=10_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, schedule='cosine', warmup_steps=100)
  config.log.every = 100
  for label, fields in sets.items():
    rows = {'every': 500, 'batch_size': 200, 'steps': 5}
    config.evals[label] = ConfigDict(rows | {'task': fields})
  config.checkpoint.update(every=500, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
