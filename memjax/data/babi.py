"""The bAbI tasks as stories: parsed, checked, recorded once and split.

Paper: Weston et al. 2015, https://arxiv.org/abs/1502.05698.
A line of a file is `ID sentence` or `ID question? \tanswer\tIDs of support`. ID
1 begins a story. The stories of the train file are split once into train and
validation. Among the different stories, in file order, every tenth goes to
validation together with its repetitions; this is 10 % of the questions. Train
and validation therefore share no story. The released train and test files of
task 4 do share stories (134 of 1000).

The cache folder contains, under the lock that all corpora share:
  records/FINGERPRINT/   the stories of one task, a TFDS data set, and
                         whole.json: the SHA-256 of each split
The fingerprint is the SHA-256 of the task's files. Damaged records are recorded
again.
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
from memjax.data.sources import digest
from memjax.data.splits import SPLITS
from memjax.errors import ConfigError

SOURCES = ('generated', 'archive')
TASKS = {'generated': babi_world.TASKS, 'archive': tuple(range(1, 21))}
# Number of questions in a train file; a test file always has 1,000.
QUESTIONS = {'1k': 1_000, '10k': 10_000}
VALIDATION_EVERY = 10  # one of this number of different stories
_RULE = 'every 10th different story of train, in order, for validation'

log = logging.getLogger(__name__)


class Line(NamedTuple):
  """A sentence, or a question with its answer.

  Attributes:
    sentence: the sentence or question, as written.
    answer: the answer, as written; empty if the line is not a question.
    support: numbers of the lines that give the answer, counted from 1.
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
  """{task: {split: its stories}}; equal arguments return the same object.

  Args:
    source: 'generated', tasks 1 to 3 of `babi_world`, or 'archive', the
      released files.
    path: the archive or its files; if empty, the released archive is
      downloaded.
    size: '1k' or '10k', the number of questions in a train file.
    tasks: numbers of the tasks.

  Raises:
    ConfigError: a file is missing or malformed, or the archive cannot be
      downloaded, or the cache folder cannot be used.
  """
  folder = cache_folder()
  with lock(folder):
    if source == 'generated':
      files = {task: _generate(task, QUESTIONS[size]) for task in tasks}
    else:
      files = read_files(path, size, tasks)
    return {
      task: _load_or_record(task, files[task], folder / 'records')
      for task in tasks
    }


def parse(name: str, content: bytes) -> tuple[Story, ...]:
  """The stories of a file.

  Raises:
    ConfigError: a line breaks the format. The message gives the file's name
      and the line's number.
  """
  stories: list[list[Line]] = []
  for number, line in enumerate(content.splitlines(), 1):
    try:
      _add_line(line.decode(), stories)
    except UnicodeDecodeError:
      raise ConfigError('path', name, f'line {number}: not UTF-8') from None
    except ValueError as error:
      raise ConfigError('path', name, f'line {number}: {error}') from None
  if not any(line.answer for story in stories for line in story):
    raise ConfigError('path', name, 'contains no question')
  return tuple(tuple(story) for story in stories)


def _add_line(text: str, stories: list[list[Line]]) -> None:
  """Adds a line to the stories; raises ValueError if it is malformed."""
  number, _, rest = text.partition(' ')
  if not (number.isascii() and number.isdigit()):
    raise ValueError(f'begins with {number!r}; a line begins with a number')
  if int(number) == 1:
    stories.append([])
  expected = len(stories[-1]) + 1 if stories else 1
  if int(number) != expected:
    raise ValueError(
      f'has number {number}; expected {expected}, or 1 for a new story'
    )
  stories[-1].append(_parse_line(rest, stories[-1]))


def _parse_line(rest: str, story: Sequence[Line]) -> Line:
  """Parses the part of a line after its number."""
  sentence, *fields = (field.strip() for field in rest.split('\t'))
  if not sentence:
    raise ValueError('the sentence is empty')
  if not fields and '?' not in sentence:
    return Line(sentence, '', ())
  if len(fields) != 2:
    raise ValueError('a question needs two tabs, an answer and its support')
  if '?' not in sentence:
    raise ValueError('has an answer but no question mark')
  answer, support = fields
  if not answer:
    raise ValueError('the question has no answer')
  for line in support.split():
    if not (line.isascii() and line.isdigit()):
      raise ValueError(f'support {line!r} is not a number')
    if not 1 <= int(line) <= len(story) or story[int(line) - 1].answer:
      raise ValueError(
        f'support {line} is not an earlier sentence of the story'
      )
  return Line(sentence, answer, tuple(map(int, support.split())))


def format_story(story: Story) -> bytes:
  """The lines of a story in the format of a file; `parse` inverts this."""
  lines = []
  for number, (sentence, answer, support) in enumerate(story, 1):
    fields = f'\t{answer}\t{" ".join(map(str, support))}' if answer else ''
    lines.append(f'{number} {sentence}{fields}\n')
  return ''.join(lines).encode()


def split_train(train: Sequence[Story]) -> Splits:
  """Splits the stories of a train file into train and validation."""
  index = {story: i for i, story in enumerate(dict.fromkeys(train))}
  splits: dict[str, list[Story]] = {'train': [], 'validation': []}
  for story in train:
    last = index[story] % VALIDATION_EVERY == VALIDATION_EVERY - 1
    splits['validation' if last else 'train'].append(story)
  return {split: tuple(stories) for split, stories in splits.items()}


def _generate(task: int, questions: int) -> dict[str, Text]:
  counts = {'train': questions, 'test': QUESTIONS['1k']}
  return {
    split: Text(
      f'generated qa{task} {split}',
      babi_world.generate_file(task, split, counts[split]),
    )
    for split in FILES
  }


def _load_or_record(task: int, files: dict[str, Text], folder: Path) -> Splits:
  """The recorded stories of a task; records them if they are missing."""
  from memjax.data.babi_records import write_stories

  fingerprint = hashlib.sha256(_RULE.encode())
  for split in FILES:
    fingerprint.update(hashlib.sha256(files[split].content).digest())
  place = folder / fingerprint.hexdigest()
  if place.exists():
    try:
      return _load(place)
    except Exception:  # TFDS raises many types for damaged files
      log.warning('%s is damaged; recording it again', place)
  log.info('preparing bAbI task %d from %s', task, files['train'].name)
  splits = split_train(parse(*files['train']))
  for split, stories in splits.items():
    if not any(line.answer for story in stories for line in story):
      rule = f'has too few stories: {split} would have no question'
      raise ConfigError('path', files['train'].name, rule)
  splits['test'] = parse(*files['test'])
  stories_of = {
    split: list(map(format_story, splits[split])) for split in SPLITS
  }
  shutil.rmtree(place, ignore_errors=True)
  try:
    write_stories(place, stories_of)
    write_record(place / 'whole.json', _digests(stories_of))
    return _load(place)
  except RuntimeError as error:  # a record file reports a full disk this way
    raise OSError(str(error)) from error


def _load(place: Path) -> Splits:
  from memjax.data.babi_records import read_stories

  stories_of = read_stories(place)
  if _digests(stories_of) != read_record(place / 'whole.json'):
    raise OSError(f'the files of {place} differ from what was written')
  return {
    split: parse(f'{place}/{split}', b''.join(stories))
    for split, stories in stories_of.items()
  }


def _digests(stories_of: dict[str, list[bytes]]) -> dict[str, str]:
  return {split: digest(stories) for split, stories in stories_of.items()}
