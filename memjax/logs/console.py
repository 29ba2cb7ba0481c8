"""Shows a run: one line for each row, and on a terminal a bar below them.

 400/2000  train        1:12 left   41k tok/s  lr 9.1e-4  loss 2.113  acc 0.4100
 400/2000  validation                                     loss 2.240  acc 0.3900

The headline metric (see `headline.py`) is the last of the line. A line is at
most as wide as the terminal, in a file 80 columns: figures that do not fit are
left out. `metrics.jsonl` has all of them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
import sys
import time
from typing import TextIO

import rich.console
from rich.progress import BarColumn, Progress, TextColumn

from memjax.logs.headline import Spread, shown, spread
from memjax.logs.metrics_file import Row

BAR = 12  # characters
WIDEST = 100  # columns of a line, however wide the terminal is
GAP = '  '
SHORT = {
  'accuracy': 'acc',
  'bits_per_byte': 'bits/byte',
  'bits_per_character': 'bits/char',
  'perplexity_per_word': 'ppl/word',
}
# Which cell of a line is left out first if they do not all fit.
OTHERS, TIME_LEFT, SECOND, SPEED, SPREAD, ALWAYS = range(6)
Cell = tuple[int, str]  # one of the above, and the text


class Console:
  """Shows the rows of a run on standard output, or in another text file.

  Args:
    total_steps: number of steps of the whole run.
    best: the field `checkpoint.best`; it decides the headline metric.
    file: where to write; None: standard output.
    clock: returns seconds, from which the remaining time is estimated.
  """

  def __init__(
    self,
    total_steps: int,
    best: str = '',
    file: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._total, self._best, self._clock = total_steps, best, clock
    self._origin: tuple[int, float] | None = None
    self._console = rich.console.Console(file=file)
    self._width = min(self._console.width, WIDEST)
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
    """Shows a row in a line, and a training row in the bar as well."""
    step = f'{row["step"]:>{len(str(self._total))}}/{self._total}'
    names = shown(row['metrics'], self._best)
    figures = describe_figures(row, names)
    replicas = SPREAD, describe_spread(spread(row, names[0]))
    pace: list[Cell] = []
    if row['split'] == 'train':
      pace = [self._time_left(row), *describe_speed(row)]
      if self._console.is_terminal:
        live = fit(
          [*pace, figures[-1]], self._width - len(step) - BAR - len(GAP)
        )
        self._bar.update(
          self._task, completed=row['step'], description=step, figures=live
        )
        del pace[0]  # the bar shows it
    start = f'{step}{GAP}{row["split"]}{GAP}'
    room = self._width - len(start)
    line = fit([*pace, *figures, replicas], room)
    self._print(start + line.rjust(room))

  def _time_left(self, row: Row) -> Cell:
    """The remaining time at the mean pace so far."""
    now = self._clock()
    if self._origin is None:
      self._origin = row['step'], now
    step, start = self._origin
    if row['step'] == step:
      return TIME_LEFT, ''
    seconds = (now - start) / (row['step'] - step)
    steps_left = max(self._total - row['step'], 0)
    return TIME_LEFT, f'{format_duration(seconds * steps_left)} left'

  def figure(self, name: str, path: Path) -> None:
    """Shows the path of a figure."""
    self._print(f'{name}: {path}')

  def text(self, name: str, text: str) -> None:
    """Shows nothing: the summary of a run prints its sample."""

  def _print(self, line: str) -> None:
    self._console.print(line, markup=False, highlight=False, soft_wrap=True)

  def close(self) -> None:
    """Removes the bar and restores the terminal."""
    self._bar.stop()


def fit(cells: Sequence[Cell], width: int) -> str:
  """The texts in a line, without those that do not fit.

  Of the cells that are left out first, the leftmost goes first. One cell
  always stays.
  """
  left = [(rank, text) for rank, text in cells if text]
  while len(line := GAP.join(text for _, text in left)) > width:
    if len(left) == 1:
      break
    left.remove(min(left, key=lambda cell: cell[0]))
  return line


def describe_figures(row: Row, names: Sequence[str]) -> list[Cell]:
  """A cell for each metric; the first name is the last cell."""
  ranks = [ALWAYS, SECOND] + [OTHERS] * len(names)
  cells = [
    (rank, f'{SHORT.get(name, name)} {format_number(row["metrics"][name])}')
    for rank, name in zip(ranks, names, strict=False)
  ]
  return cells[::-1]


def describe_speed(row: Row) -> list[Cell]:
  """Tokens per second, use of the hardware, and the learning rate."""
  cells = []
  if 'tokens_per_second' in row:
    speed = format_magnitude(row['tokens_per_second'])
    cells.append((SPEED, f'{speed:>4} tok/s'))
  if 'mfu' in row:
    cells.append((OTHERS, f'mfu {row["mfu"]:.1%}'))
  if 'learning_rate' in row:
    rates = row['learning_rate']
    ends = (min(rates), max(rates)) if isinstance(rates, list) else (rates,)
    cells.append((SPEED, f'lr {" to ".join(map(format_rate, ends))}'))
  return cells


def describe_spread(found: Spread | None) -> str:
  """What to say of the replicas behind a median; '' with one replica."""
  if found is None:
    return ''
  least, most = format_number(found.least), format_number(found.most)
  solved = '' if found.solved is None else f', {found.solved} solved'
  some = found.finite < found.replicas
  seeds = f', {found.finite} of {found.replicas} seeds' if some else ''
  return f'({least} to {most}{solved}{seeds})'


def format_rate(value: float) -> str:
  """Two significant digits: 9.1e-4."""
  mantissa, exponent = f'{value:.1e}'.split('e')
  return f'{mantissa}e{int(exponent)}'


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
