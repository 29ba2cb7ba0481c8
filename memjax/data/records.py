"""The text of a source on disk, as a verified TFDS data set."""

from collections.abc import Callable, Iterator
import logging
from pathlib import Path
import re
import shutil
from typing import TypeAlias

from memjax.data.sources import Piece, Source, digest
from memjax.errors import ConfigError

Reader: TypeAlias = Callable[[str], Iterator[Piece]]  # split -> its pieces

_WORD_ENDS = re.compile(rb'.*\S(?=\s)', re.DOTALL)

log = logging.getLogger(__name__)


def open_records(source: Source, folder: Path) -> Reader:
  """The reader of a source's records in `folder/FINGERPRINT`.

  Records the source if its records are missing or damaged. The caller holds
  the lock of the cache folder.

  Raises:
    ConfigError: a file cannot be read, or changes while it is recorded.
    OSError: the folder cannot be written.
  """
  from memjax.data.builders import builder

  data_dir = folder / source.fingerprint
  if data_dir.exists():
    try:
      return _verified(source, builder(source, data_dir).pieces)
    except Exception:  # TFDS raises many types for damaged files
      log.warning('%s is damaged; recording it again', data_dir)
  shutil.rmtree(data_dir, ignore_errors=True)
  try:
    documents = builder(source, data_dir)
    documents.prepare()
    return _verified(source, documents.pieces)
  except _TextDiffers:
    rule = 'changed while it was being read; try again'
    raise ConfigError('path', source.place, rule) from None
  except RuntimeError as error:  # a record file reports a full disk this way
    raise OSError(str(error)) from error


def regroup_words(pieces: Reader) -> Reader:
  """The same text in pieces that end at the end of a word.

  A piece ends before the white space that follows a word. It therefore cuts no
  word, and no word of GPT-2's pattern. The last piece of a document is its
  remaining text. A piece without white space is not changed.
  """

  def regrouped(split: str) -> Iterator[Piece]:
    rest: Piece | None = None
    for piece in pieces(split):
      if rest is not None and rest.document == piece.document:
        piece = Piece(rest.document, rest.offset, rest.text + piece.text)
      elif rest is not None:
        yield rest
      match = _WORD_ENDS.match(piece.text)
      end = match.end() if match else len(piece.text)
      yield piece._replace(text=piece.text[:end])
      tail = piece.text[end:]
      rest = Piece(piece.document, piece.offset + end, tail) if tail else None
    if rest is not None:
      yield rest

  return regrouped


class _TextDiffers(Exception):
  """The text of the records differs from the source."""


def _verified(source: Source, pieces: Reader) -> Reader:
  """The same reader; raises if its text differs from the source."""
  for split in source.spans:
    if digest(piece.text for piece in pieces(split)) != source.digests[split]:
      raise _TextDiffers
  return pieces
