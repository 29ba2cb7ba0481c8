"""Tones: pitches to recall, heard as frames of samples.

Command: python launch.py --config=configs/tones.py:gru
Result: see experiments/breadth.
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
  config.task = ConfigDict({'name': 'tones.Tones', 'tones': 8, 'frames': 4})
  config.model = model(name, width=64, depth=2, window=128)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  rows = {'every': 1000, 'batch_size': 200, 'steps': 5}
  config.evals.held_out = ConfigDict(rows)
  twice = 2 * config.task.get_oneway_ref('tones')
  config.evals.twice = ConfigDict(rows | {'task': {'tones': twice}})
  if size == 'quick':
    config.task.update(tones=2, frames=2)
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
