"""The training loop, from an empty or earlier workdir to the last step."""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path

from jax.sharding import Mesh

from memjax.config.experiment import Experiment
from memjax.guards import phase
from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.logs.profiler import Profiler
from memjax.logs.writers import NullWriter, Writers
from memjax.runs import processes
from memjax.runs.checkpoint import Checkpoints, open_checkpoints
from memjax.runs.workdir import OpenRun, open_run
from memjax.tasks.base import TRAINING, Stream
from memjax.training import parallel
from memjax.training.early_stopping import EarlyStopping
from memjax.training.evaluation import evaluate, prepare_sets, unmeasured
from memjax.training.init_from import initial_state
from memjax.training.metrics import Meter, open_writers
from memjax.training.prefetch import prefetch
from memjax.training.program import Program, program
from memjax.training.state import TrainState
from memjax.types import HostBatch

LAST_STEP = 'the last step'
Draw = Callable[[Experiment, Path, Writers | NullWriter], None]
Keepers = tuple[OpenRun, Checkpoints, Writers | NullWriter]


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
    Diverged: the loss is not finite.
  """
  phase.enter('compile')
  settings, mesh = experiment.train, parallel.make_mesh(experiment.parallel)
  profiler = Profiler(workdir / 'profile', profile, settings.steps)
  run, evaluators = program(experiment, mesh), prepare_sets(experiment, mesh)
  opened = open_workdir(experiment, workdir, run)
  with profiler, Interrupts() as interrupts, opened as (keep, state, rows):
    record, checkpoints, writers = keep
    step = int(state.step)
    per_call = experiment.steps_per_call(step)
    early = EarlyStopping(experiment, rows)
    meter = Meter(writers.write, experiment, mesh, step, rows)
    left = unmeasured(evaluators, step, rows)
    if figures := evaluate(left, step, state, writers.write, meter):
      early.update(step, figures)
      checkpoints.save(state, figures)

    host_batches = batches_left(experiment, mesh, step, early.end)
    for host_batch in phase.waiting('data', host_batches):
      with meter.dispatching(), profiler.call(step, state):
        state = run.advance(state, host_batch)
      interrupts.hold()
      step += per_call
      phase.enter('step', step)
      if due(step, experiment.log.every, experiment):
        state, sums = run.pop_metrics(state)
        meter.push(step, sums)
      figures = evaluate(evaluators, step, state, writers.write, meter)
      improved = early.update(step, figures)
      last = interrupts.stop(step) or bool(early.end)
      if last or improved or due(step, experiment.checkpoint.every, experiment):
        with meter.paused('save'):
          checkpoints.save(state, figures)
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
    state = checkpoints.restore(run.abstract)
    state = state or initial_state(run, experiment.train.init_from)
    rows = past_rows(workdir, int(state.step))
    phase.enter('compile', int(state.step))
    with open_writers(experiment, workdir, rows, run) as writers:
      yield (record, checkpoints, writers), state, rows


def past_rows(workdir: Path, step: int) -> list[metrics_file.Row]:
  """The rows up to the step; later ones, which come again, are dropped."""
  path = workdir / 'metrics.jsonl'
  if processes.is_first():
    metrics_file.drop_rows_after(path, step)
  processes.barrier('rows are trimmed')
  return metrics_file.load_rows(path)


def batches_left(
  experiment: Experiment, mesh: Mesh, step: int, end: str
) -> Iterator[HostBatch]:
  """What is still to be trained on, one host batch a call; none at an end."""
  train = experiment.train
  stream = Stream(experiment.seed, TRAINING, train.batch_size)
  per_call = experiment.steps_per_call(step)
  calls = range(step, step if end else train.steps, per_call)
  return prefetch(
    experiment.task, stream, mesh, calls, per_call, train.replicas
  )
