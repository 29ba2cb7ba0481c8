"""What is in a user's files, from reading each once."""

import array
from collections.abc import Iterable
import dataclasses
import functools
import hashlib
import json
from pathlib import Path
import sys
import zlib

import numpy as np

from memjax.data.formats import read_parts
from memjax.data.known import known
from memjax.data.splits import WORDS, Placed, unreadable
from memjax.errors import ConfigError, require

CUT = ''  # the split of documents that are cut by size
RULE = 2  # counts the changes of the answers


@dataclasses.dataclass(frozen=True, eq=False)
class SourceFile:
  """A file and the documents in it, none of them empty.

  Attributes:
    path: the file.
    size, modified: of the file itself, when it was looked at.
    sizes_D: int64, size of each document.
    open_D: bool, whether the document has no newline at its end.
    splits_D: the split of each document, CUT where nothing says one.
    digest: SHA-256 of all documents.
  """

  path: Path
  size: int
  modified: int
  sizes_D: np.ndarray
  open_D: np.ndarray
  splits_D: np.ndarray
  digest: str


@functools.lru_cache(maxsize=1 << 16)
def scan(
  path: Path,
  size: int,
  modified: int,
  changed: int,
  field: str,
  split: str = CUT,
) -> SourceFile | None:
  """What is in a file; None if it has no document.

  A file that an earlier start has read is not read again; see known.py.

  Args:
    path: the file.
    size: of the file.
    modified: the time of its last change, in nanoseconds.
    changed: the time of the last change of its entry, which no program sets.
    field: the field of a record with its text.
    split: what its name or a setting says; CUT: nothing.

  Raises:
    ConfigError: the file cannot be read or has no text, or its records say
      another split than its name does.
  """
  question = f'documents, rule {RULE}, field {field!r}, split {split!r}'
  answer = known(path, question, lambda: read_file(path, field, split))
  found = json.loads(zlib.decompress(answer))
  if not found['sizes']:
    return None
  return SourceFile(
    path,
    size,
    modified,
    sizes_D=np.array(found['sizes'], np.int64),
    open_D=np.array(found['open'], bool),
    splits_D=np.array(found['splits'], str),
    digest=found['digest'],
  )


def is_unchanged(file: SourceFile, field: str) -> bool:
  """Whether the file's documents are the same when it is read again."""
  try:
    answer = read_file(file.path, field, CUT)
  except (OSError, ConfigError):
    return False
  found = json.loads(zlib.decompress(answer))
  same_digest = found['digest'] == file.digest
  return same_digest and found['sizes'] == file.sizes_D.tolist()


def read_file(path: Path, field: str, split: str) -> bytes:
  """The documents of a file, from reading it: compressed JSON.

  Its fields are sizes, open, splits and digest, as those of `SourceFile`.
  """
  sha256 = hashlib.sha256()
  sizes, open_, splits = array.array('q'), bytearray(), []
  for document, _, text, said in read_parts(path, field):
    sha256.update(text)
    if document == len(sizes):
      sizes.append(0)
      open_.append(1)
      splits.append(sys.intern(_split_said(path, split, said)))
    sizes[-1] += len(text)
    open_[-1] = not text.endswith(b'\n')
  found = {
    'sizes': sizes.tolist(),
    'open': list(open_),
    'splits': splits,
    'digest': sha256.hexdigest(),
  }
  return zlib.compress(json.dumps(found).encode(), 1)


def _split_said(path: Path, name: str, field: str) -> str:
  said = WORDS.get(field.lower(), CUT)
  rule = f'has a record of the split {field!r}, but its name says {name}'
  require(not (name and said) or name == said, 'path', str(path), rule)
  return name or said


def check_unchanged(file: SourceFile) -> None:
  """Requires the file on disk to be the one that was scanned."""
  try:
    stat = file.path.stat()
  except OSError as error:
    raise unreadable(file.path, error) from None
  same = (stat.st_size, stat.st_mtime_ns) == (file.size, file.modified)
  rule = 'changed while it was being read; try again'
  require(same, 'path', str(file.path), rule)


def scan_files(
  placed: Iterable[Placed], field: str = 'text'
) -> tuple[SourceFile, ...]:
  """Scans files; those without a document are left out.

  Raises:
    ConfigError: a file cannot be read, or some documents say a split and others
      do not.
  """
  files = []
  for path, split in placed:
    try:
      stat = path.stat()
    except OSError as error:
      raise unreadable(path, error) from None
    times = stat.st_mtime_ns, stat.st_ctime_ns
    files.append(scan(path, stat.st_size, *times, field, split))
  found = tuple(file for file in files if file is not None)
  said = {str(split) for file in found for split in np.unique(file.splits_D)}
  if CUT in said and len(said) > 1:
    bad = next(file for file in found if CUT in file.splits_D)
    rule = "has records without a split, but others have the field 'split'"
    raise ConfigError('path', str(bad.path), rule)
  return found
