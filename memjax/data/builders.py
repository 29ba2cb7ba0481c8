"""TensorFlow Datasets builders of text corpora; TensorFlow is not needed.

A record is a piece of a document: its text, the index of its document, and its
offset in the document. Importing this module takes half a second, so import it
only where a corpus is prepared.
"""

from collections.abc import Iterator
import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from memjax.data.sources import Piece, Source


class _LocalInfo(tfds.core.DatasetInfo):
  """The info of a data set that exists only on this machine."""

  def initialize_from_bucket(self) -> None:
    """Does nothing: no network request, no temporary folder."""


class Local(tfds.core.GeneratorBasedBuilder):
  """A data set built from files on this machine."""

  VERSION = tfds.core.Version('1.0.0')

  def features(self) -> dict[str, Any]:
    """The features of a record."""
    raise NotImplementedError(f'{type(self).__name__}.features')

  def _info(self) -> tfds.core.DatasetInfo:
    return _LocalInfo(
      builder=self,
      features=tfds.features.FeaturesDict(self.features()),
      disable_shuffling=True,
    )

  def prepare(self) -> None:
    """Writes the records if they do not exist; prints nothing."""
    local = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):
      self.download_and_prepare(
        download_config=local, file_format='array_record'
      )


class Documents(Local):
  """The documents of a source, in its splits.

  Args:
    source: the documents.
    data_dir: a folder for this source only. TFDS versions the builder, not the
      files it reads, so two sources must not share a folder.
  """

  def __init__(self, source: Source, *, data_dir: Path):
    self._source = source
    super().__init__(data_dir=data_dir)

  def features(self) -> dict[str, Any]:
    return {
      'text': tfds.features.Text(),
      'document': tfds.features.Scalar(np.int64),
      'offset': tfds.features.Scalar(np.int64),
    }

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    del dl_manager
    return {
      split: self._generate_examples(split) for split in self._source.spans
    }

  def _generate_examples(
    self, split: str
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for key, piece in enumerate(self._source.pieces(split)):
      yield key, piece._asdict()

  def pieces(self, split: str) -> Iterator[Piece]:
    """The recorded pieces of a split, in order."""
    return (Piece(**record) for record in self.as_data_source(split))


class StandardLibrary(Documents):
  """The modules of this machine's Python standard library."""


class TextFiles(Documents):
  """The user's own file or folder."""


class Released(Documents):
  """A named public corpus."""


def builder(source: Source, data_dir: Path) -> Documents:
  """The builder of a source."""
  hush()
  kinds = (StandardLibrary, TextFiles, Released)
  builders = {cls.name: cls for cls in kinds}
  return builders[source.name](source, data_dir=data_dir)


def hush() -> None:
  """Hides TFDS's log lines below warnings, and its progress bars."""
  logging.getLogger('absl').addFilter(_not_chatter)
  tfds.disable_progress_bar()


def _not_chatter(record: logging.LogRecord) -> bool:
  chatter = record.levelno < logging.WARNING
  return not (chatter and '/tensorflow_datasets/' in record.pathname)
