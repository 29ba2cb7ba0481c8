"""What tasks share that hide sentences in a text and ask a question at its end.

A row is a window of a split's bytes, at a random place. Sentences are inserted
into it, each before a uniformly drawn byte or after the last; the sentences of
a chain keep their order. A question and its answer follow. The model reads T
bytes of this text, all but the last. The labels are the bytes of the answer,
each at the position of the byte before it. Their distance is the number of
steps back to the same byte in the sentence that decides the answer. Seed,
stream, step and row determine a row. The number of rows is unlimited; there is
no epoch.
"""

import abc
import dataclasses
import functools
import math
from typing import ClassVar, NamedTuple

import jax
import numpy as np

from memjax.data.corpus import CORPORA, Corpus, open_corpus
from memjax.data.splits import SPLITS
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
  """Random integers from a seed, with bits that NumPy keeps stable."""

  def __init__(self, *seed: int):
    self._bits = np.random.PCG64(seed)

  def below(self, size: int) -> int:
    """A uniform integer of [0, size)."""
    return int(self._bits.random_raw()) % size

  def number(self, digits: int) -> bytes:
    """`digits` uniform digits."""
    return b'%0*d' % (digits, self.below(10**digits))

  def names(self, count: int) -> list[bytes]:
    """Different names of lower-case letters."""
    rule = f'must be at most {NAMES}, the number of names of {LETTERS} letters'
    require(count <= NAMES, 'names', count, rule)
    found: dict[bytes, None] = {}
    while len(found) < count:
      letters = [97 + self.below(26) for _ in range(LETTERS)]
      found[bytes(letters)] = None
    return list(found)

  def shuffled(self, items: list[bytes]) -> list[bytes]:
    """The items in uniformly random order."""
    return sorted(items, key=lambda _: self.below(1 << 64))


class Story(NamedTuple):
  """The sentences of a row, its question and its answer.

  Attributes:
    chains: sentences; those of a chain keep their order.
    question: the end of the row, without the answer.
    answer: the bytes of the answer.
    decisive: chain, and index in it, of the sentence that decides the answer.
  """

  chains: list[list[bytes]]
  question: bytes
  answer: bytes
  decisive: tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Haystack(Task):
  """Sentences hidden in a text, and an answer that they contain.

  Attributes:
    symbols: number of different bytes of answers.
    counts: the fields that determine the amount of hidden text.
    corpus: the text, any that `text.Text` reads: 'standard_library', 'files',
      'enwik8' and others.
    path: the file or folder of 'files', else empty.
    split: the split of the text: 'train', 'validation' or 'test'.
    length: T, number of bytes of a row.
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
    rule = f'must be at least {least}, for one byte of text'
    require(self.length >= least, 'length', self.length, rule)

  def prepare(self) -> None:
    have, place = len(self._tokens), self._corpus.source.place
    rule = f'has {have} bytes in {place}; a row needs {self._room}'
    require(have >= self._room, 'split', self.split, rule)

  @abc.abstractmethod
  def story(self, draws: Draws) -> Story:
    """What a row hides; the number of bytes is the same for any draws."""

  @property
  def answer_size(self) -> int:
    """Bytes of an answer."""
    return len(self.story(Draws(0)).answer)

  @property
  def text_tokenizer(self) -> Tokenizer:
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
    drawn_rows = [
      self._row(Draws(stream.seed, stream.number, step, row), room, tokens)
      for row in row_ids.tolist()
    ]
    inputs, targets, distance = map(np.stack, zip(*drawn_rows, strict=True))
    labelled_T = np.arange(self.length) >= self.length - self.answer_size
    shape = inputs.shape
    return Batch(
      inputs,
      targets,
      np.broadcast_to(labelled_T, shape).astype(np.float32),
      np.broadcast_to(np.arange(self.length) == 0, shape).copy(),
      np.where(labelled_T, distance[:, None], 0).astype(np.int32),
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
    text, done, source = b'', 0, 0
    for cut, sentence, decisive in sorted(hidden, key=lambda piece: piece[0]):
      text += hay[done:cut]
      if decisive:
        source = len(text) + sentence.index(story.answer)
      text += sentence
      done = cut
    text += hay[done:] + story.question + story.answer
    read = np.frombuffer(text, np.uint8).astype(np.int32)
    targets = read[1:].copy()
    size = len(story.answer)
    targets[:-size] = 0
    return read[:-1], targets, self.length - size - source

  @property
  def _room(self) -> int:
    """Number of bytes of the text in a row."""
    story = self.story(Draws(0))
    hidden = sum(len(sentence) for chain in story.chains for sentence in chain)
    return self.length + 1 - hidden - len(story.question + story.answer)

  @functools.cached_property
  def _corpus(self) -> Corpus:
    return open_corpus(self.corpus, self.path, Bytes.kind)

  @property
  def _tokens(self) -> np.ndarray:
    return self._corpus.splits[self.split].tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Haystack):
  """Sentences that contain numbers, and one of the numbers to answer.

  The first field of `counts` is the number of numbers in a row.

  Attributes:
    digits: number of digits of a number.
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
