"""Trains to the end, or until a signal."""

from collections.abc import Iterator, Mapping
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment, read_parallel
from memjax.guards import phase
from memjax.guards.hosts import require_same
from memjax.guards.join import joined
from memjax.laws.probe import refuse_broken
from memjax.report import summary
from memjax.runs import exit_codes, processes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.environment import describe_changes, environment
from memjax.runs.manifest import newest_step
from memjax.runs.sources import own_modules, sha256
from memjax.runs.workdir import read_config, read_run
from memjax.training import loop
from memjax.training.optimisers.schedules import rates_of_steps


def train(config: Mapping[str, Any], workdir: Path, profile: str = '') -> int:
  """Trains to the end, or until SIGTERM or Ctrl-C; returns the exit code.

  Args:
    config: the experiment.
    workdir: folder of the run.
    profile: the flag `--profile`, the steps to trace.
  """
  phase.enter('data')
  with joined(read_parallel(config)):
    return train_joined(config, workdir, profile)


def train_joined(config: Mapping[str, Any], workdir: Path, profile: str) -> int:
  """As `train`, once the other processes of the run have joined."""
  experiment = read_experiment(config)
  require_same(experiment, workdir)
  if processes.is_first():
    steps = experiment.train.steps
    for line in [
      *experiment.describe(),
      *describe_sight(experiment),
      *describe_resume(workdir, steps),
      *describe_start(experiment, workdir),
    ]:
      print(line, flush=True)
  enable_compilation_cache()
  phase.enter('compile')
  refuse_broken(experiment.model, experiment.train.dtype)
  finished = loop.train(experiment, workdir, summary.draw, profile)
  if not finished:
    if processes.is_first():
      print(f'stopped and saved in {workdir}: the same command resumes')
    return exit_codes.STOPPED
  if processes.is_first():
    summary.summarise(experiment, workdir)
    run = read_run(workdir)
    if run.reason != loop.LAST_STEP:
      steps = experiment.train.steps
      print(f'Ended at step {run.step} of {steps}: {run.reason}')
  return exit_codes.FINISHED


def describe_sight(experiment: Experiment) -> Iterator[str]:
  """A line for each set with rows that are longer than its model sees back."""
  sets = {'training': (experiment.task, experiment.model)} | {
    f'evals.{name}': (evaluation.task, evaluation.model)
    for name, evaluation in experiment.evals.items()
  }
  known = set[tuple[int, int]]()
  for name, (task, model) in sets.items():
    length, back = sizes = task.length, model.horizon
    hides = 0 < back < length - 1 and not task.carry_over
    if hides and sizes not in known:
      known.add(sizes)
      yield (
        f'{name}: rows have {length} steps, and the model sees at most {back} '
        'steps back'
      )


def describe_resume(workdir: Path, steps: int) -> Iterator[str]:
  """The newest checkpoint that the run goes on from, unless it is damaged."""
  if step := newest_step(workdir):
    yield f'resumes: step {step} of {steps} is saved'


def describe_start(experiment: Experiment, workdir: Path) -> Iterator[str]:
  """What the run does otherwise than its config says at first sight."""
  train, step = experiment.train, 0
  if (workdir / 'run.json').exists():
    _, step, starts, _ = read_run(workdir)
    for line in describe_changes(starts[-1], environment()):
      yield f'{line}: later figures may differ in their last bits'
    yield from describe_sources(starts[-1].get('sources', {}), experiment)
    before = read_config(workdir)['train']
    if train.steps > before['steps']:
      yield describe_more_steps(experiment, before, step)
    elif train.steps_per_call != before['steps_per_call']:
      yield (
        f'train.steps_per_call: {train.steps_per_call} instead of '
        f'{before["steps_per_call"]}: figures equal those of one run up to '
        'round-off'
      )
  used = experiment.steps_per_call(step)
  if used < train.steps_per_call:
    intervals = {'train.steps': train.steps, **experiment.intervals}
    each = ', '.join(f'{field} {every}' for field, every in intervals.items())
    yield (
      f'train.steps_per_call: {used} instead of {train.steps_per_call}, to '
      f'divide {each}'
    )


def describe_sources(
  before: Mapping[str, Any], experiment: Experiment
) -> Iterator[str]:
  """A line for each source file of the user's own that has changed."""
  for name, path in own_modules(experiment.config).items():
    if name in before and before[name]['sha256'] != sha256(path):
      yield f'{path}: has changed since the last start; the run goes on with it'


def describe_more_steps(
  experiment: Experiment, before: Mapping[str, Any], step: int
) -> str:
  """What more steps mean: the same run made longer, or another schedule.

  Args:
    experiment: has the number of steps of today.
    before: the section `train` of the last start.
    step: the step that the run goes on from.
  """
  optim, steps = experiment.optim, experiment.train.steps
  steps_before, per_call = before['steps'], before['steps_per_call']
  line = f'train.steps: {steps} instead of {steps_before}: goes on from step '
  line += f'{step}'
  taken = np.arange(1, step + 1)
  rates_before, rates = (
    rates_of_steps(optim, n, taken, {}) for n in (steps_before, steps)
  )
  if np.array_equal(rates_before, rates):
    shorter = dataclasses.replace(
      experiment.train, steps=steps_before, steps_per_call=per_call
    )
    experiment_before = dataclasses.replace(experiment, train=shorter)
    calls = experiment_before.steps_per_call(), experiment.steps_per_call(step)
    exactly = 'bit for bit' if len({*calls}) == 1 else 'up to round-off'
    return f'{line}, and equals one run of {steps} steps {exactly}'
  return (
    f'{line}; the {optim.schedule} schedule is now that of {steps} steps: the '
    f'learning rate of step {step} was {rates_before[-1]:.3g} and would be '
    f'{rates[-1]:.3g}'
  )
