"""A small GRU on bytes of Python's own library source, in about five minutes.

Paper: Cho et al. 2014, https://arxiv.org/abs/1406.1078.
Command: memjax --config=quickstart
  Transformer-XL instead: memjax --config=quickstart:transformer_xl
Result: 1.459 bits per byte of validation, where xz -9 needs 1.504; 1.610 with
  the memory emptied at each segment (experiments/quickstart/README.md).
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

VARIANTS = ('gru', 'transformer_xl')


def get_config(variant: str = 'gru') -> ConfigDict:
  """The quickstart; `gru,quick` makes it two steps long."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'text.Text', 'corpus': 'standard_library', 'length': 128}
  )
  if name == 'gru':
    config.model = model(name, width=184, depth=2, window=64)
    config.train.update(steps=3600, batch_size=16, steps_per_call=10)
    config.optim.update(learning_rate=3e-3, warmup_steps=180)
    config.optim.update(final_lr_ratio=0.05, weight_decay=0.01)
  else:
    config.task.length = 64
    config.model = model(name, width=128, depth=2, window=64)
    config.train.update(steps=600, batch_size=32, steps_per_call=1)
    config.optim.update(learning_rate=3e-3, warmup_steps=50)
  config.log.update(every=100, prompt='def ', sample=400)
  every = config.train.steps // 2
  config.checkpoint.update(every=every // 3, best='validation/bits_per_byte')
  validation = {
    'every': every,
    'batch_size': 32,
    'task': {'split': 'validation'},
  }
  config.evals.validation = ConfigDict(validation)
  # The same model, whose memory is empty at the start of each segment.
  config.evals.fresh = ConfigDict(
    validation
    | {
      'every': config.train.steps,
      'task': {'split': 'validation', 'carry_over': False},
    }
  )
  if size == 'quick':
    config.task.length = 16
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
