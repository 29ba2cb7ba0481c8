"""What tasks share that hide sentences in a text and ask a question at its end.

A row is a window of a split's bytes, at a random place. Sentences are hidden in
it as `story.py` says. A question and its answer follow. The model reads T bytes
of this text, all but the last. The labels are the bytes of the answer, each at
the position of the byte before it. Their distance is the number of steps back
to the same byte in the sentence that decides the answer. Seed, stream, step and
row determine a row. The number of rows is unlimited; there is no epoch.
"""

import abc
import dataclasses
import functools
import math
from typing import ClassVar

import jax
import numpy as np

from memjax.data.corpus import CORPORA, Corpus, open_corpus
from memjax.data.splits import SPLITS
from memjax.data.tokenizers import Bytes, Tokenizer
from memjax.errors import nearest, require
from memjax.tasks.base import (
  TRAINING,
  Stream,
  Task,
  classification,
  exact_match,
  positive,
)
from memjax.tasks.ruler.story import NOISE, Draws, Story, hide
from memjax.tasks.stages import parse_parts, rows_of_step
from memjax.types import Batch, HostBatch, Metrics, Tokens

NOISE_CORPUS = 'noise'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Haystack(Task):
  """Sentences hidden in a text, and an answer that they contain.

  Attributes:
    counts: the fields that determine the amount of hidden text.
    corpus: the text, any that `text.Text` reads: 'standard_library', 'files',
      'enwik8' and others; or 'noise', five sentences that repeat.
    path: the file or folder of 'files', else empty.
    split: the split of the text: 'train', 'validation' or 'test'.
    length: T, number of bytes of a row.
    curriculum: other sizes in training, by step: the step at which each begins
      and the fields that differ, as in '0 length=128; 2000 length=256; 5000'.
  """

  counts: ClassVar[tuple[str, ...]]
  corpus: str = 'standard_library'
  path: str = ''
  split: str = 'train'
  length: int = 512
  curriculum: str = ''
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    self._check_corpus()
    positive(self, *self.counts)
    for field in self.counts:
      value, rule = (
        getattr(self, field),
        f'must be at most length {self.length}',
      )
      require(value <= self.length, field, value, rule)
    self._check_room()

  def _check_corpus(self) -> None:
    corpora = (*CORPORA, NOISE_CORPUS)
    for field, known in (('corpus', corpora), ('split', SPLITS)):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    files = self.corpus == 'files'
    rule = 'must be given' if files else "belongs to corpus='files' only"
    require(bool(self.path) == files, 'path', self.path, rule)

  def _check_room(self) -> None:
    least = self.length - self._room + 1
    rule = f'must be at least {least}, for one byte of text'
    require(self.length >= least, 'length', self.length, rule)

  def prepare(self) -> None:
    parse_parts(self, 'curriculum')
    if self.corpus == NOISE_CORPUS:
      return
    have, place = len(self._tokens), self._corpus.source.place
    rule = f'has {have} bytes in {place}; a row needs {self._room}'
    require(have >= self._room, 'split', self.split, rule)

  @abc.abstractmethod
  def story(self, draws: Draws) -> Story:
    """What a row hides."""

  @property
  @abc.abstractmethod
  def symbols(self) -> int:
    """Number of different bytes of answers."""

  @property
  def answer_size(self) -> int:
    """Bytes of the longest answer."""
    return len(self.story(Draws(0)).answer)

  @property
  def story_size(self) -> int:
    """Bytes of the longest story, its question and answer included."""
    return self.story(Draws(0)).size

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
    noise = self.corpus == NOISE_CORPUS
    return '' if noise else self._corpus.source.fingerprint

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    if self.curriculum and stream.number == TRAINING:
      return rows_of_step(self, stream, step, row_ids)
    drawn_rows = [
      self._row(Draws(stream.seed, stream.number, step, row))
      for row in row_ids.tolist()
    ]
    return Batch(*map(np.stack, zip(*drawn_rows, strict=True)))

  def batch(self, host_batch: HostBatch) -> Batch:
    return host_batch

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}

  def _row(self, draws: Draws) -> tuple[np.ndarray, ...]:
    """The arrays of a row, in the order of a Batch."""
    story, tokens = self.story(draws), self._tokens
    room = self.length + 1 - story.size
    start = draws.below(len(tokens) - room + 1)
    hay = tokens[start : start + room].tobytes()
    text, sources = hide(story, hay, draws)
    read = np.frombuffer(text, np.uint8).astype(np.int32)
    size, steps = len(story.answer), np.arange(self.length)
    labelled = steps >= self.length - size
    sizes = [len(answer.text) for answer in story.answers]
    first = np.cumsum([0, *sizes[:-1]]) + self.length - size  # label of each
    distance = np.zeros(self.length, np.int32)
    distance[labelled] = np.repeat(first - np.array(sources), sizes)
    return (
      read[:-1],
      np.where(labelled, read[1:], 0).astype(np.int32),
      labelled.astype(np.float32),
      steps == 0,
      distance,
    )

  @property
  def _room(self) -> int:
    """Number of bytes of the text in the row of the longest story."""
    return self.length + 1 - self.story_size

  @functools.cached_property
  def _corpus(self) -> Corpus:
    return open_corpus(self.corpus, self.path, Bytes.kind)

  @property
  def _tokens(self) -> np.ndarray:
    if self.corpus == NOISE_CORPUS:
      copies = -(-2 * self.length // len(NOISE)) + 1
      return np.frombuffer(NOISE * copies, np.uint8)
    return self._corpus.splits[self.split].tokens


def with_any_number(
  figures: dict[str, dict[str, float]], numbers: int
) -> dict[str, dict[str, float]]:
  """The baselines, and those of a random number of the row's, if several."""
  if numbers > 1:
    for metric in ('accuracy', 'exact_match'):
      chance = figures[metric]['chance']
      any_number = (1 + (numbers - 1) * chance) / numbers
      figures[metric]['any number of the row'] = any_number
  return figures
