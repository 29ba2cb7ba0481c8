"""Secrets stay out of all files; clocks, locales and names change nothing."""

import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

import pytest

from memjax.errors import ConfigError, Diverged
from memjax.guards.phase import dump_stacks
from memjax.logs import metrics_file
from memjax.runs.checkpoint import Checkpoints
from memjax.training.loop import train
from tests.small import small

ROOT = Path(__file__).parents[2]
SECRET = 'hunter2-0123456789abcdef'
NAMES = ('WANDB_API_KEY', 'AWS_SECRET_ACCESS_KEY', 'HF_TOKEN', 'PASSWORD')
SECRETS = dict.fromkeys(NAMES, SECRET)
RUN: dict[str, Any] = {
  'parallel.data': 1,
  'train.steps': 4,
  'train.steps_per_call': 1,
  'log.every': 2,
  'checkpoint.every': 2,
  'evals.held_out.every': 4,
}


def figures(folder: Path) -> list[tuple[int, str, dict[str, float]]]:
  rows = metrics_file.load_rows(folder / 'metrics.jsonl')
  return [(row['step'], row['split'], row['metrics']) for row in rows]


def files_with(folder: Path, word: str) -> list[str]:
  return [
    path.name
    for path in folder.rglob('*')
    if path.is_file() and word.encode() in path.read_bytes()
  ]


@pytest.mark.slow
def test_a_clock_that_jumps_and_odd_names_change_nothing(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """The wall clock runs backwards by an hour a look, in another time zone."""
  plain, odd = tmp_path / 'plain', tmp_path / "it's a run, ü #1 %20 [x]"
  train(small('copy_memory', 'lstm', RUN), plain, lambda *_: None)
  now = [time.time()]

  def backwards() -> float:
    now[0] -= 3600
    return now[0]

  monkeypatch.setattr(time, 'time', backwards)
  monkeypatch.setenv('TZ', 'Asia/Kolkata')
  time.tzset()
  steps = RUN | {'train.steps': 4}
  train(small('copy_memory', 'lstm', steps), odd, lambda *_: None)
  monkeypatch.undo()
  time.tzset()
  assert figures(odd) == figures(plain)


@pytest.mark.slow
def test_no_secret_of_the_environment_is_in_a_file(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture,
) -> None:
  """Of a run that diverges, with all its records and a dump of all stacks."""
  for name, value in SECRETS.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv('WANDB_MODE', 'disabled')
  huge = {'optim.learning_rate': 1e38, 'optim.clip_norm': 0.0}
  huge |= {'log.every': 1, 'log.tensorboard': True}
  with pytest.raises(Diverged):
    train(small('adding', 'lstm', RUN | huge), tmp_path, lambda *_: None)
  dump_stacks(tmp_path / 'stacks.txt')
  assert len(list(tmp_path.rglob('*'))) > 10
  assert files_with(tmp_path, 'jaxlib') == ['run.json']
  assert files_with(tmp_path, SECRET) == []
  captured = capsys.readouterr()
  assert SECRET not in captured.out + captured.err


def test_a_name_that_the_locale_cannot_read_is_refused(tmp_path: Path) -> None:
  with pytest.raises(ConfigError, match='set PYTHONUTF8=1'):
    Checkpoints(tmp_path / 'a \udcc3\udcbc', keep=1)


@pytest.mark.slow
def test_another_locale_changes_nothing(tmp_path: Path) -> None:
  command = [sys.executable, '-m', 'memjax', '--config=copy_memory:lstm,quick']
  command += ['--config.parallel.data=1', '--config.train.steps=8']
  other = {'LC_ALL': 'C', 'TZ': 'Pacific/Kiritimati'}
  for name, added in (('plain', {}), ('other ü', other | SECRETS)):
    done = subprocess.run(
      [*command, f'--workdir={tmp_path / name}'],
      env=os.environ | {'WANDB_MODE': 'disabled'} | added,
      cwd=ROOT,
      capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET.encode() not in done.stdout + done.stderr
  assert figures(tmp_path / 'plain') == figures(tmp_path / 'other ü')
  assert files_with(tmp_path / 'other ü', SECRET) == []
