"""Computes a row of training again, and compares its bits with the record."""

from collections.abc import Mapping
from pathlib import Path
import tempfile
from typing import Any

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError, nearest, require
from memjax.guards.join import joined
from memjax.logs import metrics_file
from memjax.logs.metrics_file import Row
from memjax.modes.evaluate import config_of
from memjax.runs import exit_codes, frozen, manifest
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.environment import describe_changes, environment
from memjax.runs.workdir import read_run
from memjax.training import parallel
from memjax.training.init_from import initial_state
from memjax.training.metrics import interval_values
from memjax.training.prefetch import batches_between
from memjax.training.program import Program, program
from memjax.training.replicas import summary
from memjax.training.state import TrainState


def replay(workdir: Path, step: int | str) -> int:
  """Recomputes the training row of a step from the checkpoint before it.

  Prints every figure of the row as a hexadecimal float, and whether it has the
  bits of `metrics.jsonl`. Nothing in the workdir changes.

  Args:
    workdir: the folder of a run.
    step: the step of a training row.

  Returns:
    The exit code: 0 if all bits are equal, else 1.

  Raises:
    ConfigError: the folder is not a workdir, or has no training row of the
      step.
  """
  experiment = read_experiment(config_of(workdir, []))
  recorded = row_of(workdir, step)
  with joined(experiment.parallel):
    return recompute(experiment, workdir, recorded)


def recompute(experiment: Experiment, workdir: Path, recorded: Row) -> int:
  """As `replay`, of a row that was read."""
  enable_compilation_cache()
  start = start_of(workdir, recorded['step'])
  for line in describe_changes(start, environment()):
    print(f'{line}: bits may differ')
  settings = parallel.fitting(experiment.parallel)
  mesh = parallel.make_mesh(settings)
  run = program(experiment, mesh)
  state = state_before(experiment, run, workdir, recorded['step'])
  first = int(state.step)
  print(f'from step {first} to step {recorded["step"]}:')
  per_call = start['steps_per_call']
  if (recorded['step'] - first) % per_call:
    per_call = experiment.steps_per_call(first)
  figures = advance(experiment, run, mesh, state, recorded['step'], per_call)
  return compare(recorded, {'step': recorded['step'], **summary(figures)})


def row_of(workdir: Path, step: int | str) -> Row:
  """The training row of a step.

  Raises:
    ConfigError: there is none.
  """
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  trained = {row['step']: row for row in rows if row['split'] == 'train'}
  latest = max(trained, default=0)
  wanted = latest if step == 'latest' else step
  rule = f'has no training row; {nearest(str(wanted), map(str, trained))}'
  require(wanted in trained, 'step', step, rule)
  return trained[int(wanted)]


def start_of(workdir: Path, step: int) -> dict[str, Any]:
  """The start of the run that trained this step."""
  starts = read_run(workdir).starts
  before = [start for start in starts if start['step'] < step]
  return before[-1] if before else starts[0]


def state_before(
  experiment: Experiment, run: Program, workdir: Path, step: int
) -> TrainState:
  """The newest whole state before a step, else that of step 0.

  The checkpoints are read through links in a folder of their own: a damaged one
  is passed over and stays where it is.
  """
  folder = (workdir / 'checkpoints').absolute()
  with tempfile.TemporaryDirectory() as name:
    for saved in manifest.steps_in(folder):
      if saved < step:
        Path(name, str(saved)).symlink_to(folder / str(saved))
    if (folder / frozen.ITEM).exists():
      Path(name, frozen.ITEM).symlink_to(folder / frozen.ITEM)
    with Checkpoints(Path(name), keep=1) as checkpoints:
      try:
        state = checkpoints.restore(run.abstract)
      except ConfigError:
        if (Path(name) / 'damaged').exists():
          state = None  # all are damaged: step 0 is left
        else:
          raise
  return state or initial_state(run, experiment.train.init_from)


def advance(
  experiment: Experiment,
  run: Program,
  mesh: Any,
  state: TrainState,
  last: int,
  per_call: int,
) -> Mapping[str, Any]:
  """The figures of the training row that ends at the last step."""
  step, every, sums = int(state.step), experiment.log.every, None
  for host_batch in batches_between(experiment, mesh, step, last, per_call):
    state = run.advance(state, host_batch)
    step += per_call
    if step % every == 0 or step == last:
      state, (sums, _) = run.pop_metrics(state)
  if sums is None:
    raise ConfigError('step', last, 'is not reached in whole dispatches')
  return interval_values(sums)


def compare(recorded: Row, computed: Row) -> int:
  """Prints each figure; returns the exit code."""
  wrong = 0
  for name, value in figures_of(computed).items():
    before = figures_of(recorded).get(name)
    same = before is not None and bits(before) == bits(value)
    wrong += not same
    note = 'as recorded' if same else f'recorded {bits(before)}'
    print(f'  {name:24} {bits(value)}  {note}')
  equal = 'all bits are equal' if not wrong else f'{wrong} figures differ'
  print(f'step {recorded["step"]}: {equal}')
  return exit_codes.FAILED if wrong else exit_codes.FINISHED


def figures_of(row: Row) -> dict[str, float]:
  """The figures of a row by name, of each replica if there are several."""
  if 'replicas' not in row:
    return dict(row['metrics'])
  return {
    f'{name}[{i}]': value
    for name, values in row['replicas'].items()
    for i, value in enumerate(values)
  }


def bits(value: float | None) -> str:
  """A float without any rounding."""
  return 'nothing' if value is None else float(value).hex()
