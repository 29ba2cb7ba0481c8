"""States to track: products in groups, a register of one bit, counters.

Paper: Merrill et al. 2024, https://arxiv.org/abs/2404.08819, and Siems et al.
2025, https://arxiv.org/abs/2502.10297, for groups: one layer, trained at 128
steps, tested up to 512; Liu et al. 2023, https://arxiv.org/abs/2306.00946, for
flip-flops; Weiss et al. 2018, https://arxiv.org/abs/1805.04908, for counters.
Command: python launch.py --config=configs/state_tracking.py:s3-delta_product
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

LONGER = {f'length_{n}': {'length': n} for n in (256, 512)}
SMALL = {'length': 8}


def words(group: str) -> tuple[str, dict, dict, dict]:
  """The words of a group."""
  fields = {'group': group, 'length': 128}
  return 'group_words.GroupWords', fields, SMALL, LONGER


# {task: (class, fields, fields of the quick version, evaluation sets)}
TASKS = {
  's3': words('S3'),
  's4': words('S4'),
  'a5': words('A5'),
  's5': words('S5'),
  'z60': words('Z60'),
  'flip_flop': (
    'flip_flop.FlipFlop',
    {'length': 512, 'ignore': 0.8},
    SMALL,
    {'sparse': {'ignore': 0.98}, 'dense': {'ignore': 0.1}},
  ),
  'counters': (
    'counters.Counters',
    {'letters': 3, 'longest': 40},
    {'longest': 4},
    {'longer': {'shortest': 41, 'longest': 160}},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 's3-delta_product') -> ConfigDict:
  """A task and a model, `a5-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, fields, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path} | fields)
  window = max(128, fields.get('length', 0))  # a block of attention is a row
  config.model = model(name, width=128, depth=1, window=window)
  config.train.update(steps=20_000, batch_size=128, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.01)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    sets = {}
  for label, changes in {'held_out': {}, **sets}.items():
    rows = {'every': 1000, 'batch_size': 128, 'steps': 4}
    config.evals[label] = ConfigDict(rows | {'task': changes})
  return (quick(config) if size == 'quick' else config).lock()
