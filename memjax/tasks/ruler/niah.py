"""NIAH: recall a number that appears once in a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, needle in a
haystack with several keys; the text is any corpus, see `haystack.py`.
Specification: a window of the split's bytes, at a random place. `needles`
sentences `The magic number for KEY is NUMBER. ` are inserted, each before a
uniformly drawn byte or after the last. The end is ` The magic number for KEY
is ` with one of the keys, and its number. Keys are 4 lower-case letters, all
different within a row; numbers are `digits` uniform digits. The row reads T
bytes of this text, all but the last. Seed, stream, step and row determine it;
there is no epoch.
Labels: the digits of the number at the end, each at the position of the byte
before it. The distance is the number of steps back to the same digit in the
sentence with the number.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1/10 per digit. Answering with a
random needle scores 1/needles.
Deviations: RULER's keys are two English words and its numbers have 7 digits,
the first not 0. It inserts sentences between sentences of the text, and
announces the question before the text. Here the models are small and read
bytes.
"""

import dataclasses

from memjax.tasks.ruler.haystack import Draws, Numbers, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class NIAH(Numbers):
  """Numbers with keys in a text, and a query for one key's number.

  Attributes:
    needles: number of hidden sentences, each with a different key.
  """

  needles: int = 1
  counts = ('needles', 'digits')

  def story(self, draws: Draws) -> Story:
    keys = draws.names(self.needles)
    numbers = [draws.number(self.digits) for _ in keys]
    sentences = [
      b'The magic number for %s is %s. ' % pair
      for pair in zip(keys, numbers, strict=True)
    ]
    queried = draws.below(self.needles)
    question = b' The magic number for %s is ' % keys[queried]
    chains = [[sentence] for sentence in sentences]
    return Story(chains, question, numbers[queried], (queried, 0))
