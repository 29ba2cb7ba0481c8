"""The text of a source on disk, as a TFDS data set that is whole."""

from collections.abc import Callable, Iterator
import logging
from pathlib import Path
import shutil
from typing import TypeAlias

from memjax.data.sources import SPLITS, Piece, Source, digest
from memjax.errors import ConfigError

Reader: TypeAlias = Callable[[str], Iterator[Piece]]  # from a split's name

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


class _NotTheText(Exception):
  """The records hold another text than the source."""


def _whole(source: Source, pieces: Reader) -> Reader:
  for split in SPLITS:
    text = digest(piece.text for piece in pieces(split))
    if text != source.digests[split]:
      raise _NotTheText
  return pieces
