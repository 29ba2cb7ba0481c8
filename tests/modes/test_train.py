"""A start says in one line what it does otherwise than its config reads."""

from pathlib import Path
from typing import Any

from memjax.modes.train import (
  describe_resume,
  describe_sight,
  describe_start,
)
from memjax.runs.workdir import open_run
from tests.small import small

SMALL: dict[str, Any] = {
  'parallel.data': 1,
  'train.steps': 100,
  'log.every': 20,
  'checkpoint.every': 100,
  'evals.held_out.every': 50,
}


def lines(workdir: Path, **changes: Any) -> list[str]:
  options = {name.replace('__', '.'): value for name, value in changes.items()}
  return [
    *describe_start(small('copy_memory', 'lstm', SMALL | options), workdir)
  ]


def trained(workdir: Path, **changes: Any) -> None:
  """The files of a run that has saved its last step, 100."""
  options = {name.replace('__', '.'): value for name, value in changes.items()}
  with open_run(small('copy_memory', 'lstm', SMALL | options), workdir):
    (workdir / 'checkpoints/100').mkdir(parents=True, exist_ok=True)


def test_rows_that_are_longer_than_the_model_sees_are_named() -> None:
  def sight(model: str, steps: int) -> list[str]:
    changes = {'task.length': 12, 'evals.held_out.task.length': steps}
    return [*describe_sight(small('adding', model, changes))]

  short = 'and the model sees at most 7 steps back'
  own = [f'training: rows have 12 steps, {short}']
  twice = [f'evals.twice: rows have 24 steps, {short}']
  other = [f'evals.held_out: rows have 30 steps, {short}']
  assert sight('lstm', 30) == []
  assert sight('transformer', 12) == [*own, *twice]
  assert sight('transformer', 30) == [*own, *other, *twice]


def test_a_resumed_run_says_which_step_is_saved(tmp_path: Path) -> None:
  assert list(describe_resume(tmp_path, 300)) == []
  trained(tmp_path)
  said = 'resumes: step 100 of 300 is saved'
  assert list(describe_resume(tmp_path, 300)) == [said]


def test_another_number_of_steps_per_call_is_printed(
  tmp_path: Path,
) -> None:
  assert lines(tmp_path) == []
  assert lines(tmp_path, train__steps_per_call=10) == []
  assert lines(tmp_path, train__steps_per_call=50) == [
    'train.steps_per_call: 10 instead of 50, to divide train.steps 100, '
    'log.every 20, checkpoint.every 100, evals.held_out.every 50'
  ]


def test_another_number_of_steps_per_call_of_a_resumed_run_is_round_off(
  tmp_path: Path,
) -> None:
  trained(tmp_path, train__steps_per_call=10)
  assert lines(tmp_path, train__steps_per_call=10) == []
  assert lines(tmp_path, train__steps_per_call=5) == [
    'train.steps_per_call: 5 instead of 10: figures equal those of one run up '
    'to round-off'
  ]
  trained(tmp_path, train__steps_per_call=5)  # is not refused
  constant: dict[str, Any] = {'optim__schedule': 'constant'}
  constant |= {'train__steps_per_call': 10}
  trained(tmp_path / 'more', **constant)
  constant |= {'train__steps_per_call': 5, 'train__steps': 200}
  [line] = lines(tmp_path / 'more', **constant)
  assert line.endswith('one run of 200 steps up to round-off')


def test_more_steps_of_a_constant_schedule_equal_one_run(
  tmp_path: Path,
) -> None:
  constant: dict[str, Any] = {'optim__schedule': 'constant'}
  trained(tmp_path, **constant)
  assert lines(tmp_path, **constant) == []
  said = 'train.steps: 200 instead of 100: goes on from step 100, and equals '
  said += 'one run of 200 steps '
  assert lines(tmp_path, train__steps=200, **constant) == [f'{said}bit for bit']
  constant |= {'train__steps_per_call': 10}
  trained(tmp_path / 'ten', **constant)
  other = lines(tmp_path / 'ten', train__steps=201, **constant)
  assert other[0].endswith('one run of 201 steps up to round-off')


def test_more_steps_of_another_schedule_say_what_it_does(
  tmp_path: Path,
) -> None:
  cosine = {'optim__schedule': 'cosine', 'optim__learning_rate': 1.0}
  cosine |= {'optim__warmup_steps': 0, 'optim__final_lr_ratio': 0.0}
  trained(tmp_path, **cosine)
  [line] = lines(tmp_path, train__steps=200, **cosine)
  assert line.startswith('train.steps: 200 instead of 100: goes on from step ')
  assert 'the cosine schedule is now that of 200 steps' in line
  assert line.endswith('rate of step 100 was 0.000247 and would be 0.508')
