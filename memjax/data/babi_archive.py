"""Finds, downloads and reads the files of the released bAbI tasks.

The archive `tasks_1-20_v1-2.tar.gz` has a folder for each size, `en` and
`en-10k`. Each folder has `qaN_NAME_train.txt` and `qaN_NAME_test.txt` of every
task. The archive is read directly and never unpacked. A downloaded archive must
have the size and SHA-256 below, which huggingface/datasets recorded for this
address (datasets/babi_qa/dataset_infos.json). An archive given by `path` is not
checked.
"""

from collections.abc import Iterator, Sequence
import gzip
from pathlib import Path, PurePosixPath
import re
import tarfile
from typing import NamedTuple
import zlib

from memjax.data.download import File, Setting, fetch
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
# A file of size 1k has fewer questions than this, a file of size 10k has more.
SIZE_THRESHOLD = 5_000

_ALTERNATIVE = (
  ', or set path to the archive or its unpacked folder, or '
  "set source='generated', which needs no file"
)
_FILE = re.compile(r'qa(\d+)_.*_(train|test)\.txt')
_BROKEN = (OSError, EOFError, tarfile.TarError, zlib.error)


class Text(NamedTuple):
  """A file's path, for error messages, and its content."""

  name: str
  content: bytes


Key = tuple[int, str]  # a task's number, and 'train' or 'test'


def read_files(
  path: str, size: str, tasks: Sequence[int]
) -> dict[int, dict[str, Text]]:
  """{task: {'train': its file, 'test': its file}}.

  Args:
    path: the archive, its unpacked folder, or a folder of qa*.txt files. If
      empty, the released archive, downloaded if it is missing; the caller then
      holds the lock of the cache folder.
    size: '1k' or '10k'.
    tasks: numbers from 1 to 20.

  Raises:
    ConfigError: the path is missing or unreadable, or lacks a file, or a file
      has another size; or the archive cannot be downloaded.
  """
  place = Path(path).expanduser() if path else _fetch_archive()
  require(place.exists(), 'path', path, 'does not exist')
  wanted = {(task, split) for task in tasks for split in FILES}
  found: dict[Key, Text] = {}
  read_texts = _read_folder if place.is_dir() else _read_archive
  try:
    for key, text in read_texts(place, FOLDERS[size], wanted):
      rule = 'is a second file of the same task and split; keep one of them'
      require(key not in found, 'path', text.name, rule)
      found[key] = text
  except _BROKEN as error:
    reason = getattr(error, 'strerror', None) or error
    rule = f'cannot be read: {reason}'
    raise ConfigError('path', str(place), rule) from None
  for task, split in sorted(wanted - found.keys()):
    rule = f'does not contain qa{task}_NAME_{split}.txt of size {size}; '
    rule += f'{NAME} has this file in {FOLDERS[size]}/'
    raise ConfigError('path', str(place), rule)
  for (_, split), (name, content) in found.items():
    questions = content.count(b'\t') // 2
    rule = f'has {questions} questions; this does not match size {size}'
    small = split == 'test' or size == '1k'
    require((questions < SIZE_THRESHOLD) == small, 'path', name, rule)
  return {task: {s: found[task, s] for s in FILES} for task in tasks}


def _read_folder(
  place: Path, folder: str, wanted: set[Key]
) -> Iterator[tuple[Key, Text]]:
  unpacked = NAME.removesuffix('.tar.gz')
  for parent in (place / folder, place / unpacked / folder, place):
    paths = [p for p in sorted(parent.glob('qa*')) if _key(p.name) in wanted]
    if paths:
      for path in paths:
        yield _key(path.name), Text(str(path), path.read_bytes())
      return


def _read_archive(
  place: Path, folder: str, wanted: set[Key]
) -> Iterator[tuple[Key, Text]]:
  with gzip.open(place) as stream:
    with tarfile.open(fileobj=stream, mode='r|') as archive:
      for member in archive:
        inside = PurePosixPath(member.name)
        key = _key(inside.name)
        if member.isfile() and inside.parent.name == folder and key in wanted:
          file = archive.extractfile(member)
          assert file is not None, 'a regular member has content'
          yield key, Text(f'{place}/{inside}', file.read())
    while stream.read(CHUNK):
      pass  # the checksum is at the end


def _key(name: str) -> Key:
  """The task and split in a file's name; (0, '') for any other file."""
  match = _FILE.fullmatch(name)
  return (int(match[1]), match[2]) if match else (0, '')


def _fetch_archive() -> Path:
  return fetch(ARCHIVE, Setting('path', '', _ALTERNATIVE))
