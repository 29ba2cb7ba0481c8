"""Common words: say which word a long text told most often.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, its common
words extraction; the hay is any corpus, see `haystack.py`.
Specification: a row has W words of 4 small letters, no two the same. One of
them is told C times, every other S times, S below C, each time by a sentence
`A word is WORD. `; the sentences, in an order drawn uniformly, are hidden in a
window of bytes, their places drawn uniformly. Behind all of it ` The most
common word is ` and the word told C times. The row reads T bytes of this text,
all but the last.
Labels: the letters of that word at the end, each where the one before it is
read. Their distance is that to the same letter in the last telling but S of the
word. Who remembers from there on has read one word more than S times, and
knows; who remembers less has read none so often, and it may be any.
Metrics: `loss`, nats per letter; `accuracy` over letters; `exact_match`, the
share of rows with every letter right. Chance is 1 in 26; who says the word of
any sentence, the last for one, is right in C of C + (W - 1) S rows, and has a
letter right by chance else.
Deviations: RULER's text is a numbered list of English words and has no hay; ten
of them are common, each told 30 times, the others 3 times, and all ten are
asked for. Here one is, so that an answer has one order and chance a closed
form. RULER shows an example first.
"""

import dataclasses

from memjax.errors import require
from memjax.tasks.ruler.haystack import NAMES, Draws, Haystack, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonWordExtraction(Haystack):
  """Words told several times in a text, and the most common one to say.

  Attributes:
    words: W, how many different ones.
    common: C, how often the most common one is told.
    seldom: S, how often every other.
  """

  words: int = 4
  common: int = 5
  seldom: int = 2
  symbols = 26
  counts = ('words', 'common', 'seldom')

  def __post_init__(self) -> None:
    require(self.words > 1, 'words', self.words, 'must be at least 2')
    rule = f'must be above seldom, {self.seldom}'
    require(self.common > self.seldom, 'common', self.common, rule)
    super().__post_init__()

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    figures = super().baselines
    told = self.common + (self.words - 1) * self.seldom
    right = self.common / told
    same_letter = (NAMES / 26 - 1) / (NAMES - 1)  # of two different words
    figures['exact_match']['any word of the row'] = right
    by_letter = right + (1 - right) * same_letter
    figures['accuracy']['any word of the row'] = by_letter
    return figures

  def story(self, draws: Draws) -> Story:
    common, *others = draws.names(self.words)
    words = [common] * self.common + others * self.seldom
    told = draws.shuffled(words)
    places = [i for i, word in enumerate(told) if word == common]
    sentences = [b'A word is %s. ' % word for word in told]
    decisive = 0, places[-self.seldom - 1]
    return Story([sentences], b' The most common word is ', common, decisive)
