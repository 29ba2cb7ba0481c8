"""The text of a source on disk, as a TFDS data set that is whole."""

from collections.abc import Callable, Iterator
import logging
from pathlib import Path
import re
import shutil
from typing import TypeAlias

from memjax.data.sources import SPLITS, Piece, Source, digest
from memjax.errors import ConfigError

Reader: TypeAlias = Callable[[str], Iterator[Piece]]  # from a split's name

_WORD_ENDS = re.compile(rb'.*\S(?=\s)', re.DOTALL)

log = logging.getLogger(__name__)


def recorded(source: Source, folder: Path) -> Reader:
  """Reads what is recorded of a source in `folder/FINGERPRINT`.

  It is recorded first if it is not, and again if it is damaged. The caller
  holds the lock.

  Raises:
    ConfigError: a file cannot be read, or changes at this moment.
    OSError: the folder cannot be written.
  """
  from memjax.data.builders import builder

  data_dir = folder / source.fingerprint
  if data_dir.exists():
    try:
      return _whole(source, builder(source, data_dir).pieces)
    except Exception:  # damage shows itself in many ways
      log.warning('%s is not whole and is made again', data_dir)
  shutil.rmtree(data_dir, ignore_errors=True)
  try:
    documents = builder(source, data_dir)
    documents.prepare()
    return _whole(source, documents.pieces)
  except _NotTheText:
    changed = ConfigError('path', source.place, 'changes while it is read')
    raise changed from None
  except RuntimeError as error:  # how a record file says that a disk is full
    raise OSError(str(error)) from error


def whole_words(pieces: Reader) -> Reader:
  """The same text in pieces that end where a word does.

  A piece ends before white space that follows a word, so no word is cut, nor
  what GPT-2's pattern takes for one. A document's last piece is what is left,
  and a piece without white space is left as it is.
  """

  def regrouped(split: str) -> Iterator[Piece]:
    rest: Piece | None = None
    for piece in pieces(split):
      if rest is not None and rest.document == piece.document:
        piece = Piece(rest.document, rest.offset, rest.text + piece.text)
      elif rest is not None:
        yield rest
      border = _WORD_ENDS.match(piece.text)
      end = border.end() if border else len(piece.text)
      yield piece._replace(text=piece.text[:end])
      left = piece.text[end:]
      rest = Piece(piece.document, piece.offset + end, left) if left else None
    if rest is not None:
      yield rest

  return regrouped


class _NotTheText(Exception):
  """The records hold another text than the source."""


def _whole(source: Source, pieces: Reader) -> Reader:
  for split in SPLITS:
    text = digest(piece.text for piece in pieces(split))
    if text != source.digests[split]:
      raise _NotTheText
  return pieces
