"""A small Transformer-XL on bytes of Python's own library source.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860.
Command: python launch.py --config=configs/quickstart.py
Result: 2.181 bits per byte on the whole validation split (605 kB); xz -9 needs
1.504. Time: 1 minute 3 seconds on 2 cores of an AMD EPYC, Python 3.11,
jax 0.10.2, 2026-11-25, seed 0.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

VARIANTS = ('transformer_xl',)


def get_config(variant: str = 'transformer_xl') -> ConfigDict:
  """The quickstart; `transformer_xl,quick` makes it two steps long."""
  _, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'text.Text', 'corpus': 'standard_library', 'length': 64}
  )
  config.model = model('transformer_xl', width=128, depth=2, window=64)
  config.train.update(steps=600, batch_size=32, steps_per_call=1)
  config.optim.update(learning_rate=3e-3, warmup_steps=50)
  config.log.update(every=20, prompt='def ', sample=200)
  config.checkpoint.update(every=200, best='validation/bits_per_byte')
  config.evals.validation = ConfigDict(
    {
      'every': 200,
      'batch_size': 32,
      'task': {'split': 'validation'},
    }
  )
  if size == 'quick':
    config.task.length = 16
    config.model = model('transformer_xl', width=16, depth=1, window=16)
    quick(config)
  return config.lock()
