"""Figures of a text: nats per byte, per character and per word."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.data.contents import Contents
from memjax.data.token_files import Split
from memjax.data.tokenizer import Tokenizer
from memjax.data.tokenizers import Bytes, Characters, Words
from memjax.types import Batch, Metric, Metrics

LETTERS = (Bytes.kind, Characters.kind)


def text_metrics(
  nats: jax.Array,
  batch: Batch,
  tokenizer: Tokenizer | None,
  split: Split,
  *,
  utf8: bool,
  line_ends: bool,
) -> Metrics:
  """The nats of all labels over the amount of text in them.

  Args:
    nats: the sum over the labels of the batch.
    batch: the labels and their weights.
    tokenizer: the tokens' text; None: unknown, so there is no figure.
    split: the split of the labels.
    utf8: whether the text has characters.
    line_ends: whether an end of line is a word.
  """
  if tokenizer is None:
    return {}
  tables = jax.tree.map(jnp.asarray, _contents(tokenizer, split))
  if isinstance(tokenizer, Characters):
    unknown_BT = batch.targets == tokenizer.unknown
    unknown = jnp.where(unknown_BT, batch.loss_weights_BT, 0).sum()
    nats += unknown * (tokenizer.unknown_bits * math.log(2))

  def weighted_sum(amount_BT: jax.Array) -> jax.Array:
    return (amount_BT * batch.loss_weights_BT).sum()

  metrics: Metrics = {}
  if split.words and tokenizer.kind not in LETTERS:
    words_BT = tables.words(batch.inputs, batch.targets, line_ends)
    perplexity = Metric(nats, weighted_sum(words_BT), finish='exp')
    metrics['perplexity_per_word'] = perplexity
  if isinstance(tokenizer, Words):
    return metrics
  bits = nats / math.log(2)
  if utf8:
    characters = weighted_sum(tables.characters_V[batch.targets])
    metrics['bits_per_character'] = Metric(bits, characters)
  size = weighted_sum(tables.bytes_V[batch.targets])
  metrics['bits_per_byte'] = Metric(bits, size)
  return metrics


def _contents(tokenizer: Tokenizer, split: Split) -> Contents:
  """Text amounts of each token.

  The unknown character, and every token that stands for no fixed bytes, has the
  mean of the split, which is exact over an epoch.
  """
  known = tokenizer.contents
  if not tokenizer.exact:
    tokens = len(split.tokens)
    return known._replace(
      bytes_V=np.full_like(known.bytes_V, split.bytes / tokens),
      characters_V=np.full_like(known.bytes_V, split.characters / tokens),
    )
  if not isinstance(tokenizer, Characters):
    return known
  bytes_V = known.bytes_V.copy()
  bytes_V[-1] = split.unknown_bytes / max(split.unknown, 1)
  return known._replace(bytes_V=bytes_V)
