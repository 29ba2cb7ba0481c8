"""Common word extraction: answer the most common word of a long text.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654, its common
words extraction; the text is any corpus, see `haystack.py`.
Specification: a row has W different words of 4 lower-case letters. One of them
appears C times, every other S times, S below C, each time in a sentence
`A word is WORD. `. The sentences, in random order, are hidden at uniform places
in a window of bytes. The end is ` The most common word is ` and the word that
appears C times. The row reads T bytes of this text, all but the last.
Labels: the letters of that word at the end, each at the position of the byte
before it. The distance is the number of steps back to the same letter in the
word's last appearance but S. A memory that reaches back to there has read one
word S + 1 times, so it knows the answer. A shorter memory has read no word so
often, and cannot know it.
Metrics: `loss`, nats per letter; `accuracy` over letters; `exact_match`, the
share of rows with every letter right. Chance is 1/26 per letter. Answering with
the word of a random sentence scores C / (C + (W - 1) S) exact matches.
Deviations: RULER's text is a numbered list of English words only. Ten of them
are common, each appears 30 times, the others 3 times, and all ten are asked
for. Here one word is common, so that an answer has one order and chance has a
closed form. RULER shows an example first.
"""

import dataclasses

from memjax.errors import require
from memjax.tasks.ruler.haystack import Haystack
from memjax.tasks.ruler.story import NAMES, Answer, Draws, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonWordExtraction(Haystack):
  """Words that appear several times in a text; the most common is the answer.

  Attributes:
    words: W, number of different words.
    common: C, number of appearances of the most common word.
    seldom: S, number of appearances of every other word.
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
    sentences = self.common + (self.words - 1) * self.seldom
    right = self.common / sentences
    same_letter = (NAMES / 26 - 1) / (NAMES - 1)  # of two different words
    figures['exact_match']['any word of the row'] = right
    by_letter = right + (1 - right) * same_letter
    figures['accuracy']['any word of the row'] = by_letter
    return figures

  def story(self, draws: Draws) -> Story:
    common, *others = draws.names(self.words)
    words = [common] * self.common + others * self.seldom
    order = draws.shuffled(words)
    places = [i for i, word in enumerate(order) if word == common]
    sentences = [b'A word is %s. ' % word for word in order]
    decisive = places[-self.seldom - 1]
    offset = sentences[decisive].index(common)
    answer = Answer(common, 0, decisive, offset)
    return Story([sentences], b' The most common word is ', [answer])
