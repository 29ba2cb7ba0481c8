"""Copy memory: ten symbols over a delay of T = 1000 steps.

Paper: Arjovsky et al. 2016, https://arxiv.org/abs/1511.06464; compare
with Bai et al. 2018 (T = 1000: LSTM 0.0204, GRU 0.0197).
Command: python launch.py --config=configs/copy_memory.py:gru
Result: with fewer steps, in experiments/leaderboard/earlier.md. Not measured
  with the settings here.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'gru') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict({'name': 'copy_memory.CopyMemory', 'delay': 1000})
  config.model = model(name, width=128, depth=1, window=1020)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=50)
  config.optim.update(name='rmsprop', learning_rate=5e-4, schedule='constant')
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/loss')
  config.evals.held_out = ConfigDict(
    {'every': 1000, 'batch_size': 100, 'steps': 10}
  )
  if size == 'quick':
    config.task.delay = 12
    config.model = model(name, width=16, depth=1, window=8)
    quick(config)
  return config.lock()
