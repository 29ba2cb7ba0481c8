"""A process that is ended at once says in run.json why."""

import contextlib
from pathlib import Path
import threading

import pytest

from memjax.guards import ending
from memjax.runs import exit_codes, processes, workdir
from memjax.runs.lock import lock
from memjax.runs.workdir import claim, open_run, read_run
from tests.small import small


@pytest.mark.parametrize(
  ('code', 'state'),
  [
    (exit_codes.STUCK, 'failed'),
    (exit_codes.PEER, 'failed'),
    (exit_codes.DIVERGED, 'diverged'),
    (exit_codes.STOPPED, 'stopped'),
  ],
)
def test_an_open_run_says_how_it_ended(
  code: int, state: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  codes: list[int] = []
  with (
    contextlib.suppress(RuntimeError),
    open_run(small('adding', 'gru'), tmp_path),
  ):
    assert read_run(tmp_path).state == 'running'
    ending.end('save made no progress', code, codes.append)
    record = read_run(tmp_path)
    assert codes == [code]
    assert (record.state, record.reason) == (state, 'save made no progress')
    raise RuntimeError('what the main thread meets as another process leaves')
  assert capsys.readouterr().err == 'memjax: save made no progress\n'
  assert read_run(tmp_path) == record
  ending.end('of no run', code, codes.append)
  assert read_run(tmp_path) == record


def test_another_process_says_it_if_the_first_one_is_gone(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('adding', 'gru')
  claim(tmp_path, experiment)
  monkeypatch.setattr(processes, 'is_first', lambda: False)
  monkeypatch.setattr(workdir, 'DYING', 0.0)
  with open_run(experiment, tmp_path):
    with lock(tmp_path):
      ending.end('process 1 died', exit_codes.PEER, lambda _: None)
      assert read_run(tmp_path).state == 'running', 'the first one lives'
    for line in ('process 0 died', 'said once'):
      ending.end(line, exit_codes.PEER, lambda _: None)
    assert read_run(tmp_path)[0::3] == ('failed', 'process 0 died')


def test_the_reason_may_be_known_after_the_main_thread_has_left(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = small('adding', 'gru')
  claim(tmp_path, experiment)
  monkeypatch.setattr(processes, 'is_first', lambda: False)
  with contextlib.suppress(RuntimeError), open_run(experiment, tmp_path):
    raise RuntimeError('a connection that breaks as process 0 dies')
  assert read_run(tmp_path).state == 'running'
  ending.end('process 0 died', exit_codes.PEER, lambda _: None)
  assert read_run(tmp_path)[0::3] == ('failed', 'process 0 died')


def test_a_disk_that_is_stuck_does_not_keep_the_process(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(ending, 'WAIT', 0.05)
  codes: list[int] = []
  unstuck = threading.Event()

  def record(state: str, reason: str) -> None:
    unstuck.wait(5)
    codes.append(-1)

  with ending.recorded_by(record):
    ending.end('stuck', exit_codes.STUCK, codes.append)
    assert codes == [exit_codes.STUCK]
    unstuck.set()
