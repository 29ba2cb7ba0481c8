"""The processes of one run watch each other and end together.

A thread of each process says twice a second what the process does. Process 0
judges (`verdict.py`) and tells the others, so that all print one line and end.
They end by `os._exit`: a thread that waits for a dead process in a collective
operation cannot be interrupted.
"""

import atexit
import contextlib
import os
import queue
import sys
import threading
import time

from memjax.errors import ConfigError, Diverged, Stopped
from memjax.guards import ending, link, phase
from memjax.guards.link import Inbox, Link, Message
from memjax.guards.stopping import Stopping, place_of
from memjax.guards.verdict import Judge, Status, Verdict
from memjax.runs import exit_codes

TICK = 0.5  # seconds between two messages
GRACE = 3.0  # seconds in which a process may end by an error of its own
LEAVE = GRACE + 2.0  # seconds that process 0 waits for the others to end
CODES = {
  ConfigError: exit_codes.REFUSED,
  Diverged: exit_codes.DIVERGED,
  Stopped: exit_codes.STOPPED,
}


class Peers:
  """This process and its links to the others.

  Args:
    rank: the number of this process.
    count: the number of processes.
    timeout: `parallel.timeout`, in seconds.
  """

  def __init__(self, rank: int, count: int, timeout: float):
    self.stopping = Stopping()
    self._rank, self._count = rank, count
    self._judge = Judge(timeout)
    self._inbox: Inbox = queue.Queue()
    self._links: dict[int, Link] = {}
    self._messages: dict[int, Message] = {}
    self._done, self._all_done = False, threading.Event()
    self._failing = threading.Event()
    self._connect(timeout)
    threading.Thread(target=self._watch, name='peers', daemon=True).start()

  def _connect(self, timeout: float) -> None:
    key = 'memjax/hub'
    if self._rank == 0:
      port = link.listen(self._count - 1, self._inbox)
      link.store().key_value_set(key, str(port))
      return
    port = int(link.store().blocking_key_value_get(key, int(1000 * timeout)))
    self._links[0] = link.connect(link.hub_host(), port, timeout, self._inbox)

  def finish(self) -> None:
    """Waits until every process has come here."""
    self._done = True
    self._all_done.wait()

  def fail(self, error: BaseException) -> None:
    """Tells the others why this process ends.

    An error that is nobody's mistake is often that another process is gone:
    then the thread ends this one first, with the line that says so.
    """
    kind = next((kind for kind in CODES if isinstance(error, kind)), None)
    if kind is None:
      time.sleep(GRACE)
    self._failing.set()
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = f'process {self._rank} ended during {phase.current()}: {lines[0]}'
    code = exit_codes.PEER if kind is None else CODES[kind]
    self._send(Verdict(line, code))
    own = exit_codes.FAILED if kind is None else code
    atexit.register(self._exit, own)  # before jax, which waits for the others

  def _exit(self, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    end = time.monotonic() + LEAVE
    if (
      self._rank == 0
    ):  # jax's service ends with it, and would abort the others
      for one in self._links.values():
        one.ended.wait(max(end - time.monotonic(), 0))
    os._exit(code)

  def _watch(self) -> None:
    last = 0.0
    while True:
      with contextlib.suppress(queue.Empty):
        self._receive(*self._inbox.get(timeout=TICK / 2))
      now = time.monotonic()
      if now - last < TICK:
        continue
      last = now
      if self._rank == 0:
        self._judge.hear(self._status(), now)
      self._send()
      if verdict := self._judge.verdict(now):
        self._end(verdict)

  def _receive(self, source: Link, message: Message | None) -> None:
    if message is None:
      ranks = [rank for rank, one in self._links.items() if one is source]
      if verdict := self._judge.lost(ranks[0]) if ranks else None:
        self._end(verdict)
      return
    status = Status(*message['status'])
    self._links[status.rank] = source
    self._messages[status.rank] = message
    self._judge.hear(status, time.monotonic())
    if message['verdict']:
      if not self._failing.wait(GRACE):
        self._end(Verdict(*message['verdict']))
    elif self._rank == 0:
      self._lead()
    else:
      self._follow(message)

  def _lead(self) -> None:
    """Process 0: holds all once one wants to stop, and says where they do."""
    present = [m for m in self._messages.values() if not m['done']]
    own = self.stopping
    wanted = own.wanted or any(m['wanted'] for m in present)
    if wanted and own.at is None:
      if own.hold():
        self._send()
      if place := place_of([own.message(), *present]):
        own.agree(place)
        self._send()
    if self._done and len(self._messages) == self._count - 1 and not present:
      self._all_done.set()
      self._send()

  def _follow(self, message: Message) -> None:
    if message['at'] is not None:
      self.stopping.agree(message['at'])
    elif message['held_at'] is not None and self.stopping.hold():
      self._send()
    if message['all_done']:
      self._all_done.set()

  def _send(self, verdict: Verdict | None = None) -> None:
    message = {
      'status': self._status(),
      'done': self._done,
      'all_done': self._all_done.is_set(),
      'verdict': verdict,
      **self.stopping.message(),
    }
    for one in list(self._links.values()):
      one.send(message)

  def _status(self) -> Status:
    now = phase.current()
    work = time.process_time() + bytes_read() / 2e7
    moves = phase.progress()
    return Status(self._rank, now.name, str(now), moves, work, self._done)

  def _end(self, verdict: Verdict) -> None:
    if self._rank == 0:
      self._send(verdict)
    ending.end(verdict.line, verdict.code, self._exit)


def bytes_read() -> int:
  """Bytes that this process has read from files; 0 where nobody counts them."""
  try:
    with open('/proc/self/io', encoding='ascii') as file:
      return int(file.readline().split()[1])
  except OSError:
    return 0
