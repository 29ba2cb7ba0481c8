"""The TensorFlow Datasets builder of bAbI's stories; it needs no TensorFlow.

A record is a story, its lines as bAbI's files have them. Importing this takes
half a second: do it when stories are prepared or read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from memjax.data.builders import Local, hush
from memjax.data.sources import SPLITS


class Babi(Local):
  """The stories of one of the tasks.

  Args:
    stories: the lines of each, by split; empty where what is recorded is read.
    data_dir: a folder of this task's files alone.
  """

  def __init__(self, stories: Mapping[str, list[bytes]], *, data_dir: Path):
    self._stories = stories
    super().__init__(data_dir=data_dir)

  def features(self) -> dict[str, Any]:
    return {'story': tfds.features.Text()}

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    del dl_manager
    return {split: self._generate_examples(split) for split in SPLITS}

  def _generate_examples(
    self, split: str
  ) -> Iterator[tuple[int, dict[str, bytes]]]:
    for key, story in enumerate(self._stories[split]):
      yield key, {'story': story}


def write(place: Path, stories: Mapping[str, list[bytes]]) -> None:
  """Records the stories of a task in a folder of their own."""
  hush()
  Babi(stories, data_dir=place).prepare()


def read(place: Path) -> dict[str, list[bytes]]:
  """What is recorded in a folder."""
  hush()
  records = Babi({}, data_dir=place)
  return {
    split: [record['story'] for record in records.as_data_source(split)]
    for split in SPLITS
  }
