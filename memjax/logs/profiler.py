"""A trace of some training steps, for Perfetto, TensorBoard and XProf.

Files lie in `profile/plugins/profile/TIME/` of the workdir:

    HOST.trace.json.gz  opens in https://ui.perfetto.dev
    HOST.xplane.pb      opens in TensorBoard with the plugin of `xprof`
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path
from typing import Any, Self

import jax

from memjax.errors import ConfigError, require

WARM_UP = (
  2  # calls before a trace that has no first step: compilation is in them
)


class Profiler:
  """Traces the steps that `--profile` chooses.

  Args:
    folder: where to write.
    steps: 'N', N steps once the program is warm; 'A:B', the steps after step A
      up to step B; '', none. A trace begins and ends between two calls.
    total_steps: number of steps of the whole run.

  Raises:
    ConfigError: `steps` is neither, or no step of the run is chosen.
  """

  def __init__(self, folder: Path, steps: str, total_steps: int):
    self._folder = folder
    self._first, self._number = read_steps(steps) if steps else (-1, 0)
    rule = f'starts at or after the last step, {total_steps}'
    require(self._first < total_steps, 'profile', steps, rule)
    self._calls, self._last = 0, 0
    self._running = False

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    self._stop()

  @contextlib.contextmanager
  def call(self, step: int, state: Any) -> Iterator[None]:
    """Surrounds the dispatch of the call that follows this step and state."""
    if self._number:
      self._update(step, state)
    if not self._running:
      yield
      return
    with jax.profiler.StepTraceAnnotation('train', step_num=step):
      yield

  def _update(self, step: int, state: Any) -> None:
    if self._running:
      if step >= self._last:
        jax.block_until_ready(state)
        self._stop()
        self._number = 0
      return
    self._calls += 1
    waits = self._calls <= WARM_UP if self._first < 0 else step < self._first
    if waits:
      return
    jax.block_until_ready(state)
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # it slows down the steps it traces
    jax.profiler.start_trace(self._folder, profiler_options=options)
    self._last = step + self._number
    self._running = True

  def _stop(self) -> None:
    if self._running:
      self._running = False
      jax.profiler.stop_trace()
      print(f'profile: {self._folder}')


def read_steps(text: str) -> tuple[int, int]:
  """The first step, -1 if none is given, and the number of steps."""
  first, colon, last = text.rpartition(':')
  try:
    if not colon:
      start, number = -1, int(last)
    else:
      start, number = int(first), int(last) - int(first)
  except ValueError:
    start, number = -1, 0
  if number < 1 or start < -1:
    rule = 'must be a number of steps, as 10, or a range, as 100:110'
    raise ConfigError('profile', text, rule)
  return start, number
