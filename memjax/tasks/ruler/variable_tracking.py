"""Variable tracking: follow a value through assignments in a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654; the text is
any corpus, see `haystack.py`.
Specification: chains of `hops` + 1 sentences are hidden in a window of bytes,
`VAR NAME = NUMBER. ` and then `VAR NAME = VAR NAME. ` for every hop, which
assigns the value of the previous name to a new one. The sentences of a chain
keep their order; their places are uniform. The end is ` VAR NAME is ` with the
last name of one of the chains, and its value. Names are 4 lower-case letters,
all different within a row; numbers are `digits` uniform digits. The row reads T
bytes of this text, all but the last.
Labels: the digits of the value at the end, each at the position of the byte
before it. The distance is the number of steps back to the same digit in the
chain's first sentence.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1/10 per digit. Answering with
the value of a random chain scores 1/chains.
Deviations: RULER gives the value and asks for all names that have it; here the
last name is given and its value is asked for, so that an answer has one order
and chance has a closed form. Its names are 5 capital letters, its text repeats
five sentences, and it shows an example first.
"""

import dataclasses

from memjax.tasks.ruler.haystack import Haystack, with_any_number
from memjax.tasks.ruler.story import Answer, Draws, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariableTracking(Haystack):
  """Chains of assignments in a text, and a query for one chain's last name.

  Attributes:
    chains: number of chains.
    hops: assignments from name to name in each chain.
    digits: number of digits of a number.
  """

  chains: int = 1
  hops: int = 2
  digits: int = 5
  symbols = 10
  counts = ('chains', 'hops', 'digits')

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return with_any_number(super().baselines, self.chains)

  def story(self, draws: Draws) -> Story:
    size = self.hops + 1
    names = draws.names(self.chains * size)
    sentences, numbers = [], []
    for first in range(0, len(names), size):
      chain = names[first : first + size]
      numbers.append(draws.number(self.digits))
      values = [numbers[-1], *(b'VAR ' + name for name in chain[:-1])]
      pairs = zip(chain, values, strict=True)
      sentences.append([b'VAR %s = %s. ' % pair for pair in pairs])
    queried = draws.below(self.chains)
    question = b' VAR %s is ' % names[queried * size + self.hops]
    value = numbers[queried]
    offset = sentences[queried][0].index(value)
    return Story(sentences, question, [Answer(value, queried, 0, offset)])
