"""Language modelling on bytes, any of the memories at about equal width.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860, section 4.
Command: python launch.py --config=configs/text.py:transformer_xl
  your own text: --config.task.corpus=files --config.task.path=FILE_OR_FOLDER
Result: not measured.
"""

from ml_collections import ConfigDict

from configs.base import base, quick, words
from configs.models import MODELS, model

VARIANTS = MODELS
# How an evaluation set reads a text: 0 and '' are as in training.
PROTOCOL = {'segment': 0, 'memory': 0, 'clamp': 0, 'stride': 0, 'carry': ''}


def get_config(variant: str = 'transformer_xl') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = words(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'text.Text',
      'corpus': 'standard_library',  # or files
      'path': '',
      'tokens': 'bytes',  # or characters
      'length': 128,
      'reset_at_documents': False,
    }
  )
  config.model = model(name, width=256, layers=3, context=128, dropout=0.1)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=1e-3, warmup=500, weight_decay=0.01)
  config.log.update(every=100, prompt='def ', sample=400)
  config.checkpoint.update(every=1000, best='validation/bits_per_byte')
  for split, every in (('validation', 1000), ('test', config.train.steps)):
    rows = {'every': every, 'batch_size': 32, 'steps': 0}
    config.evals[split] = ConfigDict(
      rows | PROTOCOL | {'task': {'split': split}}
    )
  if name == 'transformer_xl':
    config.evals.longer_memory = (
      config.evals.validation.copy_and_resolve_references()
    )
    config.evals.longer_memory.update(memory=512, clamp=128)
  if size == 'quick':
    config.task.length = 16
    config.model = model(name, width=16, layers=1, context=16)
    quick(config)
  return config.lock()
