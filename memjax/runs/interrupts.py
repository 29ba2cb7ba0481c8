"""SIGTERM and Ctrl-C: the training loop checks for them between two steps."""

import signal
from types import FrameType
from typing import Self

import jax
from jax.experimental import multihost_utils


class Interrupts:
  """A context in which the first SIGTERM or Ctrl-C only sets a flag.

  The second one ends the process as usual. With several hosts, all of them get
  the same answer: jax.distributed passes on a SIGTERM of any host.
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
