"""What the process is doing, and a watchdog that ends it if it is stuck.

    import      importing the libraries
    data        reading the config, preparing data, waiting for rows
    compile     tracing and compiling, up to the first dispatch
    restore     reading a checkpoint, or making the state at step 0
    step        a dispatch, and waiting for its result
    evaluation  one evaluation set
    save        copying the state; waiting for the save before it
    close       the last save, pictures and summary

Each phase has a limit in seconds, `train.limits`; 0 means none. The time of a
phase begins anew whenever it makes progress: at each dispatch, each set, each
save. A process beyond the limit writes the stacks of all its threads to
`stacks.txt` in its workdir, prints one line, and exits with the code STUCK. Of
several processes, number 1 writes `stacks-1.txt`.

The watchdog adds up its own ticks. So a suspended machine, a stopped process or
a clock that is set uses no time.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import faulthandler
import os
from pathlib import Path
import threading
import time
from typing import Any, NamedTuple, TypeVar

from memjax.guards import ending
from memjax.runs import exit_codes

PHASES = (
  *('import', 'data', 'compile', 'restore'),
  *('step', 'evaluation', 'save', 'close'),
)
STACKS = 'stacks{}.txt'  # '' or '-1', the number of the process
TICK = 0.25  # seconds between two looks of the watchdog
DUMP = 5.0  # seconds that writing the stacks may take

T = TypeVar('T')


class Phase(NamedTuple):
  """What the process is doing.

  Attributes:
    name: one of PHASES.
    step: the step of the run, 0 before the first.
  """

  name: str
  step: int

  def __str__(self) -> str:
    return f'{self.name} at step {self.step}' if self.step else self.name


class _Now:
  """The phase of this process, and how often it made progress."""

  phase = Phase('import', 0)
  progress = 0
  rank: int | None = None  # None: the only process, or not known yet


def current() -> Phase:
  """What the process is doing."""
  return _Now.phase


def progress() -> int:
  """How often the process has made progress."""
  return _Now.progress


def set_rank(rank: int | None) -> None:
  """Says which process of the run this is; None: the only one."""
  _Now.rank = rank


def rank_of(config: Mapping[str, Any]) -> int | None:
  """The number that a config not yet checked, or SLURM, gives this process."""
  if int(os.environ.get('SLURM_NTASKS', '1')) > 1:
    return int(os.environ.get('SLURM_PROCID', '0'))
  try:
    parallel = config['parallel']
    return parallel['process'] if parallel['coordinator'] else None
  except (KeyError, TypeError):
    return None


def enter(name: str, step: int | None = None) -> None:
  """Begins a phase, or says that it makes progress.

  Args:
    name: one of PHASES.
    step: the step of the run; None: as before.
  """
  _Now.phase = Phase(name, _Now.phase.step if step is None else step)
  _Now.progress += 1


@contextlib.contextmanager
def within(name: str) -> Iterator[None]:
  """A phase inside another one, which then goes on with all of its time."""
  before = _Now.phase.name
  enter(name)
  try:
    yield
  finally:
    enter(before)


def waiting(name: str, items: Iterable[T]) -> Iterator[T]:
  """The items; waiting for each is a phase."""
  iterator = iter(items)
  while True:
    with within(name):
      try:
        item = next(iterator)
      except StopIteration:
        return
    yield item


def limits_of(config: Mapping[str, Any]) -> dict[str, float]:
  """`train.limits` of a config that has not been checked yet."""
  try:
    limits = {**config['train']['limits']}
  except (KeyError, TypeError):
    return {}
  return {name: limits[name] for name in PHASES if name in limits}


class Watchdog:
  """A context with a thread that ends the process if a phase is stuck.

  Args:
    limits: seconds by phase; 0 or absent: no limit.
    folder: the workdir, for the stacks.
  """

  def __init__(self, limits: Mapping[str, float], folder: Path):
    self.limits, self.folder = dict(limits), folder
    self._closed = threading.Event()
    self._thread = threading.Thread(
      target=self._watch, name='watchdog', daemon=True
    )

  def __enter__(self) -> 'Watchdog':
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._closed.set()
    self._thread.join()

  def _watch(self) -> None:
    seen, seconds, last = -1, 0.0, time.monotonic()
    while not self._closed.wait(TICK):
      now = time.monotonic()
      seconds += min(now - last, 2 * TICK)
      last = now
      if seen != _Now.progress:
        seen, seconds = _Now.progress, 0.0
      phase = _Now.phase
      limit = self.limits.get(phase.name, 0.0)
      if limit and seconds > limit:
        self._end(phase, limit)

  def _end(self, phase: Phase, limit: float) -> None:
    """Writes the stacks, unless the disk is stuck too, and ends the process."""
    many, rank = _Now.rank is not None, _Now.rank
    path = self.folder / STACKS.format(f'-{rank}' if many else '')
    writer = threading.Thread(target=dump_stacks, args=(path,), daemon=True)
    writer.start()
    writer.join(DUMP)
    who = f'process {rank}: ' if many else ''
    ending.end(
      f'{who}{phase} made no progress for {limit:g} seconds, the limit '
      f'train.limits.{phase.name}; all stacks are in {path}',
      exit_codes.STUCK,
    )


def dump_stacks(path: Path) -> None:
  """Writes the stacks of all threads to a file, if it can be written."""
  with contextlib.suppress(OSError):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8') as file:
      faulthandler.dump_traceback(file, all_threads=True)
