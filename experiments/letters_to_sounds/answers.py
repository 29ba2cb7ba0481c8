"""What a model answers to sources, and how far off that is."""

from collections.abc import Sequence
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.generation.beam import search
from memjax.models.base import Model
from memjax.types import Params


def answers(
  model: Model,
  params: Params,
  sources: Sequence[Sequence[int]],
  end: int,
  most: int,
  beams: int = 1,
) -> list[list[int]]:
  """The answer to each source, without its end.

  Args:
    model: from tokens to logits of the same tokens.
    params: its parameters.
    sources: ids, the separator last.
    end: the id that ends an answer.
    most: number of tokens of an answer, at most.
    beams: number of answers that a beam search keeps.
  """
  longest = max(map(len, sources))
  ids = np.zeros((len(sources), longest - 1 + most), np.int32)
  asked = np.zeros(ids.shape, bool)
  for row, source in enumerate(sources):
    ids[row, : len(source)] = source
    asked[row, len(source) - 1 : len(source) - 1 + most] = True
  found = np.asarray(_search(model, params, ids, asked, beams, end))
  texts = [
    row[chosen].tolist() for row, chosen in zip(found, asked, strict=True)
  ]
  return [text[: text.index(end)] if end in text else text for text in texts]


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def _search(
  model: Model,
  params: Params,
  ids: jax.Array,
  asked: jax.Array,
  beams: int,
  end: int,
) -> jax.Array:
  carry, none = model.initial_carry(len(ids)), jnp.zeros(ids.shape, bool)
  found = search(model, params, carry, ids, none, asked, beams, end)
  return found.answer_BKT[:, 0]


def distance(one: Sequence[str], other: Sequence[str]) -> int:
  """The number of sounds to insert, remove or replace."""
  row = list(range(len(other) + 1))
  for i, sound in enumerate(one, 1):
    before, row = row, [i]
    for j, wanted in enumerate(other, 1):
      swapped = before[j - 1] + (sound != wanted)
      row.append(min(before[j] + 1, row[j - 1] + 1, swapped))
  return row[-1]


class Scores(NamedTuple):
  """Figures of answers.

  Attributes:
    right: share of words whose answer is one of their pronunciations.
    errors: edits to the nearest pronunciation, over its number of sounds.
  """

  right: float
  errors: float


def score(
  answers: Sequence[Sequence[str]], known: Sequence[Sequence[Sequence[str]]]
) -> Scores:
  """The figures of answers, beside all pronunciations of each word."""
  right = errors = sounds = 0
  for answer, ways in zip(answers, known, strict=True):
    edits, length = min((distance(answer, way), len(way)) for way in ways)
    right += edits == 0
    errors, sounds = errors + edits, sounds + length
  return Scores(right / len(answers), errors / sounds)
