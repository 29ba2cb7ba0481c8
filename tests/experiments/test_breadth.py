"""The study of breadth: each command is of an experiment that can be read."""

from pathlib import Path

import pytest

from experiments.breadth.run import STUDIES, command
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
