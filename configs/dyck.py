"""Dyck-(8, 5): the next symbol of nested brackets, up to 180 and up to 360.

Paper: Hewitt et al. 2020, https://arxiv.org/abs/2010.07515: k in 2, 8, 32, 128;
m in 3 and 5; an LSTM of 3 m ceil(log2 k) - m units learns each of them.
Command: python launch.py --config=configs/dyck.py:lstm
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
    {'name': 'dyck.Dyck', 'types': 8, 'depth': 5, 'longest': 180}
  )
  config.model = model(name, width=64, depth=1, window=180)
  config.train.update(steps=10_000, batch_size=64, steps_per_call=20)
  config.optim.update(learning_rate=1e-3, schedule='cosine', warmup_steps=100)
  config.log.every = 100
  longer = {'shortest': 181, 'longest': 360}
  for label, fields in (('held_out', {}), ('longer', longer)):
    rows = {'every': 500, 'batch_size': 200, 'steps': 5}
    config.evals[label] = ConfigDict(rows | {'task': fields})
  config.checkpoint.update(every=500, best='held_out/loss')
  if size == 'quick':
    config.task.update(types=2, depth=2, longest=12)
    config.evals.longer.task = ConfigDict({'shortest': 13, 'longest': 24})
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
