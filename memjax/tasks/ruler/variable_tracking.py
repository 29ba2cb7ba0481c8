"""Variable tracking: follow a value from name to name through a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654; the hay is
any corpus, see `haystack.py`.
Specification: chains of `hops` + 1 sentences are hidden in a window of bytes,
`VAR NAME = NUMBER. ` and then `VAR NAME = VAR NAME. ` for every hop, which
gives the value of the name before to a new one. The sentences of a chain stand
in their order, their places drawn uniformly. Behind all of it ` VAR NAME is `
with the last name of one of the chains, and its value. Names are 4 small
letters, no two of a row the same; numbers are `digits` fair digits. The row
reads T bytes of this text, all but the last.
Labels: the digits of the value at the end, each where the one before it is
read. Their distance is that to the same digit in the chain's first sentence.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1 in 10; who says any number of
the row is right once in so many chains, and by chance else.
Deviations: RULER gives the value and asks for all names that have it; here the
last name is given and the value asked for, so that an answer has one order and
chance a closed form. Its names are 5 capital letters, its hay five sentences
said over and over, and it shows an example first.
"""

import dataclasses

from memjax.tasks.ruler.haystack import Draws, Numbers, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariableTracking(Numbers):
  """Chains of names in a text, and the last name of one to say the value of.

  Attributes:
    chains: how many.
    hops: from name to name in each.
  """

  chains: int = 1
  hops: int = 2
  counts = ('chains', 'hops', 'digits')

  def story(self, draws: Draws) -> Story:
    size = self.hops + 1
    names = draws.names(self.chains * size)
    told, numbers = [], []
    for first in range(0, len(names), size):
      mine = names[first : first + size]
      numbers.append(draws.number(self.digits))
      values = [numbers[-1], *(b'VAR ' + name for name in mine[:-1])]
      pairs = zip(mine, values, strict=True)
      told.append([b'VAR %s = %s. ' % pair for pair in pairs])
    asked = draws.below(self.chains)
    question = b' VAR %s is ' % names[asked * size + self.hops]
    return Story(told, question, numbers[asked], (asked, 0))
