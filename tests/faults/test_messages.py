"""Faults in mid-run that nothing else provokes: one line each."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from memjax.__main__ import describe
from memjax.config import experiment as experiments
from memjax.errors import ConfigError
from memjax.guards import phase
from memjax.guards.memory import CheckedStep
from memjax.logs import metrics_file
from memjax.runs import exit_codes, manifest
from memjax.runs.workdir import read_run
from memjax.training.loop import past_rows, train
from tests.small import small

AT = 3  # the dispatch that finds no memory
RUN = {
  'parallel.data': 1,
  'train.steps': 4,
  'train.steps_per_call': 1,
  'log.every': 1,
  'checkpoint.every': 2,
  'checkpoint.best': '',
  'evals.held_out.every': 0,
}


@pytest.mark.slow
def test_out_of_memory_in_mid_run_is_one_line_and_the_run_resumes(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture,
) -> None:
  """XLA refuses an array in the third step; then the rows are deleted."""
  experiment = small('copy_memory', 'lstm', RUN)
  step, calls = CheckedStep.__call__, []

  def too_large(self: CheckedStep, state: Any, host_batch: Any) -> Any:
    calls.append(1)
    if len(calls) == AT:
      jnp.zeros((10**14,))
    return step(self, state, host_batch)

  monkeypatch.setattr(CheckedStep, '__call__', too_large)
  with pytest.raises(RuntimeError) as error:
    train(experiment, tmp_path, lambda *_: None)
  phase.enter('step', AT)
  assert describe(error.value) == exit_codes.FAILED
  assert capsys.readouterr().err == (
    'memjax: out of memory during step at step 3: RESOURCE_EXHAUSTED: Out of '
    'memory allocating 400000000000000 bytes; a smaller train.batch_size or '
    'train.grad_accum_steps=2 needs less\n'
  )
  record = read_run(tmp_path)
  assert (record.state, record.step) == ('failed', 2)
  assert record.reason.startswith('RESOURCE_EXHAUSTED: Out of memory')
  path = tmp_path / 'metrics.jsonl'
  assert [row['step'] for row in metrics_file.load_rows(path)] == [1, 2]
  path.unlink()
  assert train(experiment, tmp_path, lambda *_: None)
  line = f'memjax: {path} is missing: the rows up to step 2 are lost\n'
  assert capsys.readouterr().err == line
  assert [row['step'] for row in metrics_file.load_rows(path)] == [3, 4]
  assert manifest.verify(tmp_path / 'checkpoints' / '4').step == 4


def test_a_new_run_misses_no_rows(
  tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  assert past_rows(tmp_path, 0) == []
  assert capsys.readouterr().err == ''


def test_other_errors_are_bugs(capsys: pytest.CaptureFixture) -> None:
  for bug in (RuntimeError('no such thing'), KeyError('RESOURCE_EXHAUSTED')):
    with pytest.raises(type(bug)):
      describe(bug)
  assert describe(MemoryError('Unable to allocate 8 EiB')) == exit_codes.FAILED
  assert 'out of memory during ' in capsys.readouterr().err


@pytest.mark.parametrize('steps', [10**7 + 1, 2 * 10**7 + 1, 10**9])
def test_more_than_ten_million_rows_are_refused(steps: int) -> None:
  def logged(every: int) -> None:
    changes = {'train.steps': steps, 'log.every': every}
    small('copy_memory', 'lstm', RUN | changes)

  with pytest.raises(ConfigError) as error:
    logged(1)
  line, most = str(error.value), experiments.MOST_ROWS
  assert line.startswith(f'log.every: 1: makes {steps} rows, more than {most}')
  hint = int(line.removesuffix(' fits').rpartition(' ')[2])
  logged(hint)
  with pytest.raises(ConfigError):
    logged(hint - 1)
