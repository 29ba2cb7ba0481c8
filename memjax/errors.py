"""The error for a user's mistake, and functions that raise and explain it."""

from collections.abc import Iterable
import difflib

SHOWN = 5  # names in a hint, of a long list


class ConfigError(ValueError):
  """A setting, a file or a folder breaks a rule.

  The message is one line, `field: value: rule`. `memjax` prints it without a
  traceback and exits with code 2.
  """

  def __init__(self, field: str, value: object, rule: str):
    super().__init__(f'{field}: {value!r}: {rule}')
    self.field, self.value, self.rule = field, value, rule

  def within(self, section: str) -> 'ConfigError':
    """The same error, with the field's name prefixed by its section."""
    return ConfigError(f'{section}.{self.field}', self.value, self.rule)


class NotSaved(ConfigError):
  """A checkpoint could not be written, for example because the disk is full."""


def require(condition: bool, field: str, value: object, rule: str) -> None:
  """Raises ConfigError(field, value, rule) unless the condition holds."""
  if not condition:
    raise ConfigError(field, value, rule)


def require_at_least_one(settings: object, *fields: str) -> None:
  """Requires each named field to be at least 1."""
  for field in fields:
    value = getattr(settings, field)
    require(value >= 1, field, value, 'must be at least 1')


def nearest(word: str, known: Iterable[str], lists: str = '') -> str:
  """A hint for an unknown word: the most similar known words.

  Args:
    word: what was written.
    known: all that would work.
    lists: the command that lists all of them. With it, only the `SHOWN` most
      similar are named if there are more.
  """
  names = sorted(known)
  if word in names:  # a rule that holds: nobody reads the hint
    return ''
  matches = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
  hint = f'did you mean {matches[0]}? ' if matches else ''
  if not lists or len(names) <= SHOWN:
    return f'{hint}known: {", ".join(names) or "none"}'
  closest = difflib.get_close_matches(word, names, n=SHOWN, cutoff=0)
  return f'{hint}nearest: {", ".join(closest)}; {lists} shows all'


class Diverged(RuntimeError):
  """A value is not finite, and the run does not go on. One line."""


class Stopped(KeyboardInterrupt):
  """SIGTERM or Ctrl-C ends the process. The message is one line."""
