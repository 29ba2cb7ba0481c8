"""Who runs which trial: one study in a folder, for any number of processes.

Optuna keeps the study in `journal.log`. A trial is handed out under one lock,
so that no two get the same; who runs it holds a lock in its workdir, and so
does the run itself. Locks die with their holders: a trial that is not finished
and whose lock is free was left by a process that is no more, and is taken up in
its workdir again. The folder must lie where flock counts for all machines:
on one machine, or on NFS.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import fcntl
import os
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
import yaml

from memjax.errors import ConfigError, require
from memjax.sweep.file import FOR_THE_SERVER, Sweep
from memjax.sweep.parameters import Scalar
from memjax.sweep.space import pruner, sampler, suggest

MAY_DIFFER = {'run_cap', *FOR_THE_SERVER}


class Claim(NamedTuple):
  """A trial that is this process's alone as long as the lock is open.

  Attributes:
    number: of the trial, from 0.
    values: of its parameters.
    workdir: where it runs.
    lock: to be inherited by the run and closed at its end.
    trial: Optuna's handle.
    reported: evaluations that Optuna knows from an earlier start.
  """

  number: int
  values: Mapping[str, Scalar]
  workdir: Path
  lock: TextIO
  trial: Trial
  reported: int


class Outcome(NamedTuple):
  """What came of a trial.

  Attributes:
    state: Optuna's; running: it was stopped and can go on.
    value: the metric's last; NaN if there is none.
    step: of that value.
    reason: why it failed.
  """

  state: TrialState
  value: float
  step: int
  reason: str = ''


class Study:
  """A sweep's trials in its folder, made or taken up again.

  Raises:
    ConfigError: the folder is another sweep's, or cannot be written.
  """

  def __init__(self, sweep: Sweep, folder: Path):
    self._sweep, self.folder = sweep, folder
    self._taken: set[int] = set()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
      folder.mkdir(parents=True, exist_ok=True)
      with held(folder / '.lock'):
        keep(sweep, folder / 'sweep.yaml')
        self._study = optuna.create_study(
          storage=storage(folder / 'journal.log'),
          study_name='sweep',  # also of a file that is renamed
          direction=sweep.goal,
          pruner=pruner(sweep),
          load_if_exists=True,
        )
    except OSError as error:
      rule = f'cannot be written: {error.strerror}'
      raise ConfigError('folder', str(folder), rule) from None

  def trials(self) -> Sequence[FrozenTrial]:
    """All trials so far, by number."""
    return self._study.get_trials(deepcopy=False)

  def take(self) -> Claim | None:
    """A trial that somebody left, else a new one, else None."""
    with held(self.folder / '.lock'):
      trials = self.trials()
      for left in trials:
        if not left.state.is_finished() and (lock := self._lock(left.number)):
          study = self._drawing(left.number)
          handle = Trial(study, left._trial_id)
          return self._claim(handle, lock, len(left.intermediate_values))
      if len(trials) >= self._sweep.trials:
        return None
      lock = self._lock(len(trials))
      assert lock, 'a trial that is not there yet has no holder'
      return self._claim(self._drawing(len(trials)).ask(), lock, 0)

  def elsewhere(self) -> list[int]:
    """Trials that run, or did, in other processes."""
    unfinished = {t.number for t in self.trials() if not t.state.is_finished()}
    return sorted(unfinished - self._taken)

  def tell(self, claim: Claim, outcome: Outcome) -> None:
    """Says what came of a trial, for good."""
    claim.trial.set_user_attr('step', outcome.step)
    claim.trial.set_user_attr('reason', outcome.reason)
    done = outcome.state == TrialState.COMPLETE
    value = outcome.value if done else None  # else the last that was reported
    self._study.tell(claim.number, value, outcome.state)

  def _drawing(self, number: int) -> optuna.Study:
    """The study as it draws the parameters of this trial."""
    return optuna.load_study(
      study_name=self._study.study_name,
      storage=self._study._storage,
      sampler=sampler(self._sweep, number),
      pruner=self._study.pruner,
    )

  def _claim(self, trial: Trial, lock: TextIO, reported: int) -> Claim:
    values = {
      name: suggest(trial, name, parameter)
      for name, parameter in self._sweep.parameters.items()
    }
    self._taken.add(trial.number)
    workdir = self.workdir(trial.number)
    return Claim(trial.number, values, workdir, lock, trial, reported)

  def workdir(self, number: int) -> Path:
    """Where a trial runs."""
    return self.folder / f'trial-{number:04}'

  def _lock(self, number: int) -> TextIO | None:
    """A trial's lock, open, if nobody holds it."""
    workdir = self.workdir(number)
    workdir.mkdir(exist_ok=True)
    file = (workdir / '.claim').open('a')
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.close()
      return None
    return file


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
  """Holds a lock while the body runs; waits for it first."""
  with path.open('a') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


class JournalLock:
  """What Optuna's journal asks of a lock; unlike Optuna's dies with its holder.

  Args:
    path: of the lock's file.
  """

  def __init__(self, path: Path):
    self._path, self._held = path, contextlib.ExitStack()

  def acquire(self) -> bool:
    self._held.enter_context(held(self._path))
    return True

  def release(self) -> None:
    self._held.close()


def storage(path: Path) -> JournalStorage:
  """The journal, without what a killed process may have left of a line."""
  lock = path.with_suffix('.lock')
  with held(lock):
    if path.exists():
      whole = path.read_bytes().rpartition(b'\n')
      os.truncate(path, len(whole[0] + whole[1]))
  backend: Any = JournalFileBackend
  return JournalStorage(backend(str(path), lock_obj=JournalLock(lock)))


def keep(sweep: Sweep, path: Path) -> None:
  """Writes down whose the folder is, or checks that it is this sweep's."""
  if path.exists():
    there = yaml.safe_load(path.read_text(encoding='utf-8'))
    for field in sorted((there.keys() | sweep.content.keys()) - MAY_DIFFER):
      old, new = there.get(field), sweep.content.get(field)
      rule = (
        f'was made by another sweep: {field} is {old!r} there, {new!r} here'
      )
      require(old == new, 'folder', str(path.parent), rule)
  part = path.with_suffix('.part')
  part.write_text(yaml.safe_dump(dict(sweep.content), sort_keys=False))
  part.replace(path)
