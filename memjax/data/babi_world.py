"""Stories of bAbI's first three tasks, made by a small world.

People walk between places, take things there and drop them. After every two
sentences a question about somebody (task 1) or something (tasks 2 and 3) is
drawn, and asked if what was said decides it; a story ends with its fifth. The
files are those of the released tasks in form, words and support:
  1  Where is Mary?  supported by her last move;
  2  Where is the milk?  by who took it or dropped it last, and where they were;
  3  Where was the milk before the garden?  by that and the move before, where
     the milk was carried to the garden.
Stories have about the released lengths: 15, 32 and 60 lines on average, where
the released ones have 15, 27 and 79. Those also ask task 3 about an earlier
place than the thing's last, in a fifth of the questions; this world does not.
The draws use nothing of `random` but its uniform floats, which Python promises
to keep, so the stories are the same on every version and machine.
"""

from collections.abc import Sequence
import random
from typing import NamedTuple, TypeVar

TASKS = (1, 2, 3)
QUESTIONS = 5  # a story
SEED = 2015
PEOPLE = ('Mary', 'John', 'Daniel', 'Sandra')
PLACES = ('bathroom', 'bedroom', 'garden', 'hallway', 'kitchen', 'office')
THINGS = ('football', 'apple', 'milk')
MOVES = ('moved', 'went', 'journeyed', 'travelled', 'went back')
TAKES = ('got', 'took', 'grabbed', 'picked up')
DROPS = ('dropped', 'left', 'discarded', 'put down')
HANDLING = 0.4  # of the sentences, where a thing can be taken or dropped
THERE = 0.2  # of those that end in `there`
HELD = 0.5  # of the questions about a thing in someone's hands are asked

T = TypeVar('T')


class Visit(NamedTuple):
  """A move, the line that tells of it, and where it led."""

  line: int
  place: str


class Handled(NamedTuple):
  """The last that happened to a thing.

  Attributes:
    line: tells of it.
    visits: of the person who did it, as long as they have the thing.
    before: how many visits they had made when they took it.
  """

  line: int
  visits: list[Visit]
  before: int


def text(task: int, split: str, questions: int) -> bytes:
  """The file of a task in bAbI's format.

  Args:
    task: 1, 2 or 3.
    split: 'train' or 'test', which have nothing in common.
    questions: how many; a larger file begins like a smaller one.
  """
  draws = random.Random(100 * SEED + 10 * task + (split == 'test'))
  stories = (_Story(task, draws) for _ in range(questions // QUESTIONS))
  return ''.join(line for story in stories for line in story.told()).encode()


class _Story:
  """A world that has just begun: nobody's place is known yet."""

  def __init__(self, task: int, draws: random.Random):
    self._task, self._draws = task, draws
    self._lines: list[str] = []
    self._visits: dict[str, list[Visit]] = {person: [] for person in PEOPLE}
    self._lies = {thing: self._pick(PLACES) for thing in THINGS}
    self._holder: dict[str, str] = {}
    self._handled: dict[str, Handled] = {}

  def told(self) -> list[str]:
    """The story's lines."""
    asked = 0
    while asked < QUESTIONS:
      for _ in range(2):
        if self._task == 1 or not self._handle():
          self._move()
      asked += self._ask()
    return self._lines

  def _pick(self, among: Sequence[T]) -> T:
    return among[int(self._draws.random() * len(among))]

  def _say(self, sentence: str) -> int:
    self._lines.append(f'{len(self._lines) + 1} {sentence}\n')
    return len(self._lines)

  def _move(self) -> None:
    person = self._pick(PEOPLE)
    here = [visit.place for visit in self._visits[person][-1:]]
    place = self._pick([place for place in PLACES if place not in here])
    line = self._say(f'{person} {self._pick(MOVES)} to the {place}.')
    self._visits[person].append(Visit(line, place))

  def _handle(self) -> bool:
    """Somebody takes or drops something, if that can be and is drawn."""
    can = list(self._holder.items()) + [
      (thing, person)
      for thing, place in self._lies.items()
      for person, visits in self._visits.items()
      if visits and visits[-1].place == place
    ]
    if self._draws.random() >= HANDLING or not can:
      return False
    thing, person = self._pick(can)
    visits = self._visits[person]
    takes = thing in self._lies
    there = self._draws.random() < THERE or (takes and self._task == 2)
    did = self._pick(TAKES if takes else DROPS)
    line = self._say(f'{person} {did} the {thing}{" there" * there}.')
    if takes:
      del self._lies[thing]
      self._holder[thing] = person
      self._handled[thing] = Handled(line, visits, len(visits))
    else:
      del self._holder[thing]
      self._lies[thing] = visits[-1].place
      before = self._handled[thing].before
      self._handled[thing] = Handled(line, visits.copy(), before)
    return True

  def _ask(self) -> bool:
    """Asks about one of them, drawn from all, if its answer has been told."""
    if self._task == 1:
      person = self._pick([p for p in PEOPLE if self._visits[p]])
      visits = self._visits[person]
      return self._question(f'is {person}', visits[-1].place, visits[-1].line)
    thing = self._pick(THINGS)
    if thing not in self._handled:
      return False
    if thing in self._holder and self._draws.random() >= HELD:
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

  def _question(self, asked: str, answer: str, *support: int) -> bool:
    self._say(f'Where {asked}? \t{answer}\t{" ".join(map(str, support))}')
    return True
