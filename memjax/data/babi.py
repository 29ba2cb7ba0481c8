"""The bAbI tasks as stories: read, checked, recorded once, split.

Paper: Weston et al. 2015, https://arxiv.org/abs/1502.05698.
A file's line is `ID sentence` or `ID question? \tanswer\tIDs of support`; ID 1
begins a story. Train stories are cut once into train and validation: of those
that differ, in the order in which they come, every tenth is for validation,
with its repetitions, which is 10 % of the questions. So train and validation
share no story; the released train and test files of task 4 do (134 of 1000).

In the cache folder, under one lock, as with every corpus:
  records/FINGERPRINT/   the stories of one task, a TFDS data set, and
                         whole.json: the SHA-256 of each split
The fingerprint is that of the task's files. What is damaged is made again.
"""

from collections.abc import Sequence
import functools
import hashlib
import logging
from pathlib import Path
import shutil
from typing import NamedTuple

from memjax.data import babi_world
from memjax.data.babi_archive import FILES, Text, read_files
from memjax.data.cache import cache_folder, lock, read_record, write_record
from memjax.data.sources import SPLITS, digest
from memjax.errors import ConfigError

SOURCES = ('made', 'archive')
TASKS = {'made': babi_world.TASKS, 'archive': tuple(range(1, 21))}
QUESTIONS = {'1k': 1_000, '10k': 10_000}  # of a train file; a test file: 1k
TENTH = 10  # of the different stories, for validation
_RULE = 'every 10th different story of train, in order, for validation'

log = logging.getLogger(__name__)


class Line(NamedTuple):
  """A sentence, or a question with its answer.

  Attributes:
    sentence: as written.
    answer: as written; empty where nothing is asked.
    support: the lines of the story, counted from 1, that give the answer.
  """

  sentence: str
  answer: str
  support: tuple[int, ...]


Story = tuple[Line, ...]
Splits = dict[str, tuple[Story, ...]]


@functools.cache
def open_tasks(
  source: str, path: str, size: str, tasks: tuple[int, ...]
) -> dict[int, Splits]:
  """{task: {split: its stories}}; the same object every time.

  Args:
    source: 'made', tasks 1 to 3 of our own world, or 'archive', the released.
    path: of the archive or its files; empty for the one that is fetched.
    size: '1k' or '10k', questions in a train file.
    tasks: numbers.

  Raises:
    ConfigError: a file is missing or malformed, or the archive cannot be
      fetched; or the cache folder cannot be used.
  """
  folder = cache_folder()
  with lock(folder):
    if source == 'made':
      files = {task: _made(task, QUESTIONS[size]) for task in tasks}
    else:
      files = read_files(path, size, tasks)
    return {
      task: _recorded(task, files[task], folder / 'records') for task in tasks
    }


def parse(name: str, content: bytes) -> tuple[Story, ...]:
  """The stories of a file.

  Raises:
    ConfigError: a line breaks the format; it is named by file and number.
  """
  stories: list[list[Line]] = []
  for number, line in enumerate(content.splitlines(), 1):
    try:
      _add(line.decode(), stories)
    except UnicodeDecodeError:
      raise ConfigError('path', name, f'line {number}: not UTF-8') from None
    except ValueError as error:
      raise ConfigError('path', name, f'line {number}: {error}') from None
  if not any(line.answer for story in stories for line in story):
    raise ConfigError('path', name, 'asks no question')
  return tuple(tuple(story) for story in stories)


def _add(text: str, stories: list[list[Line]]) -> None:
  """Adds a line to the stories; ValueError says what is wrong with it."""
  said, _, rest = text.partition(' ')
  if not (said.isascii() and said.isdigit()):
    raise ValueError(f'begins with {said!r}, not with a number')
  if int(said) == 1:
    stories.append([])
  expected = len(stories[-1]) + 1 if stories else 1
  if int(said) != expected:
    raise ValueError(f'number {said}, not {expected} or, in a new story, 1')
  stories[-1].append(_line(rest, stories[-1]))


def _line(rest: str, story: Sequence[Line]) -> Line:
  """What stands behind a line's number."""
  sentence, *fields = (field.strip() for field in rest.split('\t'))
  if not sentence:
    raise ValueError('an empty sentence')
  if not fields and '?' not in sentence:
    return Line(sentence, '', ())
  if len(fields) != 2:
    raise ValueError('a question needs two tabs, an answer and its support')
  if '?' not in sentence:
    raise ValueError('an answer, and no question mark')
  answer, support = fields
  if not answer:
    raise ValueError('a question without an answer')
  for line in support.split():
    if not (line.isascii() and line.isdigit()):
      raise ValueError(f'support {line!r} is no number')
    if not 1 <= int(line) <= len(story) or story[int(line) - 1].answer:
      raise ValueError(f'support {line} is no earlier sentence of the story')
  return Line(sentence, answer, tuple(map(int, support.split())))


def lines_of(story: Story) -> bytes:
  """The story as a file has it; `parse` reads it back."""
  lines = []
  for number, (sentence, answer, support) in enumerate(story, 1):
    asked = f'\t{answer}\t{" ".join(map(str, support))}' if answer else ''
    lines.append(f'{number} {sentence}{asked}\n')
  return ''.join(lines).encode()


def cut(train: Sequence[Story]) -> Splits:
  """Train and validation of the stories of a train file."""
  index = {story: i for i, story in enumerate(dict.fromkeys(train))}
  splits: dict[str, list[Story]] = {'train': [], 'validation': []}
  for story in train:
    last_of_ten = index[story] % TENTH == TENTH - 1
    splits['validation' if last_of_ten else 'train'].append(story)
  return {split: tuple(stories) for split, stories in splits.items()}


def _made(task: int, questions: int) -> dict[str, Text]:
  counts = {'train': questions, 'test': QUESTIONS['1k']}
  return {
    split: Text(
      f'made qa{task} {split}', babi_world.text(task, split, counts[split])
    )
    for split in FILES
  }


def _recorded(task: int, files: dict[str, Text], folder: Path) -> Splits:
  """The stories of a task as recorded, recorded first if they are not."""
  from memjax.data.babi_records import write

  seen = hashlib.sha256(_RULE.encode())
  for split in FILES:
    seen.update(hashlib.sha256(files[split].content).digest())
  place = folder / seen.hexdigest()
  if place.exists():
    try:
      return _read(place)
    except Exception:  # damage shows itself in many ways
      log.warning('%s is not whole and is made again', place)
  log.info('preparing bAbI task %d from %s', task, files['train'].name)
  splits = cut(parse(*files['train']))
  for split, stories in splits.items():
    if not any(line.answer for story in stories for line in story):
      rule = (
        f'its stories are too few: none with a question is left for {split}'
      )
      raise ConfigError('path', files['train'].name, rule)
  splits['test'] = parse(*files['test'])
  recorded = {split: list(map(lines_of, splits[split])) for split in SPLITS}
  shutil.rmtree(place, ignore_errors=True)
  try:
    write(place, recorded)
    write_record(place / 'whole.json', _digests(recorded))
    return _read(place)
  except RuntimeError as error:  # how a record file says that a disk is full
    raise OSError(str(error)) from error


def _read(place: Path) -> Splits:
  from memjax.data.babi_records import read

  recorded = read(place)
  if _digests(recorded) != read_record(place / 'whole.json'):
    raise OSError(f'{place} does not hold what was written to it')
  return {
    split: parse(f'{place}/{split}', b''.join(stories))
    for split, stories in recorded.items()
  }


def _digests(recorded: dict[str, list[bytes]]) -> dict[str, str]:
  return {split: digest(stories) for split, stories in recorded.items()}
