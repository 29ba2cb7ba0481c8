"""Rows of several texts in fixed shares.

With integer shares w of W in all, any W rows in a row of the mixture hold
exactly w rows of each text: rows are dealt in turn, each to the text that is
farthest behind its share. The rows of one step are then sorted by text.

Windows: the n-th row that a text gets is its n-th window, across its epochs.
Streams: a text has a stream for each row that ever reads it. Most rows read one
text always. A row between two texts changes between them; it goes on where it
left the text's stream, with an empty memory.
"""

from collections.abc import Sequence
import dataclasses
from fractions import Fraction
import functools
import math
from typing import NamedTuple

import numpy as np

from memjax.data.text_rows import TextRows, join_rows
from memjax.errors import require
from memjax.types import Batch

MOST = 1000  # the largest W
_RULE = (
  "must be NAME:SHARE,NAME:SHARE, such as 'tiny_shakespeare:0.7,notes:0.3'"
)


def parse_mix(mix: str) -> dict[str, int]:
  """{name: share} of 'a:0.7,b:0.3'; the shares are integers in lowest terms.

  Raises:
    ConfigError: the text is not a list of names and positive shares, or a name
      comes twice, or the shares are too fine.
  """
  shares: dict[str, Fraction] = {}
  for part in mix.split(','):
    name, _, share = (word.strip() for word in part.rpartition(':'))
    try:
      value = Fraction(share)
    except (ValueError, ZeroDivisionError):
      value = Fraction(0)
    require(bool(name) and value > 0, 'mix', mix, _RULE)
    require(name not in shares, 'mix', mix, f'names {name!r} twice')
    shares[name] = value
  common = math.lcm(*(share.denominator for share in shares.values()))
  whole = {name: int(share * common) for name, share in shares.items()}
  factor = math.gcd(*whole.values())
  whole = {name: share // factor for name, share in whole.items()}
  total = sum(whole.values())
  rule = f'has shares in units of 1/{total}; units below 1/{MOST} are too fine'
  require(total <= MOST, 'mix', mix, rule)
  return whole


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
  """Texts and their shares.

  Attributes:
    texts: how each text is cut into rows.
    shares: an integer for each text.
  """

  texts: Sequence[TextRows]
  shares: tuple[int, ...]

  def epoch_steps(self, batch_size: int) -> int:
    """Number of steps in which `read_in_turn` reads every label once."""
    return sum(text.epoch_steps(batch_size) for text in self.texts)

  def read_in_turn(
    self, batch_size: int, step: int, row_R: np.ndarray
  ) -> Batch:
    """Rows of a step; one text is read after another, whatever the shares."""
    text, step = self._text_of_step(batch_size, step)
    step_R = np.full(len(row_R), step)
    return self.texts[text].read(batch_size, step_R, row_R)

  def read_mixed(
    self,
    batch_size: int,
    step: int,
    row_R: np.ndarray,
    seed: tuple[int, ...] = (),
  ) -> Batch:
    """Rows of a step, dealt to the texts by their shares.

    Args:
      batch_size: number of rows of a step.
      step: from 0, without end.
      row_R: `(R,)` integers in [0, batch_size).
      seed: see `TextRows.read`.
    """
    if len(self.texts) == 1:
      step_R = np.full(len(row_R), step)
      return self.texts[0].read(batch_size, step_R, row_R, seed)
    table = _deal(self.shares, batch_size, self.texts[0].carry_over)
    cycle, at = divmod(step, len(table.text_SB))
    text_R = table.text_SB[at, row_R]
    parts, chosen = [], []
    for k, text in enumerate(self.texts):
      rows = np.flatnonzero(text_R == k)
      if not rows.size:
        continue
      row = row_R[rows]
      step_R = cycle * table.cycle_KB[k, row] + table.earlier_SB[at, row]
      parts.append(
        text.read(table.streams_K[k], step_R, table.stream_KB[k, row], seed)
      )
      chosen.append(rows)
    batch = join_rows(parts, chosen)
    # Step -1 of a cycle is the last one of the cycle before.
    batch.reset_BT[:, 0] |= table.text_SB[at - 1, row_R] != text_R
    return batch

  def label_documents(
    self, batch_size: int, step: int, row_R: np.ndarray
  ) -> np.ndarray:
    """`(R, T)` document of each label that `read_in_turn` reads.

    The documents of all texts are numbered one after another.
    """
    text, step = self._text_of_step(batch_size, step)
    earlier = sum(len(text.starts) for text in self.texts[:text])
    document_RT = self.texts[text].label_documents(batch_size, step, row_R)
    return earlier + document_RT

  def _text_of_step(self, batch_size: int, step: int) -> tuple[int, int]:
    """The text that the step reads in turn, and the text's own step."""
    ends = np.cumsum([text.epoch_steps(batch_size) for text in self.texts])
    step %= int(ends[-1])
    text = int(np.searchsorted(ends, step, side='right'))
    return text, step - int(ends[text - 1] if text else 0)


class _Deal(NamedTuple):
  """What every row reads in a cycle of S steps, which then comes again.

  Attributes:
    text_SB: the text.
    earlier_SB: how often its stream was read earlier in the cycle.
    cycle_KB: how often a cycle reads the stream of text k that row b reads.
    stream_KB: the stream of text k that row b reads.
    streams_K: number of streams of text k.
  """

  text_SB: np.ndarray
  earlier_SB: np.ndarray
  cycle_KB: np.ndarray
  stream_KB: np.ndarray
  streams_K: list[int]


@functools.lru_cache(8)
def _deal(shares: tuple[int, ...], batch_size: int, streams: bool) -> _Deal:
  """The texts of all rows; without streams a text is one stream of windows."""
  total, texts = sum(shares), len(shares)
  steps = total // math.gcd(total, batch_size)
  text_SB = np.sort(np.resize(_turns(shares), (steps, batch_size)), axis=1)
  earlier_SB = np.zeros(text_SB.shape, np.int64)
  cycle_KB = np.zeros((texts, batch_size), np.int64)
  stream_KB = np.zeros((texts, batch_size), np.int64)
  for k in range(texts):
    reads_SB = (text_SB == k).astype(np.int64)
    counts = reads_SB.cumsum(0) if streams else reads_SB.cumsum()
    earlier = counts.reshape(reads_SB.shape) - reads_SB
    earlier_SB += earlier * reads_SB
    cycle_KB[k] = reads_SB.sum(0) if streams else reads_SB.sum()
    if streams:
      stream_KB[k] = np.maximum(np.cumsum(cycle_KB[k] > 0) - 1, 0)
  streams_K = (stream_KB.max(1) + 1).tolist()
  return _Deal(text_SB, earlier_SB, cycle_KB, stream_KB, streams_K)


def _turns(shares: tuple[int, ...]) -> np.ndarray:
  """`(W,)` texts; each turn goes to the text that is farthest behind."""
  share_K, due_K = np.array(shares), np.zeros(len(shares), np.int64)
  turns = []
  for _ in range(sum(shares)):
    due_K += share_K
    turns.append(int(due_K.argmax()))
    due_K[turns[-1]] -= sum(shares)
  return np.array(turns)
