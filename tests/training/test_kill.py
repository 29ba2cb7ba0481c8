"""kill -9 at random moments changes no bit of what a run goes on to; SIGTERM
leaves a checkpoint of the current step."""

from pathlib import Path
import random

import pytest

from experiments.resume.kill import (
  LIMIT,
  RUNS,
  measured,
  start,
  trial,
  wait_for,
)
from memjax import load
from memjax.runs import exit_codes
from memjax.runs.workdir import read_run


@pytest.mark.slow
@pytest.mark.parametrize('name', ['LSTM on MQAR', 'Transformer-XL on text'])
def test_a_killed_run_equals_the_unbroken_one(
  name: str, tmp_path: Path
) -> None:
  equal, rows = trial(RUNS[name], tmp_path, kills=2, draw=random.Random(7))
  assert rows > 60
  assert equal == rows


def test_sigterm_saves_the_step_and_exits_as_stopped(
  tmp_path: Path,
) -> None:
  args = [*RUNS['LSTM on MQAR'], '--config.train.steps=100000']
  process = start(args, tmp_path)
  wait_for(process, tmp_path, rows=3)
  process.terminate()
  _, errors = process.communicate(timeout=LIMIT)
  assert process.returncode == exit_codes.STOPPED, errors.decode()
  *_, (step, _, _) = measured(tmp_path)
  assert load(tmp_path).step == step
  assert read_run(tmp_path)[:2] == ('stopped', step)
