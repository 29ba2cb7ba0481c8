"""Ends the process at once; `run.json` says how.

A main thread that is stuck, or that waits in XLA or for another process, cannot
be interrupted. So a watching thread ends the process. Before that it prints one
line and lets the open run record the same line.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import sys
import threading

from memjax.runs import exit_codes

WAIT = 5.0  # seconds that recording may take: the disk may be stuck
STATES = {exit_codes.DIVERGED: 'diverged', exit_codes.STOPPED: 'stopped'}

Record = Callable[[str, str], None]


class _Open:
  """The run that this process trains."""

  lock = threading.Lock()  # held while a thread records
  record: Record | None = None
  ended = False  # whether a thread has recorded


@contextlib.contextmanager
def recorded_by(record: Record) -> Iterator[None]:
  """A run is open in the body.

  It stays open after an error: where other processes are watched, what the main
  thread met is often not the reason.

  Args:
    record: writes the state and the reason of an end, unless one is written.
  """
  _Open.record, _Open.ended = record, False
  yield
  with _Open.lock:
    _Open.record = None


def has_begun() -> bool:
  """Whether a thread ends this run; what the main thread meets is no reason."""
  return _Open.ended


def end(line: str, code: int, ending: Callable[[int], None] = os._exit) -> None:
  """Prints a line, records it, and ends the process.

  Args:
    line: why.
    code: the exit code.
    ending: ends the process.
  """
  print(f'memjax: {line}', file=sys.stderr, flush=True)
  writer = threading.Thread(target=_record, args=(line, code), daemon=True)
  writer.start()
  writer.join(WAIT)
  ending(code)


def _record(line: str, code: int) -> None:
  with _Open.lock, contextlib.suppress(Exception):  # the line has been printed
    if _Open.record:
      _Open.ended = True
      _Open.record(STATES.get(code, 'failed'), line)
