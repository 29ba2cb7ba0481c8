"""TensorFlow Datasets builders of our corpora; they need no TensorFlow.

A record is a piece of a document: its text, which document it is of, and where
in it the piece begins. Importing this takes half a second: do it when a corpus
is prepared.
"""

from collections.abc import Iterator
import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from memjax.data.sources import SPLITS, Piece, Source


class _LocalInfo(tfds.core.DatasetInfo):
  """What is known of a data set that no server knows."""

  def initialize_from_bucket(self) -> None:
    """Asks nobody, and makes no temporary folder to put the answer in."""


class Local(tfds.core.GeneratorBasedBuilder):
  """A data set made of what is on this machine, or has been fetched to it."""

  VERSION = tfds.core.Version('1.0.0')

  def features(self) -> dict[str, Any]:
    """What a record holds."""
    raise NotImplementedError(f'{type(self).__name__}.features')

  def _info(self) -> tfds.core.DatasetInfo:
    return _LocalInfo(
      builder=self,
      features=tfds.features.FeaturesDict(self.features()),
      disable_shuffling=True,
    )

  def prepare(self) -> None:
    """Writes the records, unless they are there; says nothing about it."""
    local = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):
      self.download_and_prepare(
        download_config=local, file_format='array_record'
      )


class Documents(Local):
  """The documents of a source, in the splits it is cut into.

  Args:
    source: the documents.
    data_dir: a folder of this source's content alone, since a version is the
      version of the builder and says nothing about the files it reads.
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
    return {split: self._generate_examples(split) for split in SPLITS}

  def _generate_examples(
    self, split: str
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for key, piece in enumerate(self._source.pieces(split)):
      yield key, piece._asdict()

  def pieces(self, split: str) -> Iterator[Piece]:
    """What was recorded of a split, in order."""
    return (Piece(**record) for record in self.as_data_source(split))


class StandardLibrary(Documents):
  """The modules of Python's own library on this machine."""


class TextFiles(Documents):
  """A file or a folder of the user's own."""


class Released(Documents):
  """A corpus that was released under a name."""


def builder(source: Source, data_dir: Path) -> Documents:
  """The builder of a source."""
  hush()
  kinds = (StandardLibrary, TextFiles, Released)
  builders = {cls.name: cls for cls in kinds}
  return builders[source.name](source, data_dir=data_dir)


def hush() -> None:
  """No word of TFDS below a warning is shown."""
  logging.getLogger('absl').addFilter(_not_chatter)
  tfds.disable_progress_bar()


def _not_chatter(record: logging.LogRecord) -> bool:
  chatter = record.levelno < logging.WARNING
  return not (chatter and '/tensorflow_datasets/' in record.pathname)
