"""Which steps exist, and rows that span several of them."""

from pathlib import Path

import numpy as np

from memjax.analysis import streams
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text
from tests.analysis.known import RepeatToken


def test_a_text_ends_and_its_rows_continue(tmp_path: Path) -> None:
  path = tmp_path / 'text.txt'
  path.write_text('0123456789' * 20)
  task = Text(corpus='files', path=str(path), length=5)
  last = task.epoch_steps(2)
  assert streams.steps(task, 2, 3, 2) == range(3, 5)
  assert streams.steps(task, 2, 3, 100) == range(3, last)
  batch = streams.joined(task, Stream(0, streams.NUMBER, 2), 4, 3)
  assert batch.inputs.shape == (2, 3 * 5)
  assert (np.diff(np.asarray(batch.inputs)) % 10 == 1).all()
  np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])


def test_generated_rows_do_not_end() -> None:
  task = RepeatToken()
  assert streams.steps(task, 2, 1, 1000) == range(1, 1001)
