"""Source and answer: translation, summaries, classes or tags of your own files.

Papers: Sutskever et al. 2014, https://arxiv.org/abs/1409.3215, and Cho et al.
2014, https://arxiv.org/abs/1406.1078: a recurrent network reads the source,
then writes the target.
Command: python launch.py --config=configs/pairs.py:lstm
  your own: --config.task.corpus=files --config.task.path=FILE_OR_FOLDER
  fields of your records: --config.task.source=en --config.task.target=de
  an encoder and a decoder with attention: --config=configs/pairs.py:additive
    or dot; one that hands over its carry: none
  classes: --config.task.answer=label; tags: --config.task.answer=tags
    --config.task.tokens=words
Result: letters to sounds in experiments/letters_to_sounds. The docstrings of
Python's library are an example: a text and its first line, 3,000 pairs.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.pairs_models import ENCODER_DECODER, NAMES, pairs_model
from memjax.configs.variants import quick, split_variant

VARIANTS = NAMES


def get_config(variant: str = 'lstm') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'pairs.Pairs',
      'corpus': 'docstrings',  # or files
      'path': '',
      'source': 'source',  # field, or column from 1
      'target': 'target',
      'answer': 'tokens',  # or label or tags
      'tokens': 'bytes',  # characters, words or bpe
      'vocab': 0,
      'length': 512,
    }
  )
  config.model = pairs_model(name, width=256, depth=2, window=512)
  config.train.update(steps=2000, batch_size=16)
  config.optim.update(learning_rate=2e-3, warmup_steps=100)
  config.evals.validation = ConfigDict(
    {
      'every': 200,
      'batch_size': 16,
      'steps': 0,
      'task': {'split': 'validation'},
    }
  )
  config.evals.written = ConfigDict(
    {
      'name': 'overlap.Overlap',
      'every': 1000,
      'batch_size': 16,
      'steps': 0,
      'task': {'split': 'validation', 'packed': False},
    }
  )
  config.checkpoint.best = 'validation/loss'
  if size == 'quick':
    config.model = pairs_model(name, width=16, depth=1, window=16)
    config.task.length = 192
    if name in ENCODER_DECODER:
      config.model.source_length = 192
    quick(config)
  return config.lock()
