"""Sections know what goes with what."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError
from memjax.tasks.long_range.copy_memory import CopyMemory
from tests.small import FAMILIES, small


@pytest.fixture
def text(tmp_path: Path) -> Experiment:
  path = tmp_path / 'text'
  path.write_text('so it goes on, and on, and on. ' * 400)
  place = {'task.corpus': 'files', 'task.path': str(path)}
  return small('text', 'lstm', place)


def test_a_part_of_a_split_stands_beside_no_figure_of_the_whole(
  text: Experiment,
) -> None:
  part = text.evals['validation']
  whole = dataclasses.replace(part, steps=0)
  counted = dataclasses.replace(part, steps=part.task.epoch_steps(8))
  assert part.steps == 2
  assert part.baselines == {}
  assert whole.baselines == counted.baselines == part.task.baselines
  assert 'xz -9' in whole.baselines['bits_per_byte']
  generated = small('copy_memory', 'lstm').evals['held_out']
  assert generated.baselines == generated.task.baselines


@pytest.mark.parametrize(
  ('overrides', 'words'),
  [
    ({'train.patience': 2, 'checkpoint.best': ''}, 'train.patience: 2'),
    ({'train.segment_length': 5}, 'train.segment_length: 5: must divide'),
    ({'train.bptt_segments': 2}, 'train.bptt_segments: 2: must divide the 1'),
    ({'evals.held_out.steps': 0}, 'evals.held_out.steps: 0: must be at least'),
    ({'optim.ema': 1.0}, 'optim.ema: 1.0: must be below 1'),
    ({'optim.options': {'b2': float('nan')}}, 'optim.options.b2: nan'),
    ({'log.wandb.mode': 'of'}, "log.wandb.mode: 'of': must be one of"),
    ({'log.wandb': {'mode': 'auto'}}, 'log.wandb'),
    ({'evals.held_out.task': {'dlay': 3}}, 'evals.held_out.task.dlay'),
    ({'evals.train': {'every': 1}}, 'evals.train'),
    ({'evals.held_out.task': 3}, 'evals.held_out.task: 3: must be a section'),
    (
      {'evals.held_out.name': 'tests.tasks.drawn.Drawn'},
      "evals.held_out.name: 'tests.tasks.drawn.Drawn': no such",
    ),
  ],
)
def test_what_does_not_go_together_is_refused(
  overrides: dict[str, Any], words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    small('copy_memory', 'lstm', overrides)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_an_evaluation_set_changes_task_and_model_and_nothing_else() -> None:
  longer = {
    'evals.held_out.task': {'delay': 30},
    'evals.held_out.model': {'layer': {'window': 20, 'clamp': 9}},
  }
  experiment = small('copy_memory', 'transformer_xl', longer)
  held_out = experiment.evals['held_out']
  for task, delay in ((experiment.task, 12), (held_out.task, 30)):
    assert isinstance(task, CopyMemory)
    assert task.delay == delay
  assert experiment.model.layer.window == 8
  assert held_out.model.layer.window == 20
  assert held_out.model.layer.width == experiment.model.layer.width
  assert held_out.changes == {
    'task.delay': 30,
    'model.layer.window': 20,
    'model.layer.clamp': 9,
  }


@pytest.mark.parametrize(
  ('at_most', 'steps', 'log', 'held_out', 'start', 'used'),
  [
    (50, 600, 100, 200, 0, 50),
    (50, 600, 100, 130, 0, 10),
    (50, 600, 20, 200, 0, 20),
    (7, 600, 100, 200, 0, 5),
    (50, 600, 100, 200, 30, 10),
    (50, 601, 100, 200, 0, 1),
    (50, 40, 40, 40, 0, 40),
    (1, 600, 100, 200, 0, 1),
  ],
)
def test_steps_per_call_fits_the_steps_and_every_interval(
  at_most: int, steps: int, log: int, held_out: int, start: int, used: int
) -> None:
  experiment = small(
    'copy_memory',
    'lstm',
    {
      'train.steps': steps,
      'train.steps_per_call': at_most,
      'log.every': log,
      'checkpoint.every': 2 * log,
      'evals.held_out.every': held_out,
    },
  )
  assert experiment.steps_per_call(start) == used


@pytest.mark.parametrize('family', FAMILIES)
def test_a_missing_section_is_named(family: str) -> None:
  first = FAMILIES[family].VARIANTS[0]
  config = FAMILIES[family].get_config(f'{first},quick').to_dict()
  del config['optim']
  with pytest.raises(ConfigError, match=r'optim: .*must be given'):
    read_experiment(config)
