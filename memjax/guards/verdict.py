"""Whether one of the processes of a run is gone, from what all of them say.

A run of several processes waits for each of them at every step. So one that is
dead, silent or stuck stops all, for ever. A process says twice a second what it
does (`Status`); `Judge` decides.

    died     its connection ended before it said that it leaves
    silent   nothing was heard from it for `timeout` seconds: it was stopped, or
             its host cannot be reached
    stuck    it says for `timeout` seconds that it does not move, although
             another one is ahead of it; or no process moves while all restore

A process moves if its phase makes progress, its processor works or it reads
files. So a slow compilation is not stuck; `train.limits` bounds it.
"""

from collections.abc import Iterable
import dataclasses
from typing import NamedTuple

from memjax.runs import exit_codes

WORKS = 0.05  # work per second above which a process is not stuck
WINDOW = 2.0  # seconds over which it is measured


class Status(NamedTuple):
  """What a process says about itself.

  Attributes:
    rank: its number.
    phase: the name of its phase.
    described: the phase in words, with the step.
    moves: progress so far, a number that is the same for every process at the
      same place of the program.
    work: processor seconds, and what it has read in units of 20 MB.
    done: whether it has left the run, or waits for the others to leave.
  """

  rank: int
  phase: str
  described: str
  moves: int
  work: float
  done: bool = False


class Verdict(NamedTuple):
  """Why all processes end, and with which exit code."""

  line: str
  code: int = exit_codes.PEER


@dataclasses.dataclass
class _Seen:
  """The last status of a process, and when it came."""

  status: Status
  heard: float  # the last time
  moved: float  # the last time that it made progress, or worked
  window: tuple[float, float]  # time and work at its begin
  behind: float  # since when another process is ahead; inf: none is


class Judge:
  """Hears what processes say and when, and decides.

  Args:
    timeout: `parallel.timeout`, in seconds.
  """

  def __init__(self, timeout: float):
    self.timeout = timeout
    self._seen: dict[int, _Seen] = {}

  def hear(self, status: Status, now: float) -> None:
    """Takes note of a status."""
    before = self._seen.get(status.rank)
    if before is None:
      window = now, status.work
      self._seen[status.rank] = _Seen(status, now, now, window, float('inf'))
      return
    time, work = before.window
    worked = False
    if now - time >= WINDOW:
      worked = status.work - work > WORKS * (now - time)
      before.window = now, status.work
    if worked or status.moves != before.status.moves:
      before.moved = now
    before.status, before.heard = status, now

  def lost(self, rank: int) -> Verdict | None:
    """What follows from the end of a connection."""
    seen = self._seen.get(rank)
    if seen is None:
      return Verdict(f'process {rank} died before it said anything')
    if seen.status.done:
      return None
    return Verdict(
      f'process {rank} died; it was last heard during {seen.status.described}'
    )

  def verdict(self, now: float) -> Verdict | None:
    """Why the run must end now; None: it goes on."""
    present = [seen for seen in self._seen.values() if not seen.status.done]
    return self._silent(present, now) or self._stuck(present, now)

  def _silent(self, present: Iterable[_Seen], now: float) -> Verdict | None:
    for seen in present:
      if now - seen.heard > self.timeout:
        status = seen.status
        return Verdict(
          f'process {status.rank} was not heard for {self.timeout:g} seconds '
          f'(parallel.timeout), last during {status.described}'
        )
    return None

  def _stuck(self, present: list[_Seen], now: float) -> Verdict | None:
    if not present:
      return None
    most = max(seen.status.moves for seen in present)
    for seen in present:
      status = seen.status
      ahead = status.moves < most
      seen.behind = min(seen.behind, now) if ahead else float('inf')
      if seen.heard - max(seen.moved, seen.behind) > self.timeout:
        return Verdict(
          f'process {status.rank} is stuck: no progress for {self.timeout:g} '
          f'seconds (parallel.timeout) during {status.described}'
        )
    idle = all(seen.heard - seen.moved > self.timeout for seen in present)
    restore = all(seen.status.phase == 'restore' for seen in present)
    if len(present) > 1 and idle and restore:
      each = ', '.join(
        f'process {seen.status.rank} during {seen.status.described}'
        for seen in present
      )
      return Verdict(
        f'no process made progress for {self.timeout:g} seconds '
        f'(parallel.timeout): {each}'
      )
    return None
