"""The TensorFlow Datasets builder of bAbI's stories; TensorFlow is not needed.

A record is one story, its lines in the format of bAbI's files. Importing this
module takes half a second, so import it only where stories are written or read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from memjax.data.builders import Local, hush
from memjax.data.splits import SPLITS


class Babi(Local):
  """The stories of one task.

  Args:
    stories: {split: the lines of each story}; empty for reading records.
    data_dir: a folder that contains only this task's records.
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


def write_stories(place: Path, stories: Mapping[str, list[bytes]]) -> None:
  """Writes the stories of a task as records, in their own folder."""
  hush()
  Babi(stories, data_dir=place).prepare()


def read_stories(place: Path) -> dict[str, list[bytes]]:
  """{split: the stories recorded in a folder}."""
  hush()
  records = Babi({}, data_dir=place)
  return {
    split: [record['story'] for record in records.as_data_source(split)]
    for split in SPLITS
  }
