"""metrics.jsonl comes back as it was, also after a kill."""

import json
import math
from pathlib import Path

import pytest

from memjax.errors import ConfigError
from memjax.logs import metrics_file


def row(step: int, split: str = 'train', **metrics: float) -> metrics_file.Row:
  return {'step': step, 'split': split, 'metrics': metrics}


ROWS = [
  row(10, loss=2.0),
  row(10, 'valid', loss=2.5, accuracy=0.1),
  row(20, loss=1.5),
  row(20, 'valid', loss=1.25, accuracy=0.5),
  row(30, 'valid', loss=1.25, accuracy=0.4),
  row(30, 'test', loss=0.5),
  row(40, 'valid', loss=math.nan, accuracy=0.5),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
  path = tmp_path / 'metrics.jsonl'
  path.write_text(''.join(map(metrics_file.encode_row, ROWS)))
  return path


def test_rows_come_back_as_they_were(path: Path) -> None:
  assert str(metrics_file.load_rows(path)) == str(
    ROWS
  )  # nan is not equal to itself


def test_a_run_that_has_not_begun_has_no_rows(tmp_path: Path) -> None:
  path = tmp_path / 'metrics.jsonl'
  assert (
    metrics_file.load_rows(path) == metrics_file.drop_rows_after(path, 5) == []
  )
  assert not path.exists()


def test_lines_are_strict_json() -> None:
  strange = row(1, a=math.nan, b=math.inf, c=-math.inf, d=1.0) | {'seconds': 3}
  line = metrics_file.encode_row(strange)

  def refuse(constant: str) -> None:
    raise AssertionError(constant)

  seen = json.loads(line, parse_constant=refuse)
  assert seen['metrics'] == {'a': None, 'b': None, 'c': None, 'd': 1.0}
  back = metrics_file.decode_row(line)
  assert math.isnan(back['metrics'].pop('a'))
  assert back == row(1, b=math.inf, c=-math.inf, d=1.0) | {'seconds': 3}
  with pytest.raises(ValueError, match='JSON'):
    metrics_file.encode_row(row(1) | {'seconds': math.nan})


def test_a_torn_last_line_is_dropped_wherever_it_was_torn(path: Path) -> None:
  whole = path.read_bytes()
  last = len(metrics_file.encode_row(ROWS[-1]))
  for cut in range(1, last + 1):
    path.write_bytes(whole[:-cut])
    assert metrics_file.load_rows(path) == ROWS[:-1], cut


def test_a_broken_line_elsewhere_is_named(path: Path) -> None:
  lines = path.read_text().splitlines(keepends=True)
  no_step = '{"split": "train", "metrics": {}}\n'
  for broken in (no_step, '{"step": 1\n', '[]\n', '3\n', '{}\n', '\n'):
    path.write_text(''.join([lines[0], broken, *lines[1:]]))
    with pytest.raises(ConfigError, match=r'metrics\.jsonl.*line 2'):
      metrics_file.load_rows(path)


def test_trimming_keeps_each_row_once_up_to_the_step(path: Path) -> None:
  with path.open('a') as file:
    file.write('{"step": 50, "spl')
  assert metrics_file.drop_rows_after(path, 20) == ROWS[:4]
  assert metrics_file.load_rows(path) == ROWS[:4]
  assert path.read_text().endswith('\n')
  assert [p.name for p in path.parent.iterdir()] == ['metrics.jsonl']


def test_trimming_replaces_the_file_in_one_piece(
  path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  before = path.read_bytes()

  def die(*_: object) -> None:
    raise KeyboardInterrupt

  monkeypatch.setattr('os.fsync', die)
  with pytest.raises(KeyboardInterrupt):
    metrics_file.drop_rows_after(path, 10)
  assert path.read_bytes() == before
