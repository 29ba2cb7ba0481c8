"""BABILong: the facts of a bAbI story, scattered over a long text.

Paper: Kuratov et al. 2024, BABILong, https://arxiv.org/abs/2406.10149; the
facts are those of `language/babi.py`, the text any corpus, see `haystack.py`.
Specification: a question of a task's split, drawn uniformly, and all sentences
of its story before it, without earlier questions. The sentences, each with a
space behind it, keep their order and are inserted into a window of the
corpus's split, each before a uniformly drawn byte or after the last. The end is
a space, the question, a space, and the answer. The row reads T bytes of this
text, all but the last.
Labels: the bytes of the answer at the end, each at the position of the byte
before it. The distance is the number of steps from the answer's first label
back to the beginning of the earliest sentence that supports the answer.
Metrics: `loss`, nats per byte of the answers; `accuracy` over these bytes;
`exact_match`, the share of questions with every byte right, the paper's score.
Baselines: `any answer`, one in the number of answers of the task, and
`majority`, always the most frequent answer of the train split.
Deviations: sentences stand between bytes of the text, not between its
sentences; models read bytes and learn the task from nothing. The paper trains
on up to 16 segments of 512 tokens, one more at a time, which is a `curriculum`
over `length` here, with `train.segment_length`.
"""

from collections import Counter
import dataclasses
import functools
import hashlib
import math

from memjax.data.babi import (
  QUESTIONS,
  SOURCES,
  TASKS,
  Line,
  format_story,
  open_tasks,
)
from memjax.data.splits import SPLITS
from memjax.errors import nearest, require
from memjax.tasks.ruler.haystack import Haystack
from memjax.tasks.ruler.story import Answer, Draws, Story


@dataclasses.dataclass(frozen=True, kw_only=True)
class BABILong(Haystack):
  """A question about facts that are hidden in a text.

  Attributes:
    qa: number of the bAbI task; the paper uses 1 to 10.
    source: 'generated', tasks 1 to 3 without a download; or 'archive', the
      released files.
    babi_path: the archive, its unpacked folder or a folder of its files; empty:
      the released archive is downloaded once into the cache folder.
    size: '1k' or '10k', number of questions in the task's train file.
    facts: the most sentences of a story; stories with more are left out. 0: no
      story is.
  """

  qa: int = 1
  source: str = 'generated'
  babi_path: str = ''
  size: str = '10k'
  facts: int = 0
  symbols = 256
  counts = ()

  def __post_init__(self) -> None:
    for field, known in (('source', SOURCES), ('size', tuple(QUESTIONS))):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    known_tasks = TASKS[self.source]
    rule = f'must be from {known_tasks[0]} to {known_tasks[-1]}'
    require(self.qa in known_tasks, 'qa', self.qa, rule)
    require(self.facts >= 0, 'facts', self.facts, 'must not be negative')
    self._check_corpus()

  def prepare(self) -> None:
    rule = f'task {self.qa} has no story with so few sentences'
    require(bool(self._all), 'facts', self.facts, rule)
    self._check_room()
    super().prepare()

  @property
  def answer_size(self) -> int:
    return max(len(lines[-1].answer) for lines in self._all)

  @property
  def story_size(self) -> int:
    return max(story_of(lines).size for lines in self._all)

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    trained, asked = (
      Counter(lines[-1].answer for lines in self._questions(split))
      for split in ('train', self.split)
    )
    majority = trained.most_common(1)[0][0]
    return {
      'exact_match': {
        'any answer': 1 / len(trained),
        'majority': asked[majority] / asked.total(),
      }
    }

  def fingerprint(self) -> str:
    digest = hashlib.sha256(super().fingerprint().encode())
    for story in self._stories(*SPLITS):
      digest.update(format_story(story))
    return digest.hexdigest()

  def story(self, draws: Draws) -> Story:
    return story_of(self._asked[draws.below(len(self._asked))])

  def _stories(self, *splits: str) -> list[tuple[Line, ...]]:
    opened = open_tasks(self.source, self.babi_path, self.size, (self.qa,))
    return [story for split in splits for story in opened[self.qa][split]]

  def _questions(self, *splits: str) -> list[tuple[Line, ...]]:
    """The lines of each question's story, up to the question."""
    found = [
      story[: i + 1]
      for story in self._stories(*splits)
      for i, line in enumerate(story)
      if line.answer
    ]
    most = self.facts or math.inf
    return [lines for lines in found if len(facts_of(lines)) <= most]

  @functools.cached_property
  def _asked(self) -> list[tuple[Line, ...]]:
    return self._questions(self.split)

  @functools.cached_property
  def _all(self) -> list[tuple[Line, ...]]:
    return self._questions(*SPLITS)


def facts_of(lines: tuple[Line, ...]) -> dict[int, str]:
  """{number of the line, from 1: its sentence} of lines without an answer."""
  return {
    number: line.sentence
    for number, line in enumerate(lines, 1)
    if not line.answer
  }


def story_of(lines: tuple[Line, ...]) -> Story:
  """The facts before the question that ends these lines, and its answer."""
  facts, asked = facts_of(lines), lines[-1]
  chain = [f'{sentence} '.encode() for sentence in facts.values()]
  earliest = list(facts).index(min(asked.support))
  answer = Answer(asked.answer.encode(), 0, earliest, 0)
  return Story([chain], f' {asked.sentence} '.encode(), [answer])
