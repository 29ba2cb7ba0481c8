"""Shows what was seen of the laws, a line each, on standard output."""

from collections.abc import Iterator
import contextlib
import textwrap
import time

import rich.console
from rich.status import Status
from rich.text import Text

from memjax.laws.check import (
  ADVICE,
  BROKEN,
  LAWS,
  ON_PURPOSE,
  PASSED,
  Law,
  Outcome,
)

STYLES = {
  PASSED: 'green',
  BROKEN: 'bold red',
  ON_PURPOSE: 'yellow',
  ADVICE: 'yellow',
}
COLUMNS, STATE, NAME = 80, 10, 15  # widths of a line and its first columns
INDENT = STATE + NAME + 2


class Page:
  """The lines of one check.

  Args:
    name: what is checked.
    sizes: of what is checked, and what it reads; '' for nothing.

  Attributes:
    broken: names of the broken laws.
  """

  def __init__(self, name: str, sizes: str = ''):
    self._name = name
    self._console = rich.console.Console(highlight=False)
    self._width = min(self._console.width, COLUMNS)
    self._start = time.monotonic()
    self._status = Status('', console=self._console)
    self._outcomes: list[Outcome] = []
    self.say(f'{name}{sizes}')

  @property
  def broken(self) -> list[str]:
    return self._named(BROKEN)

  @contextlib.contextmanager
  def live(self) -> Iterator[None]:
    """Within it, a terminal shows what is being tried."""
    with self._status:
      yield

  def begin(self, law: Law) -> None:
    """Shows that a law is being tried."""
    number = len(self._outcomes) + 1
    self._status.update(f'{number}/{len(LAWS)} {law.name}: {law.title}')

  def show(self, outcome: Outcome) -> None:
    """Shows what was seen of a law, and what usually causes it."""
    self._outcomes.append(outcome)
    law, state, text, hint = outcome
    remark = f': {text}' if state == PASSED and text else ''
    head = f'{state:{STATE}} {law.name:{NAME}} '
    self.say(f'{head}{law.title}{remark}', INDENT, STYLES[state], len(state))
    if state != PASSED:
      self.say(' ' * STATE + f' {text}', STATE + 1)
    if hint:
      self.say(' ' * STATE + f' Hint: {hint}', STATE + 1, 'italic')

  def sum_up(self) -> None:
    """Shows one line on all laws."""
    purpose, advice = self._named(ON_PURPOSE), self._named(ADVICE)
    kept = len(self._named(PASSED))
    if self.broken:
      number, names = len(self.broken), ', '.join(self.broken)
      line = f'{self._name} breaks {number} of {len(LAWS)} laws: {names}'
    else:
      line = f'{self._name} keeps {kept} of {len(LAWS)} laws'
    if purpose:
      line += f'; on purpose not {", ".join(purpose)}'
    if advice:
      line += f'; advice on {", ".join(advice)}'
    if left := len(LAWS) - len(self._outcomes):
      line += f'; {left} laws need {self.broken[-1]} and were not tried'
    seconds = time.monotonic() - self._start
    style = STYLES[BROKEN if self.broken else PASSED]
    self.say('')
    self.say(f'{line} ({seconds:.1f}s)', style=style)

  def say(
    self, line: str, indent: int = 0, style: str = '', end: int | None = None
  ) -> None:
    """Shows a sentence, wrapped; the style is that of its first characters."""
    wrapped = textwrap.fill(
      line, self._width, subsequent_indent=' ' * indent, break_on_hyphens=False
    )
    text = Text(wrapped)
    text.stylize(style, 0, end)
    self._console.print(text, soft_wrap=True)

  def _named(self, state: str) -> list[str]:
    return [seen.law.name for seen in self._outcomes if seen.state == state]
