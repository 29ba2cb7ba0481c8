"""bAbI's files are read exactly, from any place; wrong files are refused."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
import contextlib
import hashlib
import io
import os
from pathlib import Path
import re
import tarfile

import pytest

from memjax.data import babi_archive, babi_world
from memjax.data.babi import (
  QUESTIONS,
  Line,
  Splits,
  Story,
  format_story,
  open_tasks,
  parse,
  split_train,
)
from memjax.data.babi_archive import read_files
from memjax.data.splits import SPLITS
from memjax.errors import ConfigError
from tests.served import served

REAL = Path(os.environ.get('MEMJAX_DATA', 'nowhere')) / 'babi'
real = pytest.mark.skipif(
  not REAL.is_dir(), reason='MEMJAX_DATA names no folder with babi/'
)
ALL = tuple(range(1, 21))
WORLD = '1f114a764e2d0628bda636343ad4d34924410abe6a0b33aa8666f85b0207d1b1'
ARCHIVE = 'tasks_1-20_v1-2.tar.gz'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  open_tasks.cache_clear()
  yield tmp_path / 'cache'
  open_tasks.cache_clear()


def opened(path: object, size: str = '1k', task: int = 1) -> Splits:
  """The stories of a task, opened as in a new process."""
  open_tasks.cache_clear()
  return open_tasks('archive', str(path), size, (task,))[task]


def questions(stories: tuple[Story, ...]) -> int:
  return sum(bool(line.answer) for story in stories for line in story)


# A replay of the world, independent of its generator.


def replayed(story: Story) -> Iterator[tuple[Line, str, list[int]]]:
  """Each question of tasks 1 to 3, with its correct answer and support."""
  where: dict[str, str] = {}
  moves = defaultdict(list)
  holder: dict[str, str] = {}
  handled: dict[str, tuple[int, list[int]]] = {}
  places_of = defaultdict(list)
  for number, line in enumerate(story, 1):
    words = re.findall(r'\w+', line.sentence)
    thing = next((w for w in words if w in babi_world.THINGS), '')
    if not line.answer and ' to the ' in line.sentence:
      where[words[0]] = words[-1]
      moves[words[0]].append(number)
      for carried, person in holder.items():
        if person == words[0]:
          places_of[carried].append(words[-1])
    elif not line.answer:
      person = words[0]
      takes = words[1] in {take.split()[0] for take in babi_world.TAKES}
      assert takes == (thing not in holder), line
      assert takes or holder[thing] == person, line
      if takes:
        if person in where and places_of[thing][-1:] != [where[person]]:
          places_of[thing].append(where[person])
        holder[thing] = person
        handled[thing] = number, moves[person]
      else:
        del holder[thing]
        handled[thing] = number, moves[person].copy()
    elif not thing:
      person = words[2]
      yield line, where[person], moves[person][-1:]
    elif words[1] == 'is':
      taken, walked = handled[thing]
      yield line, places_of[thing][-1], [taken, walked[-1]]
    else:
      places = places_of[thing]
      last = len(places) - 1 - places[::-1].index(words[-1])
      taken, walked = handled[thing]
      yield line, places[last - 1], [taken, walked[-1], walked[-2]]


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('task', [1, 2, 3])
def test_the_generated_answers_and_support_are_correct(
  task: int, split: str
) -> None:
  stories = parse('generated', babi_world.generate_file(task, split, 1000))
  count = 0
  for story in stories:
    for line, answer, support in replayed(story):
      assert line.answer == answer
      assert list(line.support) == support
      count += 1
  assert count == questions(stories) == 1000


@real
@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('task', [1, 2, 3])
def test_the_replay_is_correct_on_the_released_stories(
  task: int, split: str
) -> None:
  (path,) = REAL.glob(f'qa{task}_*_{split}.txt')
  for story in parse(path.name, path.read_bytes()):
    for line, answer, _ in replayed(story):
      assert line.answer == answer


@pytest.mark.parametrize(('task', 'lines'), [(1, 15), (2, 27), (3, 79)])
def test_generated_stories_resemble_the_released_ones(
  task: int, lines: int
) -> None:
  stories = parse('generated', babi_world.generate_file(task, 'train', 1000))
  assert len(stories) == 200
  assert lines * 0.7 < sum(map(len, stories)) / 200 < lines * 1.3
  answers = Counter(line.answer for s in stories for line in s if line.answer)
  assert set(answers) == set(babi_world.PLACES)
  assert max(answers.values()) < 1.6 * min(answers.values())
  assert len(set(stories)) == 200
  test = parse('generated', babi_world.generate_file(task, 'test', 1000))
  assert not set(stories) & set(test)
  longer = parse('generated', babi_world.generate_file(task, 'train', 2000))
  assert longer[:200] == stories


def test_the_generated_stories_never_change() -> None:
  seen = hashlib.sha256()
  for task in babi_world.TASKS:
    for split in ('train', 'test'):
      seen.update(babi_world.generate_file(task, split, 1000))
  rule = 'the generated stories changed: earlier figures no longer apply'
  assert seen.hexdigest() == WORLD, rule


# Parsing.


@real
def test_the_released_files() -> None:
  found = read_files(str(REAL), '1k', ALL)
  splits_of = {
    task: split_train(parse(*pair['train'])) | {'test': parse(*pair['test'])}
    for task, pair in found.items()
  }
  assert tuple(splits_of) == ALL
  for task, splits in splits_of.items():
    assert tuple(splits) == SPLITS
    assert questions(splits['train'] + splits['validation']) == 1000
    assert questions(splits['test']) == 1000
    assert 80 <= questions(splits['validation']) <= 105
    assert not set(splits['train']) & set(splits['validation'])
    for split, stories in (
      ('train', splits['train'] + splits['validation']),
      ('test', splits['test']),
    ):
      (path,) = REAL.glob(f'qa{task}_*_{split}.txt')
      lines = path.read_text().replace(' \t', '\t').splitlines(keepends=True)
      starts = [i for i, line in enumerate(lines) if line.startswith('1 ')]
      ends = [*starts[1:], len(lines)]
      texts = [''.join(lines[i:j]) for i, j in zip(starts, ends, strict=True)]
      formatted = Counter(format_story(story).decode() for story in stories)
      assert Counter(texts) == formatted
  task_4 = splits_of[4]
  shared = set(task_4['test']) & set(task_4['train'] + task_4['validation'])
  assert sum(story in shared for story in task_4['test']) == 134


def test_lines_are_parsed() -> None:
  text = (
    '1 Mary took the  milk.\n2 Où est-elle ? \ta,b\t1\r\n'
    '1 John left.\n2 John ran.\n3 Where? \tout\t 2 1 \n4 Why?\tno\t\n'
  )
  assert parse('file', text.encode()) == (
    (
      Line('Mary took the  milk.', '', ()),
      Line('Où est-elle ?', 'a,b', (1,)),
    ),
    (
      Line('John left.', '', ()),
      Line('John ran.', '', ()),
      Line('Where?', 'out', (2, 1)),
      Line('Why?', 'no', ()),
    ),
  )


@pytest.mark.parametrize(
  ('line', 'text', 'words'),
  [
    (1, b'2 A went.\n', 'has number 2; expected 1'),
    (1, b'x A went.\n', "begins with 'x'; a line begins with a number"),
    (1, b'\n', "begins with ''; a line begins with a number"),
    (1, b'-1 A went.\n', "begins with '-1'"),
    (1, '\u0661 A went.\n'.encode(), 'a line begins with a number'),
    (3, b'1 A went.\n2 B went.\n4 C went.\n', 'has number 4; expected 3'),
    (3, b'1 A went.\n2 B went.\n2 C went.\n', 'has number 2; expected 3'),
    (2, b'1 A went.\n2 \n', 'the sentence is empty'),
    (2, b'1 A went.\n2\n', 'the sentence is empty'),
    (2, b'1 A went.\n2 \ta\t1\n', 'the sentence is empty'),
    (2, b'1 A went.\n2 Where? a 1\n', 'a question needs two tabs'),
    (2, b'1 A went.\n2 Where?\ta\n', 'a question needs two tabs'),
    (2, b'1 A went.\n2 Where?\ta\t1\t2\n', 'a question needs two tabs'),
    (2, b'1 A went.\n2 B went.\ta\t1\n', 'no question mark'),
    (2, b'1 A went.\n2 Where?\t \t1\n', 'the question has no answer'),
    (2, b'1 A went.\n2 Where?\ta\t1 b\n', "support 'b' is not a number"),
    (2, b'1 A went.\n2 Where?\ta\t-1\n', "support '-1' is not a number"),
    (2, b'1 A went.\n2 Where?\ta\t2\n', 'support 2 is not an earlier sent'),
    (2, b'1 A went.\n2 Where?\ta\t0\n', 'support 0 is not an earlier sent'),
    (3, b'1 A.\n2 W?\ta\t1\n3 W?\ta\t2\n', 'support 2 is not an earlier s'),
    (2, b'1 A went.\n2 \xff went.\n', 'not UTF-8'),
  ],
)
def test_a_malformed_line_is_named_in_the_error(
  line: int, text: bytes, words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    parse('qa1_x_train.txt', text)
  assert str(error.value).startswith(f"path: 'qa1_x_train.txt': line {line}: ")
  assert words in error.value.rule
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('text', [b'', b'1 A went.\n2 B went.\n'])
def test_a_file_without_a_question_is_refused(text: bytes) -> None:
  with pytest.raises(ConfigError, match='contains no question'):
    parse('qa1_x_train.txt', text)


def test_every_tenth_different_story_goes_to_validation() -> None:
  stories = [(Line(f'{i}?', 'a', ()),) for i in range(40)]
  train = [*stories[:25], stories[9], stories[3], *stories[25:], stories[39]]
  splits = split_train(train)
  expected = tuple(stories[i] for i in (9, 19, 9, 29, 39, 39))
  assert splits['validation'] == expected
  rest = [story for story in train if story not in splits['validation']]
  assert splits['train'] == tuple(rest)


# Finding the files.


def files(*tasks: int, questions: int = 100) -> dict[str, bytes]:
  return {
    f'qa{task}_generated_{split}.txt': babi_world.generate_file(task, split, n)
    for task in tasks
    for split, n in (('train', questions), ('test', 50))
  }


def lay(folder: Path, contents: dict[str, bytes]) -> Path:
  folder.mkdir(parents=True)
  for name, content in contents.items():
    (folder / name).write_bytes(content)
  return folder


def packed(path: Path, small: dict[str, bytes], large: dict) -> Path:
  """An archive with the folders and the extra files of the released one."""
  with tarfile.open(path, 'w:gz') as archive:
    for folder, contents in (
      ('hn', dict.fromkeys(small, b'other')),
      ('en', small | {'._qa1_generated_train.txt': b'x', 'README': b'x'}),
      ('en-10k', large),
      ('shuffled', dict.fromkeys(large, b'other')),
    ):
      for name, content in contents.items():
        member = tarfile.TarInfo(f'tasks_1-20_v1-2/{folder}/{name}')
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
  return path


def test_files_are_found_in_a_folder_and_in_an_archive(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(babi_archive, 'SIZE_THRESHOLD', 150)
  small, large = files(1, 2), files(1, 2, questions=200)
  lay(tmp_path / 'a/tasks_1-20_v1-2/en', small)
  lay(tmp_path / 'a/tasks_1-20_v1-2/en-10k', large)
  archive = packed(tmp_path / 'archive.tgz', small, large)
  places = [tmp_path / 'a', tmp_path / 'a/tasks_1-20_v1-2', archive]
  for size, contents, count in (('1k', small, 100), ('10k', large, 200)):
    direct = lay(tmp_path / size, contents)
    for place in (direct, *places):
      splits = opened(place, size, 2)
      train = parse('', contents['qa2_generated_train.txt'])
      assert splits == split_train(train) | {
        'test': parse('', contents['qa2_generated_test.txt'])
      }
      assert questions(train) == count


@pytest.mark.parametrize('kind', ['folder', 'unpacked', 'archive'])
def test_a_missing_size_is_refused(tmp_path: Path, kind: str) -> None:
  place = {
    'folder': lambda: lay(tmp_path / 'x', files(1)),
    'unpacked': lambda: lay(tmp_path / 'x/en', files(1)).parent,
    'archive': lambda: packed(tmp_path / 'x', files(1), {}),
  }[kind]()
  assert opened(place)['test']
  with pytest.raises(ConfigError) as error:
    opened(place, '10k')
  assert error.value.field == 'path'
  message = str(error.value)
  assert str(tmp_path) in message
  assert ('100 questions; this does not match size 10k' in message) or (
    'does not contain qa1_NAME_test.txt of size 10k' in message
    and 'en-10k/' in message
  )
  large = lay(tmp_path / 'large', files(1, questions=10_000))
  with pytest.raises(ConfigError, match=r'10000 questions.*not match size 1k'):
    opened(large)


def two_files(folder: Path) -> None:
  lay(folder, files(1) | {'qa1_again_train.txt': b''})


def no_test_file(folder: Path) -> None:
  lay(folder, files(1))
  (folder / 'qa1_generated_test.txt').unlink()


def no_archive(path: Path) -> None:
  path.write_bytes(b'no archive')


def half_an_archive(path: Path) -> None:
  packed(path, files(1, 2, 3, questions=1000), {})
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged_archive(path: Path) -> None:
  packed(path, files(1, questions=1000), {})
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 255
  path.write_bytes(content)


def malformed(folder: Path) -> None:
  lay(folder, files(1) | {'qa1_generated_test.txt': b'1 Where?\tx\t1\n'})


def too_few(folder: Path) -> None:
  lay(folder, files(1, questions=45))


@pytest.mark.parametrize(
  ('make', 'words'),
  [
    (lambda path: None, 'does not exist'),
    (Path.mkdir, 'does not contain qa1_NAME_test.txt of size 1k'),
    (two_files, 'is a second file of the same task and split'),
    (no_test_file, 'does not contain qa1_NAME_test.txt of size 1k'),
    (no_archive, 'cannot be read: '),
    (half_an_archive, 'cannot be read: '),
    (damaged_archive, 'cannot be read: '),
    (malformed, "qa1_generated_test.txt': line 1: support 1 is not an earlier"),
    (too_few, 'has too few stories: validation would have no question'),
  ],
)
def test_wrong_files_are_one_line(
  tmp_path: Path, cache: Path, make: Callable[[Path], object], words: str
) -> None:
  make(tmp_path / 'place')
  for _ in range(2):
    with pytest.raises(ConfigError) as error:
      opened(tmp_path / 'place')
    assert error.value.field == 'path'
    assert str(tmp_path / 'place') in str(error.value)
    assert words in str(error.value)
    assert '\n' not in str(error.value)
  assert not list(cache.rglob('*array_record*'))


# Records.


def test_stories_are_recorded_once(tmp_path: Path, cache: Path) -> None:
  import tensorflow_datasets as tfds

  place = lay(tmp_path / 'place', files(1, 2))
  first = opened(place)
  assert open_tasks('archive', str(place), '1k', (1,))[1] is first
  (folder,) = (cache / 'records').iterdir()
  written = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
  assert opened(place) == first
  assert {p: p.stat().st_mtime_ns for p in folder.rglob('*')} == written
  records = tfds.builder_from_directory(folder / 'babi' / '1.0.0')
  for split in SPLITS:
    stories = [record['story'] for record in records.as_data_source(split)]
    assert stories == list(map(format_story, first[split]))
  opened(place, task=2)
  assert len(list((cache / 'records').iterdir())) == 2
  test = place / 'qa1_generated_test.txt'
  test.write_bytes(test.read_bytes().replace(b'garden', b'kitchen'))
  assert opened(place)['test'] != first['test']


@pytest.mark.parametrize('name', ['*-train.array_record*', 'whole.json'])
@pytest.mark.parametrize('how', ['zeros', 'gone'])
def test_damaged_records_are_recorded_again(
  tmp_path: Path,
  cache: Path,
  caplog: pytest.LogCaptureFixture,
  name: str,
  how: str,
) -> None:
  place = lay(tmp_path / 'place', files(1))
  first = opened(place)
  (path,) = cache.rglob(name)
  if how == 'zeros':
    content = path.read_bytes()
    path.write_bytes(content[:70] + bytes(len(content) - 70))
  else:
    path.unlink()
  assert opened(place) == first
  assert 'is damaged; recording it again' in caplog.text
  caplog.clear()
  assert opened(place) == first
  assert not caplog.text


def test_the_size_changes_only_the_train_file(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setitem(QUESTIONS, '10k', 1500)
  splits = open_tasks('generated', '', '10k', (1,))[1]
  assert questions(splits['train'] + splits['validation']) == 1500
  assert questions(splits['test']) == 1000


# Downloads.


@contextlib.contextmanager
def server(
  monkeypatch: pytest.MonkeyPatch, content: bytes
) -> Iterator[list[str]]:
  """Serves bytes as the released archive; yields the requested names."""
  with served(monkeypatch, {ARCHIVE: content}) as (address, requests):
    file = babi_archive.ARCHIVE._replace(
      url=f'{address}/{ARCHIVE}',
      size=len(content),
      sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setattr(babi_archive, 'ARCHIVE', file)
    yield requests


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
  return packed(tmp_path / 'packed', files(1, 2), {}).read_bytes()


def test_the_archive_is_downloaded_once(
  archive: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with server(monkeypatch, archive) as requests:
    first = opened('')
    assert requests == [ARCHIVE]
  assert questions(first['train'] + first['validation']) == 100
  (place,) = (cache / 'downloads').iterdir()
  assert place.name == ARCHIVE
  assert place.read_bytes() == archive
  assert opened('', task=2)['test']  # the server is stopped


def test_a_failed_download_of_the_archive_is_one_line(
  archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
  with server(monkeypatch, archive):
    pass
  with pytest.raises(ConfigError) as error:
    opened('')
  message = str(error.value)
  assert message.startswith(f"path: '': {babi_archive.ARCHIVE.url} cannot be")
  assert f'put {ARCHIVE} into ' in message
  assert 'or set path to the archive or its unpacked folder' in message
  assert "source='generated'" in message
  assert '\n' not in message


def test_the_registered_archive() -> None:
  url, name, size, sha256, _ = babi_archive.ARCHIVE
  assert re.fullmatch('[0-9a-f]{64}', sha256)
  assert size == 15_719_851
  assert url.startswith('https://')
  assert url.endswith(name)
  assert name == ARCHIVE
