"""What a store holds, what one asks of it, and what it answers."""

import hashlib
import json
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from memjax.errors import ConfigError, require

NEVER = 0.0  # of `Record.expires`
TEXT, BYTES = b't', b'b'
SOURCE_BYTES = 32
NONE = -1  # the number of no record


class Damaged(ConfigError):
  """What was read is not what was written."""


class Record(NamedTuple):
  """One memory.

  Attributes:
    key: `(D,)` what it is found by.
    value: what is remembered. Only text is masked.
    expires: seconds since 1970 after which it cannot be read; 0: never.
    tags: words to filter by; without spaces.
    source: the text it came from; a store keeps its hash only.
  """

  key: ArrayLike
  value: str | bytes
  expires: float = NEVER
  tags: tuple[str, ...] = ()
  source: str = ''


class Found(NamedTuple):
  """A record as it is read.

  Attributes:
    seq: its number in its space, from 0, never used twice.
    value: as written, or masked.
    at: seconds since 1970 when it was written.
    expires: as in `Record`.
    tags: as in `Record`, sorted.
    source: the SHA-256 of the source, or 32 zero bytes.
  """

  seq: int
  value: str | bytes
  at: float
  expires: float
  tags: tuple[str, ...]
  source: bytes


class Range(NamedTuple):
  """The records that a reader may see: begin <= seq < end.

  This is all that a carry holds of a store. Records are only added, so the same
  range gives the same answer; forgetting is the one exception.
  """

  begin: int
  end: int


class Hits(NamedTuple):
  """The nearest records of Q queries, the best first.

  Attributes:
    seq_QK: int64 numbers; -1 where there are fewer than K.
    score_QK: float32; the cosine, or minus the squared distance.
  """

  seq_QK: np.ndarray
  score_QK: np.ndarray


def nothing(queries: int, count: int) -> Hits:
  """The hits of queries that found no record."""
  shape = queries, count
  score_QK = np.full(shape, -np.inf, np.float32)
  return Hits(np.full(shape, NONE, np.int64), score_QK)


class Where(NamedTuple):
  """Which records to read or to forget; every condition must hold.

  Attributes:
    tags: all of these words are among a record's tags.
    since: written at this second or later.
    before: written before this second; 0: no bound.
    seqs: only these numbers; None: all.
  """

  tags: tuple[str, ...] = ()
  since: float = 0.0
  before: float = 0.0
  seqs: tuple[int, ...] | None = None


ANY = Where()


def join_tags(tags: tuple[str, ...]) -> str:
  """The tags as an engine keeps them: ' a b ', or '' if there are none.

  Raises:
    ConfigError: a tag is empty or has white space in it.
  """
  for tag in tags:
    rule = 'must be a word without white space'
    require(bool(tag) and len(tag.split()) == 1, 'store.tags', tag, rule)
  return f' {" ".join(sorted({*tags}))} ' if tags else ''


def pack(record: Record) -> bytes:
  """Kind, hash of the source and value of a record."""
  value, source = record.value, record.source
  digest = hashlib.sha256(source.encode()).digest() if source else bytes(32)
  if isinstance(value, str):
    return TEXT + digest + value.encode('utf-8', 'surrogateescape')
  return BYTES + digest + bytes(value)


def unpack(payload: bytes) -> tuple[str | bytes, bytes]:
  """The value and the hash of the source."""
  kind, rest = payload[:1], payload[1:]
  source, value = rest[:SOURCE_BYTES], rest[SOURCE_BYTES:]
  if kind == TEXT:
    return value.decode('utf-8', 'surrogateescape'), source
  return value, source


def pack_key(key: ArrayLike) -> bytes:
  """A key as little-endian float32.

  Raises:
    ConfigError: it is not a vector of finite numbers.
  """
  vector = np.asarray(key, '<f4')
  require(vector.ndim == 1, 'store.key', vector.shape, 'must be one vector')
  finite = bool(vector.size) and bool(np.isfinite(vector).all())
  require(finite, 'store.key', 'values', 'must be finite numbers, at least one')
  return vector.tobytes()


def pack_tokens(*tokens: int) -> bytes:
  """Token ids as the value of a record."""
  return struct.pack(f'<{len(tokens)}i', *tokens)


def unpack_tokens(value: str | bytes) -> tuple[int, ...]:
  """The token ids of a value.

  Raises:
    Damaged: the value holds something else.
  """
  if isinstance(value, str) or len(value) % 4:
    raise Damaged('store', 'value', 'is not a row of token ids')
  return struct.unpack(f'<{len(value) // 4}i', value)


def token_ids(value: str | bytes) -> tuple[int, ...]:
  """The token ids of a value; none if it is something else."""
  whole = isinstance(value, bytes) and len(value) % 4 == 0
  return unpack_tokens(value) if whole else ()


def canonical(content: object) -> bytes:
  """The one JSON text of a content, to hash or to sign."""
  return json.dumps(content, sort_keys=True, separators=(',', ':')).encode()
