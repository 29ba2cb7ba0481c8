"""What a run does on the host about steps that are not finite.

`finite.py` keeps them out of the state. Here they are reported, their batches
are written for a closer look, and `train.nonfinite` is carried out:

    nonfinite/step-41-seed-1.npz    the rows of the batch, as the task made them
    nonfinite/step-41-seed-1.json   step, seed, what was not finite, the policy
"""

from collections.abc import Callable
import contextlib
import json
from pathlib import Path
import sys
from typing import Any

import jax
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, Diverged, require
from memjax.guards.finite import CAUSES, Faults, Health, State, put_back
from memjax.runs import manifest, processes
from memjax.runs.json_files import write_whole
from memjax.tasks.base import TRAINING, Stream

FOLDER = 'nonfinite'
AT_MOST = 100  # steps in a row that are skipped, in every replica
ROLLBACKS = 3  # to one checkpoint
NAMES = {
  'loss': 'the training loss is',
  'gradient': 'the gradient is',
  'carry': 'the carry is',
  'state': 'the parameters or the state of the optimiser are',
}


class NonFinite:
  """Follows the faults of a run's replicas.

  Attributes:
    diverged: {seed: step} of the replicas that have stopped for good.
    waiting: whether a replica waits for `mend`.
  """

  def __init__(
    self,
    experiment: Experiment,
    workdir: Path,
    earlier: Callable[[], State],
    examine: Callable[[State], Health],
    settle: Callable[[], None],
  ):
    """Watches a run.

    Args:
      experiment: the run's.
      workdir: its folder.
      earlier: the state of the newest checkpoint, or the one at step 0.
      examine: the health of a state, as numpy arrays.
      settle: waits until the checkpoint that is being saved is there.
    """
    self.diverged: dict[str, int] = {}
    self.waiting = False
    self._experiment, self._workdir = experiment, workdir
    self._earlier, self._examine, self._settle = earlier, examine, settle
    self._policy = experiment.train.nonfinite
    self._counts_N = np.zeros(experiment.train.replicas, int)
    self._step, self._skipped = 0, 0
    self._rollbacks: list[int] = []

  def start(self) -> State:
    """The state that the run begins or goes on with.

    Initial values are not examined: were they not finite, step 1 would say so.

    Raises:
      ConfigError: it is not finite.
    """
    state, source = self._earlier(), self._experiment.train.init_from
    self._step = int(state.step)
    if self._step or source:
      health, source = self._examine(state), source or str(self._workdir)
      rule = 'its parameters are not finite'
      require(bool(health.finite.all()), 'train.init_from', source, rule)
      self._counts_N = health.faults.count
      self._note_stopped(health.faults)
    return state

  def before_measuring(
    self, step: int, state: State, flush: Callable[[], None]
  ) -> State:
    """As `mend`, if an evaluation or the end comes next or a replica waits.

    Args:
      step: the state's.
      state: on the devices.
      flush: writes the row of the steps before.
    """
    train, evals = self._experiment.train, self._experiment.evals
    measured = any(step % e.every == 0 for e in evals.values())
    if not (self.waiting or measured or step == train.steps):
      return state
    flush()
    return self.mend(step, state)

  def fields(self, faults: Faults) -> dict[str, Any]:
    """What a row of training says of them: who has diverged, steps skipped."""
    row: dict[str, Any] = {}
    if self._policy == 'raise' and len(faults.stopped) > 1:
      stopped = self._stopped(faults)
      row = {'diverged': stopped} if stopped else {}
    elif faults.count.any():
      counts = faults.count.tolist()
      row = {'skipped': counts[0] if len(counts) == 1 else counts}
    return row

  def report(self, step: int, faults: Faults) -> None:
    """Says what is new up to this step, and writes the batches.

    Raises:
      Diverged: no replica can go on.
    """
    new_N = faults.count > self._counts_N
    lost = (faults.count - self._counts_N).min()
    self._skipped = self._skipped + lost if lost == step - self._step else 0
    self._step, self._counts_N = step, faults.count
    if not new_N.any():
      return
    new = np.flatnonzero(new_N).tolist()
    paths = [self._write(i, faults) for i in new]
    self._note_stopped(faults)
    lines = [
      f'{self._describe(i, faults)}; its batch is in {path}'
      for i, path in zip(new, paths, strict=True)
    ]
    if self._policy == 'raise' and faults.stopped.all():
      raise Diverged(f'{lines[-1]}; {self._newest()}')
    if self._skipped >= AT_MOST:
      reason = f'the last {self._skipped} steps were skipped'
      raise Diverged(f'{lines[-1]}; {reason}; {self._newest()}')
    if processes.is_first():
      for line in lines:
        print(f'memjax: {line}; {self._outcome()}', file=sys.stderr)

  def mend(self, step: int, state: State) -> State:
    """A state without faults: what may be measured and saved.

    A replica that waits for a rollback, or whose state is not finite although
    all its steps were, gets the values of `earlier`.

    Args:
      step: the state's.
      state: on the devices.

    Raises:
      Diverged: no replica can go on.
    """
    health = self._examine(state)
    faults, broken_N = health.faults, ~health.finite
    fresh_N = broken_N & ~faults.stopped
    faults = Faults(
      step=np.where(fresh_N, step, faults.step),
      count=faults.count + fresh_N,
      cause=np.where(fresh_N, CAUSES.index('state'), faults.cause),
      stopped=faults.stopped | fresh_N,
    )
    self.report(step, faults)
    self.waiting = False
    goes_on = self._policy != 'raise'
    back_N = broken_N | (faults.stopped & goes_on)
    if not back_N.any():
      return state
    earlier = self._earlier()
    self._rollbacks.append(int(earlier.step))
    if self._rollbacks.count(self._rollbacks[-1]) > ROLLBACKS:
      reason = (
        f'{ROLLBACKS} rollbacks to step {self._rollbacks[-1]} did not help'
      )
      raise Diverged(
        f'{self._describe(int(back_N.argmax()), faults)}; {reason}'
      )
    stopped_N = faults.stopped & (not goes_on)
    return put_back(state, earlier, back_N, faults._replace(stopped=stopped_N))

  def _note_stopped(self, faults: Faults) -> None:
    if self._policy == 'raise':
      self.diverged = self._stopped(faults)
    elif self._policy == 'rollback':
      self.waiting = bool(faults.stopped.any())

  def _stopped(self, faults: Faults) -> dict[str, int]:
    return {
      str(self._experiment.seed + int(i)): int(faults.step[i])
      for i in np.flatnonzero(faults.stopped)
    }

  def _describe(self, i: int, faults: Faults) -> str:
    what = NAMES[CAUSES[int(faults.cause[i])]]
    many = len(faults.step) > 1
    seed = f'seed {self._experiment.seed + i}, ' if many else ''
    return f'{seed}step {faults.step[i]}: {what} not finite'

  def _outcome(self) -> str:
    if self._policy == 'skip':
      return 'the step is skipped'
    if self._policy == 'rollback':
      return 'it goes on from the newest checkpoint with the next batch'
    replicas, gone = self._experiment.train.replicas, len(self.diverged)
    return f'medians are now of {replicas - gone} of {replicas} seeds'

  def _newest(self) -> str:
    with contextlib.suppress(ConfigError):  # the fault is the one to report
      self._settle()
    steps = manifest.steps_in(self._workdir / 'checkpoints')
    if not steps:
      return 'no checkpoint was saved before'
    return f'the newest checkpoint, of step {steps[-1]}, is finite'

  def _write(self, i: int, faults: Faults) -> Path:
    """Writes the batch of a replica's latest fault; returns its path."""
    step, seed = int(faults.step[i]), self._experiment.seed + int(i)
    path = self._workdir / FOLDER / f'step-{step}-seed-{seed}.npz'
    if not processes.is_first():
      return path
    rows = np.arange(self._experiment.train.batch_size)
    stream = Stream(seed, TRAINING, len(rows))
    batch = self._experiment.task.rows(stream, step - 1, rows)
    record = {
      'step': step,
      'seed': seed,
      'not_finite': CAUSES[int(faults.cause[i])],
      'policy': self._policy,
    }
    try:
      path.parent.mkdir(exist_ok=True)
      np.savez_compressed(path, **named(batch))
      write_whole(path.with_suffix('.json'), json.dumps(record) + '\n')
    except OSError as error:  # the fault itself is the one to report
      print(f'memjax: {path}: {error.strerror}', file=sys.stderr)
    return path


def named(tree: Any) -> dict[str, Any]:
  """The arrays of a tree by their paths; 'rows' is the name of the only one."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    jax.tree_util.keystr(path, simple=True, separator='.') or 'rows': leaf
    for path, leaf in leaves
  }
