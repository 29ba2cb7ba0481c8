"""NIAH: recall a number that appears once in a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, needle in a
haystack; the text is any corpus, or noise, see `haystack.py`.
Specification: a window of the split's bytes, at a random place. `needles` keys
have `values` values each. Every value has a sentence `The magic number for KEY
is VALUE. `, inserted before a uniformly drawn byte or after the last; the
sentences of a key keep their order. The end is ` The magic number for KEY is `
with one of the keys, and its values, one after another. With several queries it
is ` The magic number for KEY, KEY is ` and the values of these keys, which are
all different. Keys are 4 lower-case letters, all different within a row. A
value is `digits` uniform digits, or with kind='uuid' 32 digits of 0..9 and
a..f, and the sentences say uuid. The row reads T bytes of this text, all but
the last. Seed, stream, step and row determine it; there is no epoch.
RULER's tasks: S-NIAH-1 is corpus='noise'; S-NIAH-2 a corpus; S-NIAH-3
kind='uuid'; MK-NIAH needles=4; MV-NIAH values=4; MQ-NIAH needles=4, queries=4.
Labels: the digits of the values at the end, each at the position of the byte
before it. The distance is the number of steps back to the same digit in the
sentence with the value.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1/10 per digit, of a uuid 1/16.
Answering with a random needle scores 1/needles.
Deviations: RULER's keys are two English words, its numbers have 7 digits, the
first not 0, and its uuids have dashes. It inserts sentences between sentences
of the text, announces the question before the text, and lists several answers
with commas. Here the models are small and read bytes.
"""

import dataclasses

from memjax.errors import require
from memjax.tasks.ruler.haystack import Haystack, with_any_number
from memjax.tasks.ruler.story import Answer, Draws, Story

KINDS = ('number', 'uuid')
UUID_DIGITS = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class NIAH(Haystack):
  """Values with keys in a text, and a query for the values of some keys.

  Attributes:
    needles: number of keys.
    digits: number of digits of a number.
    values: number of values of a key; a query asks for all of them.
    queries: number of keys that are asked for, one after another.
    kind: 'number' or 'uuid'.
  """

  needles: int = 1
  digits: int = 5
  values: int = 1
  queries: int = 1
  kind: str = 'number'
  counts = ('needles', 'digits', 'values', 'queries')

  def __post_init__(self) -> None:
    super().__post_init__()
    rule = f'must be one of {", ".join(KINDS)}'
    require(self.kind in KINDS, 'kind', self.kind, rule)
    rule = f'must be at most needles, {self.needles}'
    require(self.queries <= self.needles, 'queries', self.queries, rule)

  @property
  def symbols(self) -> int:
    return 16 if self.kind == 'uuid' else 10

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    one = self.values == self.queries == 1
    return with_any_number(super().baselines, self.needles if one else 1)

  def story(self, draws: Draws) -> Story:
    kind = self.kind.encode()
    keys = draws.names(self.needles)
    values = [[self._value(draws) for _ in range(self.values)] for _ in keys]
    start = [b'The magic %s for %s is ' % (kind, key) for key in keys]
    chains = [
      [b'%s%s. ' % (before, value) for value in of_key]
      for before, of_key in zip(start, values, strict=True)
    ]
    if self.queries == 1:
      queried = [draws.below(self.needles)]
    else:
      queried = draws.shuffled(list(range(self.needles)))[: self.queries]
    asked = b', '.join(keys[i] for i in queried)
    question = b' The magic %s for %s is ' % (kind, asked)
    answers = [
      Answer(values[i][place], i, place, len(start[i]))
      for i in queried
      for place in range(self.values)
    ]
    return Story(chains, question, answers)

  def _value(self, draws: Draws) -> bytes:
    if self.kind == 'uuid':
      return draws.hexadecimal(UUID_DIGITS)
    return draws.number(self.digits)
