"""bAbI: read short stories, and answer the questions asked within them.

Paper: Weston et al. 2015, https://arxiv.org/abs/1502.05698.
Specification: a step is a sentence, a question too; the answer is due at the
question's step. Words are lower-cased and those of the train and test files of
the tasks in `vocabulary`; full stops and commas are none, `?` is one. An answer
of several words (tasks 8 and 19) is one class, and answers are no words: all 20
tasks have 145 words and `?`, and 58 classes. Published vocabularies of 156
words count the 11, too, that only answers have.
Stories stand one behind the other in rows of T steps, T that of the longest
story of the tasks unless more is asked for, and memory is forgotten where one
begins. Each is put, once, into the first row that has room, in a shuffled order
that is always the same. Padding is 1 % of the steps of all 20 tasks (94 % if
each story had a row of its own), nothing to 23 % of one task's.
Split: train is 90 % and validation 10 % of the train stories, see
`data/babi.py`. The rows of train are shuffled anew in each epoch by seed and
stream; the others keep their order. The last step of an epoch is filled up with
rows that weigh nothing.
Labels: every question of the split exactly once an epoch.
Metrics: `loss`, nats per question, and `accuracy`; a task counts as solved from
0.95 on. After joint training each task is measured by an evaluation set of its
own, with tasks='3' and vocabulary='all'.
Baselines: `chance`, one over the classes; `majority`, always saying what is the
most frequent answer in the train split of the same tasks.
"""

from collections import Counter
import dataclasses
import functools
import hashlib

import jax
import numpy as np

from memjax.data.babi import (
  QUESTIONS,
  SOURCES,
  TASKS,
  Story,
  lines_of,
  open_tasks,
)
from memjax.data.babi_rows import (
  ASKS,
  Rows,
  Vocabulary,
  answers_of,
  arrange,
  vocabulary,
)
from memjax.data.order import rows_of_step
from memjax.data.sources import SPLITS
from memjax.errors import nearest, require
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, HostBatch, Sentences, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class BAbI(Task):
  """Some of the 20 tasks; making one prepares its stories.

  Attributes:
    tasks: their numbers, '1' or '1,2,5', or 'all'.
    vocabulary: the tasks whose words and answers the model knows, if not the
      same; a model trained on all of them is measured on one with 'all'.
    source: 'made', tasks 1 to 3 of a world of our own, without a download, or
      'archive', the released files.
    path: of the archive, of its unpacked folder or of a folder of its files;
      empty: the released archive is fetched once into the cache folder.
    size: '1k' or '10k', questions in a task's train file.
    split: 'train', 'validation' or 'test'.
    row_length: T, lines in a row, if more than those of the longest story; 0
      for no more.
  """

  tasks: str = '1'
  vocabulary: str = ''
  source: str = 'made'
  path: str = ''
  size: str = '1k'
  split: str = 'train'
  row_length: int = 0

  def __post_init__(self) -> None:
    for field, known in (
      ('source', SOURCES),
      ('size', tuple(QUESTIONS)),
      ('split', SPLITS),
    ):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    rule = "belongs to source='archive' only"
    require(not self.path or self.source == 'archive', 'path', self.path, rule)
    lacking = set(self._numbers('tasks')) - set(self._known)
    rule = f'lacks task {min(lacking, default=0)} of tasks={self.tasks!r}'
    require(not lacking, 'vocabulary', self.vocabulary, rule)
    rule = 'must not be negative'
    require(self.row_length >= 0, 'row_length', self.row_length, rule)
    long = [s for s in self._told(*SPLITS) if 0 < self.row_length < len(s)]
    lost = sum(len(answers_of(story[self.row_length :])) for story in long)
    rule = f'{len(long)} stories are longer, up to {self._longest} lines: '
    rule += f'{lost} questions would be lost'
    require(not long, 'row_length', self.row_length, rule)

  @property
  def input_spec(self) -> Sentences:
    words = self._vocabulary.words
    asks = words.index(ASKS)
    return Sentences(len(words), self._vocabulary.longest, asks)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(len(self.answers))

  @property
  def length(self) -> int:
    return self.row_length or self._longest

  @property
  def words(self) -> tuple[str, ...]:
    """The words, by id; id 0 is padding."""
    return self._vocabulary.words

  @property
  def answers(self) -> tuple[str, ...]:
    """The answers, by class."""
    return self._vocabulary.answers

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    trained, asked = (
      Counter(
        answer for story in self._told(split) for answer in answers_of(story)
      )
      for split in ('train', self.split)
    )
    (majority, _), *_ = trained.most_common(1)
    figures = {
      'chance': 1 / len(self.answers),
      'majority': asked[majority] / asked.total(),
    }
    return {'accuracy': figures}

  def fingerprint(self) -> str:
    seen = hashlib.sha256(repr((self.words, self.answers)).encode())
    for story in self._told(*SPLITS):
      seen.update(lines_of(story))
    return seen.hexdigest()

  def epoch_steps(self, batch_size: int) -> int:
    return -(-len(self._rows.asked_RT) // batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    count = len(self._rows.asked_RT)
    seed = (stream.seed, stream.number) if self.split == 'train' else ()
    row_B, there_B = rows_of_step(count, stream.batch_size, step, row_ids, seed)
    batch = Batch(*(x[row_B] for x in self._rows))
    for x in jax.tree.leaves(batch):
      x[~there_B] = 0
    batch.reset_BT[:, 0] = True
    return batch

  def batch(self, feed: HostBatch) -> Batch:
    return feed

  def text_of(self, sentences: np.ndarray) -> list[str]:
    """The sentences that `(T, W)` word ids stand for, empty where padded."""
    words = self.words
    return [
      ' '.join(words[i] for i in sentence if i)
      for sentence in np.asarray(sentences).tolist()
    ]

  def _numbers(self, field: str) -> tuple[int, ...]:
    """The tasks that a field names, in order."""
    known, value = TASKS[self.source], getattr(self, field)
    if value == 'all':
      return known
    rule = f'must be numbers like 1,2 or all; source={self.source!r} has '
    rule += f'{known[0]} to {known[-1]}'
    parts = [part.strip() for part in value.split(',')]
    require(all(p in map(str, known) for p in parts), field, value, rule)
    return tuple(sorted({int(part) for part in parts}))

  @property
  def _known(self) -> tuple[int, ...]:
    return self._numbers('vocabulary' if self.vocabulary else 'tasks')

  @property
  def _vocabulary(self) -> Vocabulary:
    return vocabulary(self.source, self.path, self.size, self._known)

  def _told(self, *splits: str) -> list[Story]:
    opened = open_tasks(self.source, self.path, self.size, self._known)
    return [
      story
      for number in self._numbers('tasks')
      for split in splits
      for story in opened[number][split]
    ]

  @property
  def _longest(self) -> int:
    return max(map(len, self._told(*SPLITS)))

  @property
  def _rows(self) -> Rows:
    return _arranged(self)


@functools.cache
def _arranged(task: BAbI) -> Rows:
  return arrange(task._told(task.split), task._vocabulary, task.length)
