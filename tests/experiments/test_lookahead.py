"""The study of lookahead: each command is of an experiment that can be read."""

from pathlib import Path

from experiments.lookahead.run import BOTH, STEPS, command
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.config.reader import read_experiment


def test_each_memory_waits_as_long_as_it_says(tmp_path: Path) -> None:
  for wait in (*STEPS, BOTH):
    words = command(wait, 'lstm.LSTM', tmp_path)
    (file,) = [word for word in words if word.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    experiment = read_experiment(config)
    assert experiment.model.answer_delay == (0 if wait == BOTH else int(wait))
    assert experiment.model.causal == (wait != BOTH)
    assert 'LSTM' in repr(experiment.model)
    assert experiment.task.length == 32 + experiment.task.label_delay
