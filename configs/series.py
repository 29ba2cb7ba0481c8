"""Time series: the value some steps ahead, for any memory.

Paper: Jaeger & Haas 2004, https://doi.org/10.1126/science.1091277, for
Mackey-Glass. `ramp` reads 1 2 3 4 5 and answers 6 7 8 9 10, the usual first
example of an LSTM, here with 50 units.
Command: python launch.py --config=configs/series.py:mackey_glass-lstm
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

# {task: (fields, width, layers)}
TASKS: dict[str, tuple[dict, int, int]] = {
  'mackey_glass': ({'length': 256, 'ahead': 8}, 64, 2),
  'sines': ({'length': 256, 'ahead': 8}, 64, 2),
  'ramp': ({'length': 5, 'ahead': 5}, 50, 1),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'mackey_glass-lstm') -> ConfigDict:
  """A series and a model, `ramp-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  kind, _, name = both.partition('-')
  fields, width, layers = TASKS[kind]
  config = base()
  config.task = ConfigDict({'name': 'series.Series', 'kind': kind} | fields)
  config.model = model(name, width=width, depth=layers, window=64)
  config.train.update(steps=2000, batch_size=32, steps_per_call=20)
  config.optim.update(learning_rate=3e-3, warmup_steps=50)
  config.log.every = 100
  config.checkpoint.update(every=500, best='held_out/loss')
  config.evals.held_out = ConfigDict(
    {'every': 500, 'batch_size': 200, 'steps': 5, 'task': {}}
  )
  if size == 'quick':
    config.task.length = min(config.task.length, 16)
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
