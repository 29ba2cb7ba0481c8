"""Generates stories of bAbI's first three tasks by simulating a small world.

People walk between places, take things there and drop them. After every two
sentences, the world draws a question about a person (task 1) or a thing (tasks
2 and 3). It asks the question if the story so far determines the answer. A
story ends after its fifth question. The files have the format, the words and
the support of the released tasks:
  1  Where is Mary?  supported by her last move;
  2  Where is the milk?  supported by the line where a person last took or
     dropped it, and by the move that brought this person to the answer;
  3  Where was the milk before the garden?  supported by the same two lines and
     by the move before. It is asked only if the milk was carried to the garden.
Stories have 15, 32 and 60 lines on average; the released ones have 15, 27 and
79. In a fifth of the questions of task 3, the released files ask about a place
before the thing's last one; this world does not. The simulation draws only
uniform floats from `random`. Python promises not to change these, so the
stories are the same on every version and machine.
"""

from collections.abc import Sequence
import random
from typing import NamedTuple, TypeVar

TASKS = (1, 2, 3)
QUESTIONS = 5  # per story
SEED = 2015
PEOPLE = ('Mary', 'John', 'Daniel', 'Sandra')
PLACES = ('bathroom', 'bedroom', 'garden', 'hallway', 'kitchen', 'office')
THINGS = ('football', 'apple', 'milk')
MOVES = ('moved', 'went', 'journeyed', 'travelled', 'went back')
TAKES = ('got', 'took', 'grabbed', 'picked up')
DROPS = ('dropped', 'left', 'discarded', 'put down')
# Probabilities:
TAKE_OR_DROP = 0.4  # that a person takes or drops a thing, if one can
END_WITH_THERE = 0.2  # that such a sentence ends in `there`
ASK_CARRIED = 0.5  # that a drawn question about a carried thing is asked

T = TypeVar('T')


class Visit(NamedTuple):
  """A move: the number of its line and the place it led to."""

  line: int
  place: str


class Handled(NamedTuple):
  """The last time that a person took or dropped a thing.

  Attributes:
    line: number of the sentence's line.
    visits: the person's visits, up to the moment they dropped the thing.
    before: number of the person's visits when they took the thing.
  """

  line: int
  visits: list[Visit]
  before: int


def generate_file(task: int, split: str, questions: int) -> bytes:
  """The file of a task in bAbI's format.

  Args:
    task: 1, 2 or 3.
    split: 'train' or 'test'; they share no story.
    questions: number of questions. A larger file begins with the stories of a
      smaller one.
  """
  draws = random.Random(100 * SEED + 10 * task + (split == 'test'))
  stories = (_Story(task, draws) for _ in range(questions // QUESTIONS))
  return ''.join(
    line for story in stories for line in story.generate()
  ).encode()


class _Story:
  """A new world, where no person has a known place yet."""

  def __init__(self, task: int, draws: random.Random):
    self._task, self._draws = task, draws
    self._lines: list[str] = []
    self._visits: dict[str, list[Visit]] = {person: [] for person in PEOPLE}
    self._location = {thing: self._pick(PLACES) for thing in THINGS}
    self._holder: dict[str, str] = {}
    self._handled: dict[str, Handled] = {}

  def generate(self) -> list[str]:
    """The story's lines."""
    questions = 0
    while questions < QUESTIONS:
      for _ in range(2):
        if self._task == 1 or not self._take_or_drop():
          self._move()
      questions += self._ask()
    return self._lines

  def _pick(self, options: Sequence[T]) -> T:
    return options[int(self._draws.random() * len(options))]

  def _add_line(self, sentence: str) -> int:
    """Adds a line to the story; returns its number."""
    self._lines.append(f'{len(self._lines) + 1} {sentence}\n')
    return len(self._lines)

  def _move(self) -> None:
    person = self._pick(PEOPLE)
    current = [visit.place for visit in self._visits[person][-1:]]
    place = self._pick([place for place in PLACES if place not in current])
    line = self._add_line(f'{person} {self._pick(MOVES)} to the {place}.')
    self._visits[person].append(Visit(line, place))

  def _take_or_drop(self) -> bool:
    """A person takes or drops a thing, with a fixed probability.

    Returns False if the draw decides against it, or if no person can take or
    drop a thing.
    """
    options = list(self._holder.items()) + [
      (thing, person)
      for thing, place in self._location.items()
      for person, visits in self._visits.items()
      if visits and visits[-1].place == place
    ]
    if self._draws.random() >= TAKE_OR_DROP or not options:
      return False
    thing, person = self._pick(options)
    visits = self._visits[person]
    takes = thing in self._location
    end = self._draws.random() < END_WITH_THERE or (takes and self._task == 2)
    verb = self._pick(TAKES if takes else DROPS)
    line = self._add_line(f'{person} {verb} the {thing}{" there" * end}.')
    if takes:
      del self._location[thing]
      self._holder[thing] = person
      self._handled[thing] = Handled(line, visits, len(visits))
    else:
      del self._holder[thing]
      self._location[thing] = visits[-1].place
      before = self._handled[thing].before
      self._handled[thing] = Handled(line, visits.copy(), before)
    return True

  def _ask(self) -> bool:
    """Draws a person or a thing; asks about it if the answer is determined."""
    if self._task == 1:
      person = self._pick([p for p in PEOPLE if self._visits[p]])
      visits = self._visits[person]
      return self._question(f'is {person}', visits[-1].place, visits[-1].line)
    thing = self._pick(THINGS)
    if thing not in self._handled:
      return False
    if thing in self._holder and self._draws.random() >= ASK_CARRIED:
      return False
    line, visits, before = self._handled[thing]
    last = visits[-1]
    if self._task == 2:
      return self._question(f'is the {thing}', last.place, line, last.line)
    if len(visits) == before:
      return False
    return self._question(
      f'was the {thing} before the {last.place}',
      visits[-2].place,
      line,
      last.line,
      visits[-2].line,
    )

  def _question(self, question: str, answer: str, *support: int) -> bool:
    lines = ' '.join(map(str, support))
    self._add_line(f'Where {question}? \t{answer}\t{lines}')
    return True
