"""A model that finds in a store what it was told in an earlier process.

What is told becomes records: the key is the model's last hidden state, and the
value is the token that followed. They are tagged with the model and its step:
states of another model mean something else.
"""

from collections.abc import Iterator
import datetime
import hashlib
import json

import numpy as np

from memjax.errors import require
from memjax.generation import neighbours, saved, session
from memjax.generation.neighbours import Mixing, Neighbours
from memjax.generation.sampler import SamplerConfig
from memjax.generation.session import Session
from memjax.models.base import Model
from memjax.runs.load import Run
from memjax.store.base import Store
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import (
  NONE,
  Range,
  Record,
  Where,
  pack_tokens,
  unpack_tokens,
)

COUNT = 8  # records that a state finds


class Recall:
  """A space of a store, as a model uses it.

  Attributes:
    seen: the records that were there when it was opened; it sees no others, so
      that a text does not find itself.
  """

  def __init__(self, run: Run, store: Store, space: str, count: int = COUNT):
    """Sees what is in the space now.

    Raises:
      ConfigError: the model has no readout of its own, or the grant is missing.
    """
    self._run, self._store, self._space = run, store, space
    self._tag = tag_of(run)
    self.seen, self._count = Range(0, store.end(space)), count
    self._shares: list[float] = []
    self._times: dict[int, float] = {}

  def tell(self, text: str | bytes, source: str = '') -> Range:
    """Writes what follows each state of a text that begins anew."""
    run = self._run
    ids = session.tokenizer_of(run).encode(session.written(text))
    if len(ids) < 2:
      return Range(self.seen.end, self.seen.end)
    model, fresh = run.model, run.model.initial_carry(1)
    assert isinstance(model, Model)
    h_TD = neighbours.hidden_states(model, run.params, fresh, ids[:-1])
    records = [
      Record(h_D, pack_tokens(int(token)), tags=(self._tag,), source=source)
      for h_D, token in zip(h_TD, ids[1:], strict=True)
    ]
    return self._store.write(self._space, records)

  def look_up(self, h_D: np.ndarray) -> Neighbours:
    """The records whose states are the most similar to this one."""
    where = Where(tags=(self._tag,))
    asked = h_D[None], self._count, self.seen, where
    hits = self._store.search(self._space, *asked)
    found = hits.seq_QK[0] != NONE
    seqs = tuple(hits.seq_QK[0][found].tolist())
    if not seqs:
      return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
    rows = self._store.read(self._space, self.seen, where._replace(seqs=seqs))
    tokens = {row.seq: unpack_tokens(row.value)[0] for row in rows}
    self._times |= {row.seq: row.at for row in rows}
    there = [seq in tokens for seq in seqs]
    chosen = np.array([tokens[seq] for seq in seqs if seq in tokens], np.int64)
    return Neighbours(chosen, hits.score_QK[0][found][there])

  def stream(
    self,
    current: Session,
    length: int,
    config: SamplerConfig,
    mixing: Mixing,
  ) -> Iterator[tuple[str, Session]]:
    """As `session.stream`, with the store."""
    run = self._run
    assert isinstance(run.model, Model)
    tokens = neighbours.generate(
      *(run.model, run.params, current.state, length, config),
      self.look_up,
      mixing,
    )

    def blocks() -> Iterator:
      for token, share, state in tokens:
        self._shares.append(share)
        yield np.array([token]), state

    return session.decode_blocks(
      session.tokenizer_of(run), current.tail, blocks()
    )

  def describe(self) -> str:
    """What was read, in one line."""
    line = f'store: space {self._space}: {self.seen.end} records'
    if not self._times:
      return f'{line}, none of them read'
    times = sorted(self._times.values())
    first, last = (
      datetime.datetime.fromtimestamp(at).isoformat(' ', 'seconds')
      for at in (times[0], times[-1])
    )
    mean = float(np.mean(self._shares)) if self._shares else 0.0
    return (
      f'{line}, {len(times)} of them read, written from {first} to {last}; '
      f'their share of the text is {mean:.2f}'
    )


def tag_of(run: Run) -> str:
  """The tag of the records that this model at this step writes.

  Raises:
    ConfigError: the model has no readout of its own.
  """
  rule = 'has no last hidden state; a store needs a Stack or another Model'
  name = type(run.model).__name__
  require(isinstance(run.model, Model), 'model', name, rule)
  said = json.dumps(saved.identity(run), sort_keys=True).encode()
  return f'model-{hashlib.sha256(said).hexdigest()[:12]}'


def open_recall(
  run: Run, store: str, space: str, masked: bool
) -> tuple[Store, Recall] | tuple[None, None]:
  """The store of `--store`, and its space as the model uses it, or nothing."""
  if not store:
    return None, None
  rule = 'must name a space of the store: --space=NAME'
  require(bool(space), 'space', space, rule)
  granted = grant('sample', space, 'read write')
  opened = open_store(store, granted, masked=masked)
  try:
    return opened, Recall(run, opened, space)
  except BaseException:
    opened.close()
    raise
