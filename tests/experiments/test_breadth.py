"""The study of breadth: each command is of an experiment that can be read."""

from pathlib import Path

import numpy as np
import pytest

from experiments.breadth.run import STUDIES, command, guess_by_cues
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.config.reader import read_experiment


@pytest.mark.slow
def test_every_study_measures_what_it_shows(tmp_path: Path) -> None:
  for study in STUDIES.values():
    words = command(study, study.models[-1], tmp_path)
    (file,) = [word for word in words if word.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    experiment = read_experiment(config)
    steps = study.flags['train.steps']
    measured = {
      name for name, e in experiment.evals.items() if e.every == steps
    }
    assert set(study.figures) <= measured


def test_without_names_the_most_frequent_type_so_far_is_guessed() -> None:
  # Cues 0 and 1 are of type 0, 2 and 3 of type 1; the rest tell nothing.
  guess_BTC = guess_by_cues(np.array([[1, 9, 3, 8, 7, 9, 2, 6, 7, 9]]), 2, 2)
  counts = [[1, 0]] * 2 + [[1, 1]] * 4 + [[1, 2]] * 3
  assert guess_BTC[0, :-1].tolist() == counts
  assert guess_BTC[0, -1].tolist() == [1, 0], 'the last is the first again'
