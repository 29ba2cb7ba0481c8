"""Sort-of-CLEVR: questions about one object of a picture, or about several.

Papers: Santoro et al. 2017, https://arxiv.org/abs/1706.01427; the relational
memory core is that of Santoro et al. 2018, https://arxiv.org/abs/1806.01822.
Command: python launch.py --config=configs/sort_of_clevr.py:relational_memory
Result: see experiments/breadth.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'relational_memory') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict({'name': 'sort_of_clevr.SortOfCLEVR'})
  config.model = model(name, width=128, depth=2, window=64)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=20)
  config.optim.update(learning_rate=1e-3, warmup_steps=200, weight_decay=0.01)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  rows = {'every': 1000, 'batch_size': 200, 'steps': 10}
  config.evals.held_out = ConfigDict(rows)
  if size == 'quick':
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
