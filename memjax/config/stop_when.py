"""A condition on a metric at which training stops: `held_out/loss < 0.1`."""

from collections.abc import Callable
import operator
import re
from typing import NamedTuple

from memjax.errors import ConfigError

COMPARE: dict[str, Callable[[float, float], bool]] = {
  '>=': operator.ge,
  '<=': operator.le,
  '>': operator.gt,
  '<': operator.lt,
}
FORM = re.compile(
  r'\s*([^\s/<>=]+/[^\s<>=]+)\s*(>=|<=|>|<)'
  r'\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)'
  r'(\s+at\s+one\s+setting)?\s*'
)


class Condition(NamedTuple):
  """A metric of an evaluation set, compared with a number.

  Attributes:
    metric: 'set/metric'.
    comparison: a key of COMPARE.
    bound: the number.
    at_one_setting: whether all replicas of one setting must meet it, instead of
      the median of all.
  """

  metric: str
  comparison: str
  bound: float
  at_one_setting: bool = False

  def holds(self, figure: float) -> bool:
    """Whether the figure meets the condition; NaN meets none."""
    return COMPARE[self.comparison](figure, self.bound)

  def __str__(self) -> str:
    words = f'{self.metric} {self.comparison} {self.bound:g}'
    return words + ' at one setting' * self.at_one_setting


def parse_condition(field: str, text: str) -> Condition | None:
  """The condition that a field holds; None if it is empty.

  Raises:
    ConfigError: the text is not `set/metric OPERATOR number`, or this followed
      by `at one setting`.
  """
  if not text.strip():
    return None
  found = FORM.fullmatch(text)
  if found is None:
    rule = f'must be SET/METRIC, one of {" ".join(COMPARE)}, and a number, as '
    rule += 'in held_out/accuracy >= 0.99'
    raise ConfigError(field, text, rule)
  return Condition(found[1], found[2], float(found[3]), found[4] is not None)
