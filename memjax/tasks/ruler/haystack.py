"""Sentences hidden in a text, and a question at its end: what such tasks share.

A window of a split's bytes, at a random place; in it so many sentences, each
before a byte drawn uniformly or behind the last, those of a chain in their
order; behind all of it a question and its answer. The row reads T bytes of this
text, all but the last, and the labels are the bytes of the answer, each where
the one before it is read. Their distance is that to the same byte in the
sentence that decides the answer. It all is decided by seed, stream, step and
row. Rows never end; there is no epoch.
"""

import abc
import dataclasses
import math
from typing import ClassVar, NamedTuple

import jax
import numpy as np

from memjax.data.corpus import CORPORA, Corpus, open_corpus
from memjax.data.sources import SPLITS
from memjax.data.tokenizers import Bytes, Tokenizer
from memjax.errors import nearest, require
from memjax.tasks.base import (
  Stream,
  Task,
  classification,
  exact_match,
  positive,
)
from memjax.types import Batch, HostBatch, Metrics, Tokens

LETTERS = 4  # of a name
NAMES = 26**LETTERS


class Draws:
  """Whole numbers that some integers decide, of bits NumPy promises to keep."""

  def __init__(self, *seed: int):
    self._bits = np.random.PCG64(seed)

  def below(self, size: int) -> int:
    """One of [0, size), all as likely."""
    return int(self._bits.random_raw()) % size

  def number(self, digits: int) -> bytes:
    """So many fair digits."""
    return b'%0*d' % (digits, self.below(10**digits))

  def names(self, count: int) -> list[bytes]:
    """Different names of small letters."""
    rule = f'must be at most {NAMES}, there are no more of {LETTERS} letters'
    require(count <= NAMES, 'names', count, rule)
    found: dict[bytes, None] = {}
    while len(found) < count:
      letters = [97 + self.below(26) for _ in range(LETTERS)]
      found[bytes(letters)] = None
    return list(found)

  def shuffled(self, items: list[bytes]) -> list[bytes]:
    """The same in another order, all orders as likely."""
    return sorted(items, key=lambda _: self.below(1 << 64))


class Story(NamedTuple):
  """What is hidden in the hay, and what is asked.

  Attributes:
    chains: sentences, those of a chain in their order.
    question: the end of the row, without the answer.
    answer: its bytes.
    decisive: of the sentence that tells and decides the answer, its chain and
      its place there.
  """

  chains: list[list[bytes]]
  question: bytes
  answer: bytes
  decisive: tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Haystack(Task):
  """Sentences hidden in a text, and an answer that they give.

  Attributes:
    symbols: how many different bytes an answer is drawn from.
    counts: the fields that say how much is hidden.
    corpus: any that `text.Text` reads, its bytes being the hay:
      'standard_library', 'files', 'enwik8' and the others.
    path: the file or folder of 'files', else empty.
    split: 'train', 'validation' or 'test', of which the hay is.
    length: T, bytes a row reads.
  """

  symbols: ClassVar[int]
  counts: ClassVar[tuple[str, ...]]
  corpus: str = 'standard_library'
  path: str = ''
  split: str = 'train'
  length: int = 512
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, *self.counts)
    for field in self.counts:
      value, rule = (
        getattr(self, field),
        f'must be at most length {self.length}',
      )
      require(value <= self.length, field, value, rule)
    for field, known in (('corpus', CORPORA), ('split', SPLITS)):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    files = self.corpus == 'files'
    rule = 'must be given' if files else "belongs to corpus='files' only"
    require(bool(self.path) == files, 'path', self.path, rule)
    least = self.length - self._room + 1
    rule = f'must be at least {least}, for one byte of hay'
    require(self.length >= least, 'length', self.length, rule)

  def prepare(self) -> None:
    have, place = len(self._tokens), self._corpus.source.place
    rule = f'{have} bytes in {place}, a row needs {self._room} of hay'
    require(have >= self._room, 'split', self.split, rule)

  @abc.abstractmethod
  def story(self, draws: Draws) -> Story:
    """What a row hides; the number of bytes is the same for any draws."""

  @property
  def answer_size(self) -> int:
    """Bytes of an answer."""
    return len(self.story(Draws(0)).answer)

  @property
  def tokenizer(self) -> Tokenizer:
    return Bytes()

  @property
  def input_spec(self) -> Tokens:
    return Tokens(Bytes.vocab)

  output_spec = input_spec

  @property
  def labels(self) -> int:
    return self.answer_size

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.symbols)},
      'accuracy': {'chance': 1 / self.symbols},
      'exact_match': {'chance': self.symbols**-self.answer_size},
    }

  def fingerprint(self) -> str:
    return self._corpus.source.fingerprint

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    room, tokens = self._room, self._tokens
    made = [
      self._row(Draws(stream.seed, stream.number, step, row), room, tokens)
      for row in row_ids.tolist()
    ]
    inputs, targets, distance = map(np.stack, zip(*made, strict=True))
    asked_T = np.arange(self.length) >= self.length - self.answer_size
    shape = inputs.shape
    return Batch(
      inputs,
      targets,
      np.broadcast_to(asked_T, shape).astype(np.float32),
      np.broadcast_to(np.arange(self.length) == 0, shape).copy(),
      np.where(asked_T, distance[:, None], 0).astype(np.int32),
    )

  def batch(self, host_batch: HostBatch) -> Batch:
    return host_batch

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}

  def _row(
    self, draws: Draws, room: int, tokens: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, int]:
    story = self.story(draws)
    start = draws.below(len(tokens) - room + 1)
    hay = tokens[start : start + room].tobytes()
    hidden = []
    for number, chain in enumerate(story.chains):
      cuts = sorted(draws.below(room + 1) for _ in chain)
      decides = [(number, i) == story.decisive for i in range(len(chain))]
      hidden += list(zip(cuts, chain, decides, strict=True))
    text, done, told = b'', 0, 0
    for cut, sentence, tells in sorted(hidden, key=lambda piece: piece[0]):
      text += hay[done:cut]
      if tells:
        told = len(text) + sentence.index(story.answer)
      text += sentence
      done = cut
    text += hay[done:] + story.question + story.answer
    read = np.frombuffer(text, np.uint8).astype(np.int32)
    targets = read[1:].copy()
    size = len(story.answer)
    targets[:-size] = 0
    return read[:-1], targets, self.length - size - told

  @property
  def _room(self) -> int:
    """Bytes of hay in a row."""
    story = self.story(Draws(0))
    told = sum(len(sentence) for chain in story.chains for sentence in chain)
    return self.length + 1 - told - len(story.question + story.answer)

  @property
  def _corpus(self) -> Corpus:
    return open_corpus(self.corpus, self.path, Bytes.kind)

  @property
  def _tokens(self) -> np.ndarray:
    return self._corpus.splits[self.split].tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Haystack):
  """Sentences that tell numbers, and one of the numbers to say.

  The first of `counts` says how many the row has.

  Attributes:
    digits: of a number.
  """

  digits: int = 5
  symbols = 10

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    figures = super().baselines
    numbers = getattr(self, self.counts[0])
    if numbers > 1:
      for metric in ('accuracy', 'exact_match'):
        chance = figures[metric]['chance']
        any_number = (1 + (numbers - 1) * chance) / numbers
        figures[metric]['any number of the row'] = any_number
    return figures
