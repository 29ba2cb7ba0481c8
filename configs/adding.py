"""The adding problem over T = 200 steps.

Paper: Hochreiter & Schmidhuber 1997; lengths and figures as in Bai et al. 2018
(T = 600: LSTM 0.164, GRU 5.3e-5; predicting 1 always gives 1/6).
Command: python launch.py --config=configs/adding.py:gru
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
  config.task = ConfigDict({'name': 'adding.Adding', 'length': 200})
  config.model = model(name, width=128, depth=1, window=256)
  config.train.update(steps=5000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, schedule='constant')
  config.log.every = 100
  config.checkpoint.update(every=500, best='held_out/loss')
  rows = {'every': 500, 'batch_size': 200, 'steps': 5}
  twice = 2 * config.task.get_oneway_ref('length')
  config.evals.held_out = ConfigDict(rows)
  config.evals.twice = ConfigDict(rows | {'task': {'length': twice}})
  if size == 'quick':
    config.task.length = 12
    config.model = model(name, width=16, depth=1, window=8)
    quick(config)
  return config.lock()
