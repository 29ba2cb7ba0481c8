"""Language modelling with neighbours: similar chunks' continuations in between.

Paper: Borgeaud et al. 2022, https://arxiv.org/abs/2112.04426, RETRO.
Specification: a row of T tokens of a text is C = T / m chunks. After chunk u,
the model reads what followed the k chunks of a database that are the most
similar to chunk u, and then chunk u + 1:

    chunk_0  <n> F_1 ... F_k  <t>  chunk_1  <n> F_1 ... F_k  <t>  ...

where each F is `<n>` and the first f tokens after a neighbour; `<n>` is id V,
`<t>` id V + 1. So a row has T + (C - 1) (k (f + 1) + 1) steps, and any memory
can read it. The database is the training split, in chunks of m tokens from its
start. Similarity is the cosine of sums of hashed n-grams (`chunk_keys.py`),
whose sums of products are exact in float64: the same on every machine. Chunks
that are equal to one of the row's are no neighbours, so that a text does not
find itself. Neighbours are looked up on the host: a batch is a function of
(seed, step, row), of the text and of the database, whose fingerprint is part of
the task's.
Labels: those of the text; no position in between has one.
Metrics: those of the text.
Deviations: in the paper the layers of a decoder read neighbours, and what
follows them, by cross-attention, chunk by chunk, after a bidirectional encoder
that sees the chunk; keys are means of BERT's states. Here what follows them is
read in the text's own stream, so that the memory decides what to keep of it, at
the price of longer rows. The paper leaves out neighbours of the same document.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from memjax.data.chunk_keys import chunk_keys
from memjax.data.sources import digest
from memjax.errors import nearest, require
from memjax.store.snapshot import of_arrays
from memjax.store.snapshot_files import open_snapshot
from memjax.tasks.base import Stream, Task, positive
from memjax.tasks.composed.wrapper import SameLabels
from memjax.tasks.language.chunk_database import ChunkDatabase, chunk_number
from memjax.tasks.language.text import Text
from memjax.types import Batch, HostBatch, Tokens

CHOICES = ('nearest', 'random')
KEPT = 1 << 16  # rows whose neighbours stay in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithNeighbours(SameLabels):
  """The next token of a text, with what followed similar chunks.

  Attributes:
    task: the text, with carry_over=False.
    snapshot: folder of a snapshot of a store that --mode=snapshot made; empty:
      the database is made from the training text in this process.
    chunk: m, tokens of a chunk; divides the length.
    neighbours: k, after each chunk; 0: none.
    continuation: f, tokens read of each, from 1 to m.
    choice: 'nearest'; 'random': any k chunks, a function of the chunk.
    share: of the chunks of the training text, the share in the database, from
      its start; a snapshot has them all.
    width: D, of the keys.
    grams: the most tokens of an n-gram of the keys.
  """

  task: Task = dataclasses.field(default_factory=lambda: Text(carry_over=False))
  snapshot: str = ''
  chunk: int = 32
  neighbours: int = 2
  continuation: int = 32
  choice: str = 'nearest'
  share: float = 1.0
  width: int = 128
  grams: int = 4

  def __post_init__(self) -> None:
    name, rule = type(self.task).__name__, 'is no text'
    require(isinstance(self.task, Text), 'task.name', name, rule)
    whole = (
      not self.task.carry_over and self.task.row_stride == self.task.length
    )
    rule = 'must be False, and stride 0: chunks begin where those of the '
    rule += 'database do'
    require(whole, 'task.carry_over', self.task.carry_over, rule)
    curriculum = getattr(self.task, 'curriculum', '')
    require(not curriculum, 'task.curriculum', curriculum, 'must be empty')
    positive(self, 'chunk', 'continuation', 'width', 'grams')
    rule = f"must divide the text's length, {self.task.length}"
    fits = self.task.length % self.chunk == 0
    require(fits, 'chunk', self.chunk, rule)
    rule = f'must be at most chunk, {self.chunk}'
    for field in ('continuation', 'grams'):
      value = getattr(self, field)
      require(value <= self.chunk, field, value, rule)
    least, rule = self.neighbours, 'must be at least 0'
    require(least >= 0, 'neighbours', least, rule)
    rule = f'unknown; {nearest(self.choice, CHOICES)}'
    require(self.choice in CHOICES, 'choice', self.choice, rule)
    fits = 0 < self.share <= 1 and (self.share == 1 or not self.snapshot)
    rule = 'must be in (0, 1], and 1 beside a snapshot'
    require(fits, 'share', self.share, rule)

  def prepare(self) -> None:
    super().prepare()
    if self.neighbours:
      about, size = self._database.snapshot.about, self._database.size
      rule = f'holds {about!r}; this task reads {self.about!r}'
      require(about == self.about, 'snapshot', self.snapshot, rule)
      rule = f'has {size} chunks'
      require(size >= self.neighbours, 'neighbours', self.neighbours, rule)

  @property
  def length(self) -> int:
    return self.task.length + (self._chunks - 1) * self._between

  @property
  def _chunks(self) -> int:
    return self.task.length // self.chunk

  @property
  def _between(self) -> int:
    """Steps between two chunks."""
    read = self.neighbours * (self.continuation + 1)
    return read + 1 if read else 0

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.task.input_spec.size + 2)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.task.input_spec.size)

  @property
  def about(self) -> str:
    """What keys and values of the database are."""
    tokenizer = self.text_tokenizer
    tokens = tokenizer.digest[:12] if tokenizer else 'ids'
    return (
      f'{self.continuation} tokens after chunks of {self.chunk}, keys of '
      f'{self.width} numbers from 1- to {self.grams}-grams, tokenizer {tokens}'
    )

  def chunks(self) -> tuple[np.ndarray, np.ndarray]:
    """All chunks of the training text `(N, m)`, and what follows `(N, f)`."""
    assert isinstance(self.task, Text)
    chunks, after = [], []
    for tokens in self.task.tokens_of('train'):
      count = (len(tokens) - self.continuation) // self.chunk
      count = max(int(count * self.share), 0)
      begin_N1 = self.chunk * np.arange(count)[:, None]
      chunks.append(tokens[begin_N1 + np.arange(self.chunk)])
      follows = begin_N1 + self.chunk + np.arange(self.continuation)
      after.append(tokens[follows])
    return np.concatenate(chunks), np.concatenate(after)

  def keys(self, token_CM: np.ndarray) -> np.ndarray:
    """`(C, D)` float32, of chunks."""
    return chunk_keys(token_CM, self.width, self.grams)

  @functools.cached_property
  def _database(self) -> ChunkDatabase:
    if self.snapshot:
      return ChunkDatabase(open_snapshot(Path(self.snapshot)))
    token_NM, after_NF = self.chunks()
    sources = [chunk_number(chunk) for chunk in token_NM]
    arrays = self.keys(token_NM), after_NF, np.array(sources, np.uint64)
    return ChunkDatabase(of_arrays(*arrays, self.about))

  def describe(self) -> list[str]:
    lines = self.task.describe()
    if not self.neighbours:
      return lines
    place, found = self.snapshot or 'the training text', self._database
    line = (
      f'{self.neighbours} {self.choice} of {found.size:,} chunks of {place}'
    )
    return [*lines, f'{line}, fingerprint {found.snapshot.fingerprint[:12]}']

  def fingerprint(self) -> str:
    parts = [self.task.fingerprint().encode()]
    if self.neighbours:
      parts.append(self._database.snapshot.fingerprint.encode())
    return digest(parts)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    batch = self.task.rows(stream, step, row_ids)
    shape = len(row_ids), self._chunks - 1, self.neighbours, self.continuation
    if not self.neighbours or self._chunks == 1:
      return batch, np.zeros(shape, np.int32)
    places = self._places([row.tobytes() for row in batch.inputs])
    token_RUKF = self._database.snapshot.token_NW[places]
    return batch, token_RUKF.astype(np.int32)

  @functools.cached_property
  def _known(self) -> dict[bytes, np.ndarray]:
    """Places of the neighbours of rows that were read lately."""
    return {}

  def _places(self, rows: list[bytes]) -> np.ndarray:
    """Places `(R, C - 1, k)` of the neighbours of all chunks but the last."""
    known = self._known
    if len(known) > KEPT:
      known.clear()
    if new := [row for row in dict.fromkeys(rows) if row not in known]:
      shape = len(new), self._chunks, self.chunk
      token_RCM = np.frombuffer(b''.join(new), np.int32).reshape(shape)
      keys = self.keys if self.choice == 'nearest' else None
      found = self._database.find(token_RCM, self.neighbours, keys)
      known.update(zip(new, found, strict=True))
    return np.stack([known[row] for row in rows])

  def batch(self, host_batch: HostBatch) -> Batch:
    of_text, token_RUKF = host_batch
    batch = jax.tree.map(jnp.asarray, self.task.batch(of_text))
    between_RUS = jnp.asarray(token_RUKF)
    rows, gaps = between_RUS.shape[:2]
    if self.neighbours:
      vocab = self.output_spec.size
      begins = ((0, 0), (0, 0), (0, 0), (1, 0))
      each = jnp.pad(between_RUS, begins, constant_values=vocab)
      flat = each.reshape(rows, gaps, -1)
      ends = ((0, 0), (0, 0), (0, 1))
      between_RUS = jnp.pad(flat, ends, constant_values=vocab + 1)
    else:
      between_RUS = between_RUS.reshape(rows, gaps, 0)

    def spread(x_RT: jax.Array, gap_RUS: jax.Array) -> jax.Array:
      x_RCM = x_RT.reshape(rows, -1, self.chunk)
      later = jnp.concatenate([gap_RUS.astype(x_RCM.dtype), x_RCM[:, 1:]], -1)
      return jnp.concatenate([x_RCM[:, 0], later.reshape(rows, -1)], -1)

    nothing = jnp.zeros_like(between_RUS)
    return Batch(
      spread(batch.inputs, between_RUS),
      *(spread(x_RT, nothing) for x_RT in batch[1:4]),
    )
