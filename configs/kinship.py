"""Kinship: relations of two persons, longer chains of facts than in training.

Paper: Sinha et al. 2019, CLUTRR, https://arxiv.org/abs/1908.06177: trained on
chains of 2 to 4 facts, tested on up to 10.
Command: python launch.py --config=configs/kinship.py:transformer
Result: see experiments/breadth.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS
LONGER = (5, 6, 7, 8, 9, 10)  # facts


def get_config(variant: str = 'transformer') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'kinship.Kinship', 'shortest': 2, 'longest': 4, 'facts': 10}
  )
  config.model = model(name, width=64, depth=2, window=64)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  rows = {'every': 1000, 'batch_size': 200, 'steps': 5}
  config.evals.held_out = ConfigDict(rows)
  for count in LONGER:
    task = {'shortest': count, 'longest': count}
    config.evals[f'facts_{count}'] = ConfigDict(rows | {'task': task})
  if size == 'quick':
    config.model = model(name, width=16, depth=1, window=16)
    config.evals = ConfigDict({'held_out': config.evals.held_out})
    quick(config)
  return config.lock()
