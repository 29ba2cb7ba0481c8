"""kill -9 at random moments changes no bit of what a run goes on to."""

from pathlib import Path
import random

import pytest

from experiments.resume.kill import RUNS, trial


@pytest.mark.parametrize('name', RUNS)
def test_a_killed_run_equals_the_unbroken_one(
  name: str, tmp_path: Path
) -> None:
  equal, rows = trial(RUNS[name], tmp_path, kills=3, draw=random.Random(7))
  assert rows > 60
  assert equal == rows
