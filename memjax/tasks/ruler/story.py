"""What a row hides in its text: sentences, a question and answers.

Sentences are inserted into a window of text, each before a uniformly drawn byte
or after the last; the sentences of a chain keep their order. The question and
the answers follow.
"""

from typing import NamedTuple, TypeVar

import numpy as np

from memjax.errors import require

LETTERS = 4  # of a name
NAMES = 26**LETTERS
NOISE = (
  b'The grass is green. The sky is blue. The sun is yellow. Here we go. '
  b'There and back again. '
)  # the text of RULER's first needle task, repeated

T = TypeVar('T')


class Draws:
  """Random integers from a seed, with bits that NumPy keeps stable."""

  def __init__(self, *seed: int):
    self._bits = np.random.PCG64(seed)

  def below(self, size: int) -> int:
    """A uniform integer of [0, size)."""
    return int(self._bits.random_raw()) % size

  def number(self, digits: int) -> bytes:
    """`digits` uniform digits."""
    return b'%0*d' % (digits, self.below(10**digits))

  def hexadecimal(self, digits: int) -> bytes:
    """`digits` uniform digits of 0..9 and a..f."""
    return bytes(b'0123456789abcdef'[self.below(16)] for _ in range(digits))

  def names(self, count: int) -> list[bytes]:
    """Different names of lower-case letters."""
    rule = f'must be at most {NAMES}, the number of names of {LETTERS} letters'
    require(count <= NAMES, 'names', count, rule)
    found: dict[bytes, None] = {}
    while len(found) < count:
      letters = [97 + self.below(26) for _ in range(LETTERS)]
      found[bytes(letters)] = None
    return list(found)

  def shuffled(self, items: list[T]) -> list[T]:
    """The items in uniformly random order."""
    return sorted(items, key=lambda _: self.below(1 << 64))


class Answer(NamedTuple):
  """What is asked for, and the sentence that decides it.

  Attributes:
    text: the bytes of the answer.
    chain: number of the sentence's chain.
    place: its place in the chain.
    offset: place of the answer in the sentence.
  """

  text: bytes
  chain: int
  place: int
  offset: int


class Story(NamedTuple):
  """The sentences of a row, its question and its answers.

  Attributes:
    chains: sentences; those of a chain keep their order.
    question: the end of the row, without the answers.
    answers: one after another, nothing between them.
  """

  chains: list[list[bytes]]
  question: bytes
  answers: list[Answer]

  @property
  def answer(self) -> bytes:
    """All answers together."""
    return b''.join(answer.text for answer in self.answers)

  @property
  def size(self) -> int:
    """Bytes that a row has beside its text."""
    hidden = sum(len(sentence) for chain in self.chains for sentence in chain)
    return hidden + len(self.question + self.answer)


def hide(story: Story, hay: bytes, draws: Draws) -> tuple[bytes, list[int]]:
  """The text with the story in it, and where each answer stands in it first."""
  hidden = []
  for number, chain in enumerate(story.chains):
    cuts = sorted(draws.below(len(hay) + 1) for _ in chain)
    hidden += [
      (cut, sentence, (number, i))
      for i, (cut, sentence) in enumerate(zip(cuts, chain, strict=True))
    ]
  text, done = b'', 0
  starts: dict[tuple[int, int], int] = {}
  for cut, sentence, place in sorted(hidden, key=lambda piece: piece[0]):
    text += hay[done:cut]
    starts[place] = len(text)
    text += sentence
    done = cut
  text += hay[done:] + story.question + story.answer
  return text, [starts[a.chain, a.place] + a.offset for a in story.answers]
