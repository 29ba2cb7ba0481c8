"""Which process runs which trial: one study in a folder, for all processes.

Optuna keeps the study in `journal.log`. Trials are handed out under one lock,
so no two processes get the same one. The process that runs a trial holds a lock
in the trial's workdir, and so does the run itself. A lock ends with its
process: an unfinished trial whose lock is free belonged to a process that died,
and is resumed in its workdir. The folder must be on a file system where flock
works for all machines: a local disk or NFS.
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
from memjax.sweep.space import make_pruner, make_sampler, suggest

MAY_DIFFER = {'run_cap', *FOR_THE_SERVER}


class Claim(NamedTuple):
  """A trial that belongs to this process while the lock is open.

  Attributes:
    number: the trial's number, from 0.
    values: the values of its parameters.
    workdir: the folder it runs in.
    lock: the run inherits it; it is closed at the run's end.
    trial: Optuna's handle.
    reported: number of evaluations that an earlier start reported to Optuna.
  """

  number: int
  values: Mapping[str, Scalar]
  workdir: Path
  lock: TextIO
  trial: Trial
  reported: int


class Outcome(NamedTuple):
  """The result of a trial.

  Attributes:
    state: Optuna's; RUNNING if the run was stopped and can be resumed.
    value: the last value of the metric; NaN if it has none.
    step: the step of that value.
    reason: why it failed, or which seeds diverged; '' otherwise.
  """

  state: TrialState
  value: float
  step: int
  reason: str = ''


class Study:
  """A sweep's trials in its folder, new or resumed.

  Raises:
    ConfigError: the folder belongs to another sweep, or cannot be written.
  """

  def __init__(self, sweep: Sweep, folder: Path):
    self._sweep, self.folder = sweep, folder
    self._claimed: set[int] = set()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
      folder.mkdir(parents=True, exist_ok=True)
      with locked(folder / '.lock'):
        claim_folder(sweep, folder / 'sweep.yaml')
        self._study = optuna.create_study(
          storage=open_journal(folder / 'journal.log'),
          study_name='sweep',  # the file may be renamed
          direction=sweep.goal,
          pruner=make_pruner(sweep),
          load_if_exists=True,
        )
    except OSError as error:
      rule = f'cannot be written: {error.strerror}'
      raise ConfigError('folder', str(folder), rule) from None

  def trials(self) -> Sequence[FrozenTrial]:
    """All trials so far, by number."""
    return self._study.get_trials(deepcopy=False)

  def claim_trial(self) -> Claim | None:
    """A trial that a dead process left, else a new one, else None."""
    with locked(self.folder / '.lock'):
      trials = self.trials()
      for trial in trials:
        if trial.state.is_finished():
          continue
        if lock := self._lock(trial.number):
          study = self._with_sampler(trial.number)
          handle = Trial(study, trial._trial_id)
          return self._claim(handle, lock, len(trial.intermediate_values))
      if len(trials) >= self._sweep.trials:
        return None
      lock = self._lock(len(trials))
      assert lock, 'nothing holds the lock of a new trial'
      return self._claim(self._with_sampler(len(trials)).ask(), lock, 0)

  def running_elsewhere(self) -> list[int]:
    """The unfinished trials that other processes claimed."""
    unfinished = {t.number for t in self.trials() if not t.state.is_finished()}
    return sorted(unfinished - self._claimed)

  def record(self, claim: Claim, outcome: Outcome) -> None:
    """Records the result of a trial; it is final."""
    claim.trial.set_user_attr('step', outcome.step)
    claim.trial.set_user_attr('reason', outcome.reason)
    complete = outcome.state == TrialState.COMPLETE
    value = outcome.value if complete else None  # None: the last reported one
    self._study.tell(claim.number, value, outcome.state)

  def _with_sampler(self, number: int) -> optuna.Study:
    """The study with the sampler of this trial."""
    return optuna.load_study(
      study_name=self._study.study_name,
      storage=self._study._storage,
      sampler=make_sampler(self._sweep, number),
      pruner=self._study.pruner,
    )

  def _claim(self, trial: Trial, lock: TextIO, reported: int) -> Claim:
    values = {
      name: suggest(trial, name, parameter)
      for name, parameter in self._sweep.parameters.items()
    }
    self._claimed.add(trial.number)
    workdir = self.workdir(trial.number)
    return Claim(trial.number, values, workdir, lock, trial, reported)

  def workdir(self, number: int) -> Path:
    """The workdir of a trial."""
    return self.folder / f'trial-{number:04}'

  def _lock(self, number: int) -> TextIO | None:
    """The open lock of a trial, or None if another process holds it."""
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
def locked(path: Path) -> Iterator[None]:
  """Waits for a lock and holds it while the body runs."""
  with path.open('a') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


class JournalLock:
  """A lock for Optuna's journal that ends with its process, unlike Optuna's.

  Args:
    path: the lock's file.
  """

  def __init__(self, path: Path):
    self._path, self._stack = path, contextlib.ExitStack()

  def acquire(self) -> bool:
    self._stack.enter_context(locked(self._path))
    return True

  def release(self) -> None:
    self._stack.close()


def open_journal(path: Path) -> JournalStorage:
  """The journal, without the partial line that a killed process may leave."""
  lock = path.with_suffix('.lock')
  with locked(lock):
    if path.exists():
      lines, newline, _ = path.read_bytes().rpartition(b'\n')
      os.truncate(path, len(lines + newline))
  backend: Any = JournalFileBackend
  return JournalStorage(backend(str(path), lock_obj=JournalLock(lock)))


def claim_folder(sweep: Sweep, path: Path) -> None:
  """Makes the folder this sweep's, or checks that it already is."""
  if path.exists():
    saved = yaml.safe_load(path.read_text(encoding='utf-8'))
    for field in sorted((saved.keys() | sweep.content.keys()) - MAY_DIFFER):
      old, new = saved.get(field), sweep.content.get(field)
      rule = (
        f'belongs to another sweep: {field} was {old!r}, is {new!r}; '
        'use another --folder'
      )
      require(old == new, 'folder', str(path.parent), rule)
  partial = path.with_suffix('.partial')
  partial.write_text(yaml.safe_dump(dict(sweep.content), sort_keys=False))
  partial.replace(path)
