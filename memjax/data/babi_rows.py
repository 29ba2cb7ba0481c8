"""bAbI's stories as arrays: ids of words and answers, packed in rows."""

from collections.abc import Iterable, Sequence
import functools
import re
from typing import NamedTuple

import numpy as np

from memjax.data.babi import Line, Story, open_tasks
from memjax.data.order import shuffled

QUESTION_MARK = '?'
ORDER = 0  # seeds the order in which stories are packed

_WORD = re.compile(r"\?|[^\W_]+(?:['-][^\W_]+)*")


class Vocabulary(NamedTuple):
  """The words and answers of some tasks, in all splits together.

  Attributes:
    words: in alphabetical order; word 0 is padding.
    answers: the classes, in alphabetical order.
    longest: number of words of the longest sentence.
  """

  words: tuple[str, ...]
  answers: tuple[str, ...]
  longest: int


class Rows(NamedTuple):
  """R rows of T steps; each row has one or more stories in sequence.

  Attributes:
    sentences_RTW: int32 word ids.
    answers_RT: int32 classes; 0 where the line is not a question.
    loss_weights_RT: float32; 1 where the line is a question, else 0.
    reset_RT: bool; True where a story begins.
  """

  sentences_RTW: np.ndarray
  answers_RT: np.ndarray
  loss_weights_RT: np.ndarray
  reset_RT: np.ndarray


def words_of(sentence: str) -> list[str]:
  """The words of a sentence, lower-cased, and its question mark."""
  return _WORD.findall(sentence.lower())


@functools.cache
def build_vocabulary(
  source: str, path: str, size: str, tasks: tuple[int, ...]
) -> Vocabulary:
  """The vocabulary of these tasks; same arguments as `open_tasks`."""
  opened = open_tasks(source, path, size, tasks)
  lines = [
    line
    for splits in opened.values()
    for stories in splits.values()
    for story in stories
    for line in story
  ]
  sentences = [words_of(text) for text in {line.sentence for line in lines}]
  words = {word for sentence in sentences for word in sentence}
  answers = {line.answer.lower() for line in lines if line.answer}
  longest = max(map(len, sentences))
  return Vocabulary(('', *sorted(words)), tuple(sorted(answers)), longest)


def pack_stories(
  stories: Sequence[Story], vocabulary: Vocabulary, length: int
) -> Rows:
  """Packs stories into rows of `length` steps, by first fit.

  Stories are packed in a fixed shuffled order, so that a row has stories of
  different tasks.
  """
  rows, starts = first_fit([len(story) for story in stories], length)
  count = int(rows.max()) + 1
  packed = Rows(
    np.zeros((count, length, vocabulary.longest), np.int32),
    np.zeros((count, length), np.int32),
    np.zeros((count, length), np.float32),
    np.zeros((count, length), bool),
  )
  word_ids = {word: i for i, word in enumerate(vocabulary.words)}
  classes = {answer: i for i, answer in enumerate(vocabulary.answers)}

  @functools.cache
  def ids(sentence: str) -> list[int]:
    return [word_ids[word] for word in words_of(sentence)]

  for story, row, start in zip(stories, rows, starts, strict=True):
    packed.reset_RT[row, start] = True
    for step, line in enumerate(story, start):
      sentence = ids(line.sentence)
      packed.sentences_RTW[row, step, : len(sentence)] = sentence
      if line.answer:
        packed.loss_weights_RT[row, step] = 1
        packed.answers_RT[row, step] = classes[line.answer.lower()]
  return packed


def first_fit(sizes: Sequence[int], room: int) -> tuple[np.ndarray, np.ndarray]:
  """The row of each item and its first step in that row.

  Each item goes to the first row with enough free steps. Items never overlap.
  """
  rows = np.zeros(len(sizes), np.int64)
  starts = np.zeros(len(sizes), np.int64)
  used = np.zeros(len(sizes) + 1, np.int64)
  opened = 0  # number of rows with an item
  for item in shuffled(len(sizes), ORDER):
    row = int(np.argmax(used[: opened + 1] + sizes[item] <= room))
    rows[item], starts[item] = row, used[row]
    used[row] += sizes[item]
    opened = max(opened, row + 1)
  return rows, starts


def answers_of(lines: Iterable[Line]) -> list[str]:
  """The answers of the lines that are questions, lower-cased."""
  return [line.answer.lower() for line in lines if line.answer]
