"""SIGTERM and Ctrl-C, from the first line of `main` to the last.

Where nothing can be lost, a signal ends the process at once: before the first
step, and in every mode but training. The main thread raises `Stopped`. If it
does not within GRACE seconds, because XLA compiles, a thread ends the process.

While steps are trained (`Interrupts.hold`), the first signal lets the loop save
and leave. The second one changes nothing and says so. The third one ends the
process; the steps since the last save are lost.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Self

from memjax.errors import Stopped
from memjax.guards import ending, phase
from memjax.runs import exit_codes

NAMES = {signal.SIGTERM: 'SIGTERM', signal.SIGINT: 'Ctrl-C'}
GRACE = 3.0  # seconds until a main thread that is not in Python is left behind
CLOSE = b'\0'


class _Signals:
  """What this process has received.

  Attributes:
    handled: whether the handlers are installed.
    held: whether the loop looks for signals, so that they raise nothing.
    first: the name of the first signal; empty: none came.
  """

  handled = held = False
  first = ''
  # Whether all processes stop here, if this one has or has not got a signal.
  agree: Callable[[bool], bool] = staticmethod(bool)


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Handles both signals in the body; does nothing inside another `handled`.

  Raises:
    Stopped: a signal came that nobody holds.
  """
  on_main = threading.current_thread() is threading.main_thread()
  if _Signals.handled or not on_main:
    yield
    return
  _Signals.handled, _Signals.first = True, ''
  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  thread = threading.Thread(target=_watch, args=(reader,), daemon=True)
  thread.start()
  wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  before = {number: signal.signal(number, _receive) for number in NAMES}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(wakeup)
    os.write(writer, CLOSE)
    thread.join()
    os.close(reader)
    os.close(writer)
    _Signals.handled = False


def _receive(number: int, frame: FrameType | None) -> None:
  """In the main thread, between two lines of Python."""
  del frame
  if not _Signals.first:
    _Signals.first = NAMES[signal.Signals(number)]
    if not _Signals.held:
      raise Stopped(_line())


def _line() -> str:
  name = _Signals.first or 'a signal to another process'
  return f'stopped by {name} during {phase.current()}'


def _watch(reader: int) -> None:
  """In a thread: counts signals, also while the main thread is in XLA."""
  count, name, deadline = 0, '', None
  while True:
    wait = None if deadline is None else max(deadline - time.monotonic(), 0)
    if not select.select([reader], [], [], wait)[0]:
      if not _Signals.first:
        _Signals.first = name
        _end(_line())
      deadline = None
      continue
    for number in os.read(reader, 64):
      if number == CLOSE[0]:
        return
      if number not in NAMES:
        continue
      count, name = count + 1, NAMES[signal.Signals(number)]
      if count == 1:
        deadline = None if _Signals.held else time.monotonic() + GRACE
      elif not _Signals.held:
        _end(f'stopped by a second {name}')
      elif count == 2:
        _print('saves and stops; a third signal ends without saving')
      else:
        _end(f'stopped by a third {name}: steps since the last save are lost')


def _end(line: str) -> None:
  ending.end(line, exit_codes.STOPPED)


def _print(line: str) -> None:
  print(f'memjax: {line}', file=sys.stderr, flush=True)


class Interrupts:
  """A context around the training loop."""

  def __enter__(self) -> Self:
    self._handled = handled()
    self._handled.__enter__()
    return self

  def __exit__(self, *error: object) -> None:
    _Signals.held = False
    self._handled.__exit__(None, None, None)

  def hold(self) -> None:
    """From here on there are steps to save, and a signal waits for `stop`."""
    _Signals.held = True

  def stop(self, step: int) -> bool:
    """Whether to save and leave after this step."""
    del step
    return _Signals.agree(bool(_Signals.first))

  def end(self, step: int) -> bool:
    """As `stop`, once all is saved: from here on a signal ends the process."""
    stop, _Signals.held = self.stop(step), False
    return stop


@contextlib.contextmanager
def left_early() -> Iterator[None]:
  """Work in steps that `check` may end, if there are steps to save after it."""
  try:
    yield
  except Stopped:
    if not _Signals.held:
      raise


def agree_by(function: Callable[[bool], bool]) -> None:
  """Several processes agree by this function where they stop."""
  _Signals.agree = staticmethod(function)


def check() -> None:
  """Between two batches of an evaluation: ends it if a signal has come.

  Raises:
    Stopped: a signal has come.
  """
  if _Signals.agree(bool(_Signals.first)):
    raise Stopped(_line())
