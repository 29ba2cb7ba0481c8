"""The three most frequent among 64 to 256 words that follow Zipf's law.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654.
Command: python launch.py --config=configs/frequent_word_extraction.py:gru
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'gru') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {'name': 'frequent_word_extraction.FrequentWordExtraction'}
  )
  config.model = model(name, width=128, depth=2, window=259)
  config.train.update(steps=10_000, batch_size=64, steps_per_call=20)
  config.optim.update(learning_rate=1e-3, warmup_steps=100)
  config.log.every = 100
  longer = {'shortest': 512, 'longest': 512}
  for label, fields in (('held_out', {}), ('longer', longer)):
    rows = {'every': 500, 'batch_size': 100, 'steps': 10}
    config.evals[label] = ConfigDict(rows | {'task': fields})
  config.checkpoint.update(every=500, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(vocab=16, words=8, shortest=5, longest=10)
    config.evals.longer.task = ConfigDict({'shortest': 20, 'longest': 20})
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
