"""Multi-query associative recall: (length, pairs) = (64, 4).

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927.
Command: python launch.py --config=configs/mqar.py:transformer
Result: with fewer steps, in experiments/leaderboard/earlier.md. Not measured
  with the settings here.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'transformer') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'mqar.MQAR', 'length': 64, 'pairs': 4, 'vocab': 8192}
  )
  config.model = model(name, width=64, depth=2, window=64)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  config.evals.held_out = ConfigDict(
    {'every': 1000, 'batch_size': 200, 'steps': 5}
  )
  config.evals.twice = ConfigDict(
    {
      'every': 1000,
      'batch_size': 200,
      'steps': 5,
      'task': {
        'length': 2 * config.task.get_oneway_ref('length'),
        'pairs': 2 * config.task.get_oneway_ref('pairs'),
      },
    }
  )
  if size == 'quick':
    config.task.vocab = 64
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
