"""Everything happens to one run; at the end it equals the unbroken one."""

from pathlib import Path
import random

import pytest

from experiments.resume.day import live
from experiments.resume.kill import RUNS


# The run's file limit is set in a fork, of which jax warns.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.slow
def test_a_day_in_the_life_of_a_run(tmp_path: Path) -> None:
  run = RUNS['LSTM on MQAR']
  equal, rows = live(run, tmp_path, rounds=1, draw=random.Random(2))
  assert rows > 60
  assert equal == rows
