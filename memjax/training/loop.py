"""The training loop, from an empty or earlier workdir to the last step."""

from collections.abc import Callable, Iterator
import contextlib
import functools
from pathlib import Path

from memjax.config.experiment import Experiment
from memjax.guards import phase
from memjax.guards.interrupts import Interrupts
from memjax.guards.nonfinite import NonFinite
from memjax.guards.place import OpenRun
from memjax.logs import metrics_file
from memjax.logs.console import print_error
from memjax.logs.profiler import Profiler
from memjax.logs.writers import NullWriter, Writers
from memjax.runs import processes
from memjax.runs.checkpoint import Checkpoints, open_checkpoints
from memjax.runs.workdir import open_run
from memjax.training import parallel
from memjax.training.early_stopping import EarlyStopping
from memjax.training.evaluation import evaluate, prepare_sets, unmeasured
from memjax.training.init_from import initial_state
from memjax.training.metrics import Meter, open_writers
from memjax.training.prefetch import batches_left
from memjax.training.program import Program, program
from memjax.training.state import TrainState

LAST_STEP = 'the last step'
Draw = Callable[[Experiment, Path, Writers | NullWriter], None]
Keepers = tuple[OpenRun, Checkpoints, Writers | NullWriter, NonFinite]


def train(
  experiment: Experiment, workdir: Path, draw: Draw, profile: str = ''
) -> bool:
  """Trains from the last checkpoint of the workdir, or step 0, to the end.

  Args:
    experiment: the config, read and checked.
    workdir: a new folder, or that of an earlier start of the same experiment.
    draw: shows pictures and samples at the end, on the first process.
    profile: steps to trace, as '10' or '100:110'; empty: none.

  Returns:
    Whether the run reached its end; False if SIGTERM or Ctrl-C stopped it.

  Raises:
    ConfigError: workdir, mesh, data, `init_from` or `profile` do not fit.
    Diverged: a value is not finite, and `train.nonfinite` does not go on.
  """
  settings, mesh = experiment.train, parallel.make_mesh(experiment.parallel)
  profiler = Profiler(workdir / 'profile', profile, settings.steps)
  run, evaluators = program(experiment, mesh), prepare_sets(experiment, mesh)
  opened = open_workdir(experiment, workdir, run)
  with profiler, Interrupts() as interrupts, opened as (keep, state, rows):
    record, checkpoints, writers, nonfinite = keep
    step = int(state.step)
    per_call = experiment.steps_per_call(step)
    early = EarlyStopping(experiment, rows)
    meter = Meter(writers.write, experiment, mesh, step, rows, nonfinite)
    late = unmeasured(evaluators, step, rows)
    if figures := evaluate(late, step, state, writers.write, meter):
      early.update(step, figures)
      checkpoints.save(state, figures, nonfinite.diverged)
    for host_batch in batches_left(experiment, mesh, step, early.end):
      with meter.dispatching(), profiler.call(step, state):
        state = run.advance(state, host_batch)
      interrupts.hold()
      step += per_call
      phase.enter('step', step)
      if due(step, experiment.log.every, experiment):
        state, popped = run.pop_metrics(state)
        meter.push(step, *popped)
      state = nonfinite.before_measuring(step, state, meter.flush)
      figures = evaluate(evaluators, step, state, writers.write, meter)
      improved = early.update(step, figures)
      left = record.left(checkpoints.follow)
      last = left or interrupts.stop(step) or bool(early.end)
      if last or improved or due(step, experiment.checkpoint.every, experiment):
        with meter.paused('save'):
          state = nonfinite.mend(step, state)
          checkpoints.save(state, figures, nonfinite.diverged)
      if last:
        break
    meter.flush()
    phase.enter('close')
    checkpoints.wait()
    if not interrupts.end(step):
      record.end = early.end or (LAST_STEP if step == settings.steps else '')
    if record.end and processes.is_first():
      draw(experiment, workdir, writers)
  return bool(record.end)


def due(step: int, every: int, experiment: Experiment) -> bool:
  """Whether this step is a multiple of `every`, or the last step."""
  return step % every == 0 or step == experiment.train.steps


@contextlib.contextmanager
def open_workdir(
  experiment: Experiment, workdir: Path, run: Program
) -> Iterator[tuple[Keepers, TrainState, list[metrics_file.Row]]]:
  """What keeps a run; its newest state, or that of step 0; the rows so far."""
  with (
    open_run(experiment, workdir) as record,
    open_checkpoints(experiment, workdir) as checkpoints,
  ):
    phase.enter('restore')
    earlier = functools.partial(newest_state, experiment, run, checkpoints)
    nonfinite = NonFinite(
      experiment, workdir, earlier, run.examine, checkpoints.wait
    )
    state = nonfinite.start()
    rows = past_rows(workdir, int(state.step))
    phase.enter('compile', int(state.step))
    with open_writers(experiment, workdir, rows, run) as writers:
      yield (record, checkpoints, writers, nonfinite), state, rows


def newest_state(
  experiment: Experiment, run: Program, checkpoints: Checkpoints
) -> TrainState:
  """That of the newest checkpoint, or the one at step 0."""
  state = checkpoints.restore(run.abstract)
  return state or initial_state(run, experiment.train.init_from)


def past_rows(workdir: Path, step: int) -> list[metrics_file.Row]:
  """The rows up to the step; later ones, which come again, are dropped."""
  path = workdir / 'metrics.jsonl'
  if processes.is_first():
    if step and not path.exists():
      line = f'{path} is missing: the rows up to step {step} are lost'
      print_error(f'memjax: {line}')
    metrics_file.drop_rows_after(path, step)
  processes.barrier('rows are trimmed')
  return metrics_file.load_rows(path)
