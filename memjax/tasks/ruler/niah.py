"""NIAH: find a number that was told once somewhere in a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, its NIAH with
several keys; the hay is any corpus, see `haystack.py`.
Specification: a window of the split's bytes, at a random place; in it so many
sentences `The magic number for KEY is NUMBER. `, each before a byte drawn
uniformly or behind the last; behind all of it ` The magic number for KEY is `
with the key of one of them, and its number. Keys are 4 small letters, no two of
a row the same; numbers are `digits` digits, fair, the first too. The row reads
T bytes of this text, all but the last. It is decided by seed, stream, step and
row. Rows never end; there is no epoch.
Labels: the digits of the number at the end, each where the one before it is
read. Their distance is that to the same digit in the sentence that told it.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1 in 10; who names the number of
any sentence of the row is right once in so many, and by chance else.
Deviations: RULER's keys are two English words and its numbers have 7 digits,
the first not 0; it puts sentences between two of the text, and tells what will
be asked before the text. Here the models are small and read bytes.
"""

import dataclasses

from memjax.tasks.ruler.haystack import Draws, Numbers, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class NIAH(Numbers):
  """Numbers with keys in a text, and a key to say the number of.

  Attributes:
    needles: sentences hidden, each with a key and a number of its own.
  """

  needles: int = 1
  counts = ('needles', 'digits')

  def story(self, draws: Draws) -> Story:
    keys = draws.names(self.needles)
    numbers = [draws.number(self.digits) for _ in keys]
    told = [
      b'The magic number for %s is %s. ' % pair
      for pair in zip(keys, numbers, strict=True)
    ]
    asked = draws.below(self.needles)
    question = b' The magic number for %s is ' % keys[asked]
    return Story([[one] for one in told], question, numbers[asked], (asked, 0))
