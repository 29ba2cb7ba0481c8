"""Retrieval: a dual encoder that finds the document for a query, beside BM25.

Paper: Karpukhin et al. 2020, https://arxiv.org/abs/2004.04906.
Command: python launch.py --config=configs/retrieval.py:gru
  your own: --config.task.task.corpus=files --config.task.task.path=FILE
    --config.task.task.source=query --config.task.task.target=document
Result: see experiments/retrieval. Queries are the first lines of docstrings in
Python's library, documents the code of the functions.
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
  pairs = {
    'name': 'pairs.Pairs',
    'corpus': 'functions',  # or files, or a released one
    'path': '',
    'source': 'source',  # field of the query, or column from 1
    'target': 'target',  # that of the document
    'tokens': 'bpe',  # bytes, characters or words
    'vocab': 4096,
    'length': 128,
    'packed': False,
  }
  config.task = ConfigDict({'name': 'retrieval.Retrieval', 'task': pairs})
  config.model = model(name, width=256, depth=1, window=128)
  config.train.update(steps=1000, batch_size=128, steps_per_call=10)
  config.optim.update(learning_rate=2e-3, warmup_steps=50, weight_decay=0.01)
  rows = {'every': 100, 'batch_size': 128, 'steps': 0}
  split = {'task': {'task': {'split': 'validation'}}}
  config.evals.validation = ConfigDict(rows | split)
  config.evals.search = ConfigDict(rows | split | {'name': 'ranking.Ranking'})
  config.log.every = 50
  config.checkpoint.update(every=500, best='search/mrr_10', best_is='max')
  if size == 'quick':
    config.task.task.update(tokens='bytes', vocab=0)
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
