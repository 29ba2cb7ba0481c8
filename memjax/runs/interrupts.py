"""SIGTERM and Ctrl-C as a question the loop asks between two steps."""

import signal
from types import FrameType
from typing import Self

import jax
from jax.experimental import multihost_utils


class Interrupts:
  """Within it, the first SIGTERM or Ctrl-C only sets a flag.

  A second one ends the process as usual. With several hosts the question has
  one answer for all of them, by jax.distributed's own notice of SIGTERM.
  """

  def __init__(self) -> None:
    self._stop = False

  def __enter__(self) -> Self:
    if jax.process_count() == 1:
      self._before = {
        number: signal.signal(number, self._receive)
        for number in (signal.SIGTERM, signal.SIGINT)
      }
    else:
      self._before = {}
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _receive(self, number: int, frame: FrameType | None) -> None:
    del frame
    self._stop = True
    signal.signal(number, self._before[signal.Signals(number)])

  def stop(self, step: int) -> bool:
    """Whether to save and leave after this step."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._stop
