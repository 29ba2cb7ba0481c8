"""Masked language modelling: full attention, or any memory both ways.

Paper: Devlin et al. 2018, https://arxiv.org/abs/1810.04805.
Command: python launch.py --config=configs/masked.py:full_attention
  a memory that reads both ways: masked.py:both_ways
  your own text: --config.task.task.corpus=files
    --config.task.task.path=FILE_OR_FOLDER
Result: see experiments/breadth.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.modern_memories import residual
from memjax.configs.variants import quick, split_variant

VARIANTS = ('full_attention', 'both_ways')


def get_config(variant: str = 'full_attention') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  text = {
    'name': 'text.Text',
    'corpus': 'standard_library',
    'path': '',  # for corpus=files
    'length': 128,
    'carry_over': False,  # a row is read whole
    'order': 'shuffled',
  }
  config.task = ConfigDict({'name': 'masked.Masked', 'task': text})
  width, depth = (16, 1) if size == 'quick' else (256, 4)
  if name == 'both_ways':
    config.model = model('gru', width=width, depth=depth, window=width)
    inner = config.model.layer.to_dict()
    wrapper = {'name': 'bidirectional.Bidirectional', 'layer': inner}
    config.model.layer = ConfigDict(wrapper)
  else:
    stack = {'name': 'stack.Stack', 'width': width, 'depth': depth}
    path = 'full_attention.FullAttention'
    block = residual(path, head_width=min(width, 64), positions='shaw')
    block |= {'positions': 'sinusoidal', 'activation': 'gelu_exact'}
    config.model = ConfigDict(stack | block)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=1e-3, warmup_steps=500, weight_decay=0.01)
  config.log.every = 100
  # Each token of the validation text is masked once, with one of 8 in its row.
  task = {'passes': 8, 'task': {'split': 'validation'}}
  config.evals.validation = ConfigDict(
    {'every': 1000, 'batch_size': 32, 'task': task}
  )
  config.checkpoint.update(every=1000, best='validation/loss')
  if size == 'quick':
    config.task.task.length = 16
    quick(config)
  return config.lock()
