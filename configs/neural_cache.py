"""A language model, evaluated with caches of its last states.

Paper: Grave et al. 2017, https://arxiv.org/abs/1612.04426, section 4.
Command: python launch.py --config=configs/neural_cache.py:lstm
  words: --config.task.corpus=wikitext-2 --config.task.tokens=words
Result: for a small model, in experiments/external_memory/README.md. The paper:
  WikiText-103, LSTM 48.7 perplexity, with 100 states 44.8, with 2000 40.8.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

VARIANTS = ('lstm', 'gru', 'sliding', 'memorizing')
SLOTS = (100, 500, 2000)


def get_config(variant: str = 'lstm') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'text.Text',
      'corpus': 'tiny_shakespeare',
      'path': '',
      'tokens': 'words',
      'vocab': 4000,
      'length': 64,
      'carry_over': True,
    }
  )
  config.model = model(name, width=256, depth=1, window=64, dropout=0.3)
  config.model.wiring = 'pre_norm'
  config.train.update(steps=3000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=2e-3, warmup_steps=100, weight_decay=0.01)
  config.checkpoint.update(every=500, best='validation/loss')
  slots: tuple[int, ...] = SLOTS
  if size == 'quick':
    config.task.update(
      corpus='standard_library', tokens='bytes', vocab=0, length=16
    )
    config.model = model(name, width=16, depth=1, window=8)
    slots = SLOTS[:1]
    quick(config)
  config.evals.validation = ConfigDict(
    {'every': 500, 'batch_size': 4, 'task': {'split': 'validation'}}
  )
  for number in slots:
    of_cache = ConfigDict(config.evals.validation.to_dict())
    of_cache.model = references(config.model) | {
      'name': 'neural_cache.CachedStack',
      'slots': number,
      'cache_share': 0.1,
      'sharpness': 0.1,
    }
    config.evals[f'cache_{number}'] = of_cache
  return config.lock()


def references(section: ConfigDict) -> dict:
  """Fields that follow those of a section, which the command line may set."""
  return {
    key: references(value)
    if isinstance(value, ConfigDict)
    else section.get_oneway_ref(key)
    for key, value in section.items()
  }
