"""Temporal order: the order of two or three distant symbols X and Y.

Paper: Hochreiter & Schmidhuber 1997, Long short-term memory,
https://doi.org/10.1162/neco.1997.9.8.1735, experiments 6a and, with
`--config.task.symbols=3`, 6b. Chance is ln 4 (6b: ln 8) nats. The paper trains
an LSTM of two or three blocks of two cells on one sequence at a time.
Command: python launch.py --config=configs/temporal_order.py:lstm
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'lstm') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'temporal_order.TemporalOrder', 'symbols': 2}
  )
  config.model = model(name, width=64, depth=1, window=128)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=50)
  config.optim.update(learning_rate=1e-3)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/loss')
  config.evals.held_out = ConfigDict(
    {'every': 1000, 'batch_size': 200, 'steps': 5}
  )
  if size == 'quick':
    config.model = model(name, width=16, depth=1, window=8)
    quick(config)
  return config.lock()
