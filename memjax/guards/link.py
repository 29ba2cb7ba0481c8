"""Messages between the processes of a run, beside the arrays.

Process 0 is the hub: the others connect to it. A message is one line of JSON.
The end of a connection tells at once that a process has died.
"""

import contextlib
import json
import queue
import socket
import threading
from typing import Any

from jax._src import distributed  # jax shares its key-value store nowhere else

Message = dict[str, Any]
# A message and the link it came through; None: the connection has ended.
Inbox = queue.Queue[tuple['Link', Message | None]]


class Link:
  """A connection to another process; a thread puts what comes into an inbox.

  Attributes:
    ended: set when the other process has closed it or is dead.
  """

  def __init__(self, connection: socket.socket, inbox: Inbox):
    self._connection, self._inbox = connection, inbox
    self.ended, self._lock = threading.Event(), threading.Lock()
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def send(self, message: Message) -> None:
    """Sends a message; one that cannot be sent is dropped."""
    line = json.dumps(message).encode() + b'\n'
    with self._lock, contextlib.suppress(OSError):
      self._connection.sendall(line)

  def _read(self) -> None:
    with contextlib.suppress(OSError, ValueError):
      for line in self._connection.makefile('rb'):
        self._inbox.put((self, json.loads(line)))
    self.ended.set()
    self._inbox.put((self, None))


def store() -> Any:
  """The key-value store of all processes, once they have joined."""
  return distributed.global_state.client


def hub_host() -> str:
  """The host of process 0, which is jax's coordinator."""
  address = distributed.global_state.coordinator_address or ''
  return address.rpartition(':')[0].strip('[]')


def listen(count: int, inbox: Inbox) -> int:
  """Accepts this number of connections in the background; returns the port."""
  both = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if both else socket.AF_INET
  server = socket.create_server(
    ('', 0), family=family, backlog=count, dualstack_ipv6=both
  )
  port = server.getsockname()[1]

  def accept() -> None:
    with server:
      for _ in range(count):
        connection, _ = server.accept()
        Link(connection, inbox)

  threading.Thread(target=accept, daemon=True).start()
  return port


def connect(host: str, port: int, timeout: float, inbox: Inbox) -> Link:
  """A link to the hub.

  Raises:
    OSError: it cannot be reached.
  """
  connection = socket.create_connection((host, port), timeout)
  connection.settimeout(None)
  return Link(connection, inbox)
