"""Two small GRUs on bytes of Python's own library source, in 2.5 minutes.

Paper: Cho et al. 2014, https://arxiv.org/abs/1406.1078.
Command: memjax --config=quickstart
  Transformer-XL instead: memjax --config=quickstart:transformer_xl
Result: 1.468 bits per byte of validation, where xz -9 needs 1.504; 1.601 with
  the memory emptied at each segment of 128 (experiments/quickstart/README.md).
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

VARIANTS = ('gru', 'transformer_xl')
# Four bytes side by side, then two GRUs; each adds to what it reads.
GRU = {
  'name': 'stack.Stack',
  'width': 192,
  'depth': 3,
  'wiring': 'pre_norm',
  'norm': 'rms',
  'pattern': 'layer gru gru',
  'layer': {'name': 'base_conv.BaseConv', 'taps': 4},
  'others': {'gru': {'name': 'gru.GRU'}},
}


def get_config(variant: str = 'gru') -> ConfigDict:
  """The quickstart; `gru,quick` makes it two steps long."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'text.Text', 'corpus': 'standard_library', 'length': 128}
  )
  if name == 'gru':
    # Many short segments: a step sees 128 places of the text. The carry flows,
    # so the context is longer than a segment.
    config.task.length = 32
    config.model = ConfigDict(GRU)
    config.train.update(steps=1100, batch_size=128, steps_per_call=10)
    config.optim.update(learning_rate=5e-3, schedule='linear', warmup_steps=50)
    config.optim.update(final_lr_ratio=0.0, weight_decay=0.01)
    config.parallel.cpu_devices = 2  # each core has half of the rows
  else:
    config.task.length = 64
    config.model = model(name, width=128, depth=2, window=64)
    config.train.update(steps=600, batch_size=32, steps_per_call=1)
    config.optim.update(learning_rate=3e-3, warmup_steps=50)
  config.log.update(every=100, prompt='import os\n\ndef ', sample=400)
  steps = config.train.steps
  config.checkpoint.update(every=steps // 5, best='validation/bits_per_byte')
  text = {'split': 'validation', 'length': 128}
  validation = {'every': steps, 'batch_size': 64}
  config.evals.validation = ConfigDict(validation | {'task': text})
  # The same model, whose memory is empty at the start of each segment.
  fresh = text | {'carry_over': False}
  config.evals.fresh = ConfigDict(validation | {'task': fresh})
  if size == 'quick':
    config.task.length = 16
    if name == 'gru':
      config.model.width = 16
    else:
      config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
