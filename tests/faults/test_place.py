"""A workdir that is moved, replaced or deleted ends the run in one line."""

from collections.abc import Callable
import fcntl
import os
from pathlib import Path
import shutil
from typing import Any

import pytest

from memjax.config.experiment import Experiment
from memjax.guards.place import Gone
from memjax.logs import metrics_file
from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.workdir import read_run
from memjax.training import loop
from memjax.training.loop import train
from memjax.training.metrics import Meter
from tests.small import small

AT = 4  # the step after which it happens
RUN = {
  'parallel.data': 1,
  'train.steps': 8,
  'train.steps_per_call': 1,
  'log.every': 1,
  'checkpoint.every': 2,
  'evals.held_out.every': 8,
}


def run_and(
  happens: Callable[[], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Trains; something happens to the folder once step AT is over."""
  push, opened = Meter.push, loop.open_checkpoints
  checkpoints: list[Checkpoints] = []

  def happen(self: Meter, step: int, sums: Any, faults: Any) -> None:
    push(self, step, sums, faults)
    if step == AT:
      checkpoints[0].wait()
      happens()

  def remember(experiment: Experiment, workdir: Path) -> Checkpoints:
    checkpoints.append(opened(experiment, workdir))
    return checkpoints[0]

  monkeypatch.setattr(loop, 'open_checkpoints', remember)
  monkeypatch.setattr(Meter, 'push', happen)
  train(small('copy_memory', 'lstm', RUN), folder, lambda *_: None)


@pytest.mark.slow
def test_a_moved_workdir_has_the_last_step(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  old, new = tmp_path / 'old', tmp_path / 'other' / 'new place'
  new.parent.mkdir()

  def replace() -> None:
    old.rename(new)
    old.mkdir()
    (old / '.lock').write_text('of somebody else')

  with pytest.raises(Gone) as error:
    run_and(replace, old, monkeypatch)
  assert error.value.filename == str(old)
  assert f'was moved to {new}' in str(error.value.strerror)
  assert f'step {AT} is saved there' in str(error.value.strerror)
  assert [path.name for path in old.iterdir()] == ['.lock']
  assert manifest.verify(new / 'checkpoints' / str(AT)).step == AT
  assert read_run(new)[:2] == ('stopped', AT)
  monkeypatch.undo()
  train(small('copy_memory', 'lstm', RUN), new, lambda *_: None)
  whole = tmp_path / 'whole'
  train(small('copy_memory', 'lstm', RUN), whole, lambda *_: None)
  parts, one = (
    metrics_file.load_rows(folder / 'metrics.jsonl') for folder in (new, whole)
  )
  assert [row['metrics'] for row in parts] == [row['metrics'] for row in one]


def test_a_deleted_workdir_ends_the_run_and_is_not_made_anew(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  folder = tmp_path / 'run'
  with pytest.raises(Gone, match='was deleted while the run trained in it'):
    run_and(lambda: shutil.rmtree(folder), folder, monkeypatch)
  assert not folder.exists()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('taken', [False, True])
def test_without_its_lock_file_a_run_saves_unless_another_began(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
  lock = tmp_path / 'run' / '.lock'

  def unlock() -> None:
    lock.unlink()
    if taken:
      file = os.open(lock, os.O_RDWR | os.O_CREAT)
      fcntl.flock(file, fcntl.LOCK_EX)

  with pytest.raises(Gone) as error:
    run_and(unlock, lock.parent, monkeypatch)
  line = str(error.value)
  assert ('another run began in it' in line) == taken
  assert (f'step {AT} is saved there' in line) == (not taken)
