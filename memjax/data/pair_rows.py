"""Encoded pairs as arrays, packed in rows."""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from memjax.data.order import shuffled
from memjax.data.pairs import Pair
from memjax.data.tokenizers import Marked
from memjax.errors import ConfigError, nearest, require

ANSWERS = ('tokens', 'label', 'tags')
ORDER = 0  # seeds the order in which pairs are packed


class Steps(NamedTuple):
  """The steps of one pair.

  Attributes:
    inputs_T: int32 ids.
    targets_T: int32 ids or classes; 0 where there is no label.
    labelled_T: bool, the steps with a label.
  """

  inputs_T: np.ndarray
  targets_T: np.ndarray
  labelled_T: np.ndarray


def encode_pair(pair: Pair, answer: str, marks: Marked) -> Steps:
  """The steps of a pair.

  Args:
    pair: source and target.
    answer: one of ANSWERS.
    marks: encodes text, and knows the classes.

  Raises:
    ConfigError: the target has another number of tags than the source words, or
      a class that `marks` does not know.
  """
  source = marks.encode(pair.source.encode())
  if answer == 'tags':
    tags = class_ids(pair.target.split(), marks)
    rule = f'has {len(tags)} tags for {len(source)} words'
    require(len(tags) == len(source), 'target', pair.target, rule)
    return _steps([source], tags)
  separator = [marks.separator]
  if answer == 'label':
    return _steps([source, separator], class_ids([pair.target], marks))
  target = marks.encode(pair.target.encode())
  return _steps([source, separator, target], [*target, marks.end])


def class_ids(names: Sequence[str], marks: Marked) -> list[int]:
  """The numbers of the classes of these names."""
  for name in names:
    if name not in marks.class_ids:
      rule = f'the training data do not have it; {nearest(name, marks.classes)}'
      raise ConfigError('target', name, rule)
  return [marks.class_ids[name] for name in names]


def _steps(parts: list, answers: list[int]) -> Steps:
  """The parts one after another; the last steps have the answers."""
  inputs_T = np.concatenate(parts).astype(np.int32)
  targets_T = np.zeros_like(inputs_T)
  labelled_T = np.arange(len(inputs_T)) >= len(inputs_T) - len(answers)
  targets_T[labelled_T] = answers
  return Steps(inputs_T, targets_T, labelled_T)


def source_length(pair: Steps) -> int:
  """The number of steps before the separator, which has the first label."""
  return int(pair.labelled_T.argmax())


class PairRows(NamedTuple):
  """R rows of T steps; each row has one or more pairs in sequence.

  Attributes:
    inputs_RT: int32 ids.
    targets_RT: int32 ids or classes.
    loss_weights_RT: float32; 1 at labels, else 0.
    reset_RT: bool; True where a pair begins, and perhaps the padding.
    score_axis_RT: int32; steps from a label back to the start of its pair.
  """

  inputs_RT: np.ndarray
  targets_RT: np.ndarray
  loss_weights_RT: np.ndarray
  reset_RT: np.ndarray
  score_axis_RT: np.ndarray


def lay_out(
  pairs: Sequence[Steps], length: int, packed: bool, apart: bool
) -> PairRows:
  """Puts pairs of at most `length` steps into rows.

  Args:
    pairs: at least one.
    length: T.
    packed: whether a row has as many pairs as fit; else it has one.
    apart: whether what pads a row is a run of its own. A memory that reads both
      ways needs it; a text that is written goes on in the padding.
  """
  sizes = [len(pair.inputs_T) for pair in pairs]
  if packed:
    rows, starts = best_fit(sizes, length)
  else:
    rows, starts = np.arange(len(pairs)), np.zeros(len(pairs), np.int64)
  shape = int(rows.max()) + 1, length
  out = PairRows(
    np.zeros(shape, np.int32),
    np.zeros(shape, np.int32),
    np.zeros(shape, np.float32),
    np.zeros(shape, bool),
    np.zeros(shape, np.int32),
  )
  ends_R = np.zeros(shape[0], np.int64)
  for pair, row, start in zip(pairs, rows, starts, strict=True):
    end = start + len(pair.inputs_T)
    place = row, slice(start, end)
    out.inputs_RT[place] = pair.inputs_T
    out.targets_RT[place] = pair.targets_T
    out.loss_weights_RT[place] = pair.labelled_T
    out.score_axis_RT[place] = np.arange(len(pair.inputs_T)) * pair.labelled_T
    out.reset_RT[row, start] = True
    ends_R[row] = max(ends_R[row], end)
  if apart:
    padded_R = np.flatnonzero(ends_R < length)
    out.reset_RT[padded_R, ends_R[padded_R]] = True
  return out


def best_fit(sizes: Sequence[int], room: int) -> tuple[np.ndarray, np.ndarray]:
  """The row of each item and its first step in that row.

  In a fixed shuffled order, each item goes to the row with the fewest free
  steps that are enough.
  """
  rows = np.zeros(len(sizes), np.int64)
  starts = np.zeros(len(sizes), np.int64)
  free: dict[int, list[int]] = {}  # {free steps: rows}
  amounts: list[int] = []  # the keys of `free`, sorted
  opened = 0
  for item in shuffled(len(sizes), ORDER):
    size = sizes[item]
    place = bisect.bisect_left(amounts, size)
    if place == len(amounts):
      amount, row, opened = room, opened, opened + 1
    else:
      amount = amounts[place]
      row = free[amount].pop(0)
      if not free[amount]:
        del free[amount], amounts[place]
    rows[item], starts[item] = row, room - amount
    left = amount - size
    if left not in free:
      bisect.insort(amounts, left)
    free.setdefault(left, []).append(row)
  return rows, starts
