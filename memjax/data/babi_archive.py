"""Where the files of the released bAbI tasks are, and how they are fetched.

An archive, `tasks_1-20_v1-2.tar.gz`, holds a folder for each size, `en` and
`en-10k`, and in it `qaN_NAME_train.txt` and `qaN_NAME_test.txt` of every task.
It is read where it lies, never unpacked. One that is fetched must have the
size and SHA-256 below, which huggingface/datasets recorded for this address
(datasets/babi_qa/dataset_infos.json); one that path names may be any.
"""

from collections.abc import Iterator, Sequence
import gzip
from pathlib import Path, PurePosixPath
import re
import tarfile
from typing import NamedTuple
import zlib

from memjax.data.download import Asked, File, fetched
from memjax.errors import ConfigError, require

NAME = 'tasks_1-20_v1-2.tar.gz'
ARCHIVE = File(
  f'https://www.thespermwhale.com/jaseweston/babi/{NAME}',
  NAME,
  15_719_851,
  '0364ebde659f14d11bc21744516c5ec49d3d06cb692733f66680771244998898',
)
FOLDERS = {'1k': 'en', '10k': 'en-10k'}
FILES = ('train', 'test')
CHUNK = 1 << 20  # bytes
BETWEEN = 5_000  # questions: more than any file of 1k has, fewer than of 10k

_INSTEAD = (
  ', or let path name it or its unpacked folder, or '
  "use source='made', which needs no file"
)
_FILE = re.compile(r'qa(\d+)_.*_(train|test)\.txt')
_BROKEN = (OSError, EOFError, tarfile.TarError, zlib.error)


class Text(NamedTuple):
  """A file: where it is, for messages, and its bytes."""

  name: str
  content: bytes


Key = tuple[int, str]  # a task's number, and 'train' or 'test'


def texts(
  path: str, size: str, tasks: Sequence[int]
) -> dict[int, dict[str, Text]]:
  """{task: {'train': its file, 'test': its file}}.

  Args:
    path: the archive, its unpacked folder, or a folder of qa*.txt files; empty
      for the released archive, which is fetched unless it has been. Then the
      caller holds the lock of the cache folder.
    size: '1k' or '10k'.
    tasks: numbers from 1 to 20.

  Raises:
    ConfigError: the path is missing or unreadable, lacks a file, or holds
      another size; or the archive cannot be fetched.
  """
  place = Path(path).expanduser() if path else _archive()
  require(place.exists(), 'path', path, 'does not exist')
  wanted = {(task, split) for task in tasks for split in FILES}
  found: dict[Key, Text] = {}
  read = _in_folder if place.is_dir() else _in_archive
  try:
    for key, text in read(place, FOLDERS[size], wanted):
      rule = 'there are two files of this task and split'
      require(key not in found, 'path', text.name, rule)
      found[key] = text
  except _BROKEN as error:
    reason = getattr(error, 'strerror', None) or error
    rule = f'cannot be read: {reason}'
    raise ConfigError('path', str(place), rule) from None
  for task, split in sorted(wanted - found.keys()):
    rule = f'holds no qa{task}_NAME_{split}.txt of size {size}; {NAME} has it '
    rule += f'in {FOLDERS[size]}/'
    raise ConfigError('path', str(place), rule)
  for (_, split), (name, content) in found.items():
    questions = content.count(b'\t') // 2
    rule = f'has {questions} questions, which is not the size {size}'
    small = split == 'test' or size == '1k'
    require((questions < BETWEEN) == small, 'path', name, rule)
  return {task: {s: found[task, s] for s in FILES} for task in tasks}


def _in_folder(
  place: Path, folder: str, wanted: set[Key]
) -> Iterator[tuple[Key, Text]]:
  unpacked = NAME.removesuffix('.tar.gz')
  for here in (place / folder, place / unpacked / folder, place):
    paths = [p for p in sorted(here.glob('qa*')) if _key(p.name) in wanted]
    if paths:
      for path in paths:
        yield _key(path.name), Text(str(path), path.read_bytes())
      return


def _in_archive(
  place: Path, folder: str, wanted: set[Key]
) -> Iterator[tuple[Key, Text]]:
  with gzip.open(place) as whole:
    with tarfile.open(fileobj=whole, mode='r|') as archive:
      for member in archive:
        inside = PurePosixPath(member.name)
        key = _key(inside.name)
        if member.isfile() and inside.parent.name == folder and key in wanted:
          file = archive.extractfile(member)
          assert file is not None, 'a regular member has content'
          yield key, Text(f'{place}/{inside}', file.read())
    while whole.read(CHUNK):
      pass  # to its end, where the checksum is


def _key(name: str) -> Key:
  """What a file is by its name; (0, '') for none of the released ones."""
  match = _FILE.fullmatch(name)
  return (int(match[1]), match[2]) if match else (0, '')


def _archive() -> Path:
  return fetched(ARCHIVE, Asked('path', '', _INSTEAD))
