"""kill -9 at random moments changes no bit of what a run goes on to; SIGTERM
leaves a checkpoint of the step it met."""

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


@pytest.mark.parametrize(
  'name',
  [
    'LSTM on MQAR',
    pytest.param('Transformer-XL on text', marks=pytest.mark.slow),
  ],
)
def test_a_killed_run_equals_the_unbroken_one(
  name: str, tmp_path: Path
) -> None:
  equal, rows = trial(RUNS[name], tmp_path, kills=2, draw=random.Random(7))
  assert rows > 60
  assert equal == rows


def test_sigterm_saves_the_step_and_says_how_to_go_on(tmp_path: Path) -> None:
  args = [*RUNS['LSTM on MQAR'], '--config.train.steps=100000']
  process = start(args, tmp_path)
  wait_for(process, tmp_path, rows=3)
  process.terminate()
  said, errors = process.communicate(timeout=LIMIT)
  assert process.returncode == 0, errors.decode()
  last = said.decode().splitlines()[-1]
  assert last == (
    f'stopped and saved in {tmp_path}: the same command goes on from here'
  )
  *_, (step, _, _) = measured(tmp_path)
  assert load(tmp_path).step == step
