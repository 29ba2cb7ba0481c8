"""Shows a run: a live bar on a terminal, lines in a file or a pipe.

step  400/2000  train  loss  2.113  accuracy 0.4100  41k tokens/s  1:12 left
step  400/2000  valid  loss  2.240  accuracy 0.3900
"""

from collections.abc import Callable
from pathlib import Path
import sys
import time
from typing import TextIO

import rich.console
from rich.progress import BarColumn, Progress, TextColumn

from memjax.logs.metrics_file import Row

BAR = 12  # characters
DIAGNOSTICS = ('gradient_norm', 'learning_rate')  # in metrics.jsonl only


class Console:
  """Shows the rows of a run on standard output, or in another text file.

  Args:
    total_steps: number of steps of the whole run.
    file: where to write; None: standard output.
    clock: returns seconds, from which the remaining time is estimated.
  """

  def __init__(
    self,
    total_steps: int,
    file: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._total, self._clock = total_steps, clock
    self._origin: tuple[int, float] | None = None
    self._split_width = len('train')
    self._console = rich.console.Console(file=file)
    self._bar = Progress(
      TextColumn('{task.description}', markup=False),
      BarColumn(bar_width=BAR),
      TextColumn('{task.fields[figures]}', markup=False),
      console=self._console,
      refresh_per_second=2,
      disable=not self._console.is_terminal,
    )
    self._task = self._bar.add_task('starting', total=total_steps, figures='')
    self._bar.start()

  def write(self, row: Row) -> None:
    """Shows a training row in the bar, and any other row above the bar."""
    step = f'step {row["step"]:>{len(str(self._total))}}/{self._total}'
    live = row['split'] == 'train'
    figures = [
      f'{name} {format_number(value):>6}'
      for name, value in row['metrics'].items()
      if name not in DIAGNOSTICS
    ]
    pace = self._pace(row) if live else []
    if live and self._console.is_terminal:
      figures.sort(
        key=lambda figure: figure.startswith('loss ')
      )  # dropped last
      width = self._console.width - len(step) - BAR - 2
      while figures and len('  '.join(figures + pace)) > width:
        del figures[0]
      line = '  '.join(figures + pace)
      self._bar.update(
        self._task, completed=row['step'], description=step, figures=line
      )
      return
    self._split_width = max(self._split_width, len(row['split']))
    split = f'{row["split"]:<{self._split_width}}'
    self._print('  '.join([step, split, *figures, *pace]))

  def _pace(self, row: Row) -> list[str]:
    """Tokens per second, and the remaining time at the mean pace so far."""
    pace = []
    if 'tokens_per_second' in row:
      pace.append(f'{format_magnitude(row["tokens_per_second"]):>4} tokens/s')
    now = self._clock()
    if self._origin is None:
      self._origin = row['step'], now
    step, start = self._origin
    if row['step'] > step:
      seconds = (now - start) / (row['step'] - step)
      steps_left = max(self._total - row['step'], 0)
      pace.append(f'{format_duration(seconds * steps_left)} left')
    return pace

  def figure(self, name: str, path: Path) -> None:
    """Shows the path of a figure."""
    self._print(f'{name}: {path}')

  def _print(self, line: str) -> None:
    self._console.print(line, markup=False, highlight=False, soft_wrap=True)

  def close(self) -> None:
    """Removes the bar and restores the terminal."""
    self._bar.stop()


def format_number(value: float) -> str:
  """Four significant digits: 2.113, 0.02113, 211.3, 2113, 2.113e-05."""
  return f'{value:#.4g}'.rstrip('.')


def format_magnitude(value: float) -> str:
  """Two or three digits and a unit, such as 870, 4.1k, 41k, 1.2M."""
  units = iter(('', 'k', 'M', 'G', 'T'))
  unit = next(units)
  while value >= 999.5:
    value, unit = value / 1000, next(units)
  return f'{value:.1f}{unit}' if unit and value < 9.95 else f'{value:.0f}{unit}'


def format_duration(seconds: float) -> str:
  """Minutes and seconds, with hours if needed: 1:12, 1:02:03."""
  minutes, second = divmod(round(seconds), 60)
  hours, minute = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minute:02}:{second:02}'
  return f'{minute}:{second:02}'


def print_error(line: str) -> None:
  """One line on standard error."""
  print(line, file=sys.stderr, flush=True)


def first_line(error: Exception) -> str:
  """The first line of an error's message."""
  return (str(error) or type(error).__name__).splitlines()[0]
