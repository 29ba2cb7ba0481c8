"""Processes of a run stop at the same place, whichever of them got a signal.

Every process calls `Stopping.here` at the same places of the program, so the
number of its calls is a place. To agree on one, all are held before their next
call, each says its number, and the largest number plus one is where all stop.
Threads do this, so no process waits for another one that waits for the device.
"""

import threading
from typing import Any


class Stopping:
  """One process's part in the agreement."""

  def __init__(self) -> None:
    self._gate = threading.Lock()  # held while the main thread may not pass
    self._place = 0
    self._held = False
    self.wanted = False
    self.at: int | None = None

  def here(self, wanted: bool) -> bool:
    """In the main thread: whether all processes stop here.

    Args:
      wanted: whether this process has got a signal.
    """
    self.wanted = self.wanted or wanted
    with self._gate:
      self._place += 1
      return self.at is not None and self._place >= self.at

  def hold(self) -> bool:
    """Lets the main thread pass no further place; whether that is new."""
    new = not self._held and self.at is None
    if new:
      self._gate.acquire()
      self._held = True
    return new

  def agree(self, at: int) -> None:
    """Sets the place where all stop, and lets the main thread go on."""
    self.at = at
    if self._held:
      self._held = False
      self._gate.release()

  def message(self) -> dict[str, Any]:
    """What the other processes must know."""
    held_at = self._place if self._held else None
    return {'wanted': self.wanted, 'held_at': held_at, 'at': self.at}


def place_of(messages: list[dict[str, Any]]) -> int | None:
  """Where all stop, once all are held; None: not yet."""
  places = [message['held_at'] for message in messages]
  return None if None in places else max(places) + 1
