"""A user's files, and the split that each belongs to.

The outermost folder or file whose name says a split decides. A name says a
split by one of the words below, at its end or start or between dots and dashes:
`train.txt`, `wiki.valid.tokens`, `test-00000-of-00002.parquet`, `data_dev.csv`,
`val/book.txt`; not `test_model.py`.
"""

from collections.abc import Iterable, Iterator
import dataclasses
import fnmatch
import json
import os
from pathlib import Path
import re
from typing import NamedTuple

from memjax.errors import ConfigError, require

SPLITS = ('train', 'validation', 'test')
WORDS = {
  'train': 'train',
  'training': 'train',
  'valid': 'validation',
  'validation': 'validation',
  'val': 'validation',
  'dev': 'validation',
  'test': 'test',
}
_NAME = re.compile(
  rf'(?:^|[._\- ])({"|".join(WORDS)})(?=$|[.\- ]|_\d)', re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class FileOptions:
  """Which of a user's files are read, and how.

  Attributes:
    validation_path: file or folder of the validation split; empty: by name.
    test_path: the same for the test split.
    include: patterns of file names, separated by commas; empty: all files.
    field: the field of a record with its text.
    split_names: whether names such as train.txt and valid/ say a split.
  """

  validation_path: str = ''
  test_path: str = ''
  include: str = ''
  field: str = 'text'
  split_names: bool = True


DEFAULTS = FileOptions()


class Placed(NamedTuple):
  """A file, and the split that its name or setting says; empty: none."""

  path: Path
  split: str


def split_of(relative: str) -> str:
  """The split that a path says, such as 'val/book.txt'; empty if none."""
  for name in Path(relative).parts:
    said = {WORDS[word.lower()] for word in _NAME.findall(name)}
    if len(said) == 1:
      return said.pop()
  return ''


def place_files(path: str, options: FileOptions) -> list[Placed]:
  """The files of a corpus, sorted by path, and their splits.

  Raises:
    ConfigError: a path is missing or cannot be read, nothing is chosen, or some
      names say a split and others do not.
  """
  others = {
    'validation': options.validation_path,
    'test': options.test_path,
  }
  outright = any(others.values())
  files = list_files(path, 'path', options.include)
  placed = [Placed(file, 'train' if outright else '') for file in files]
  if options.split_names and not outright and Path(path).expanduser().is_dir():
    placed = _by_name(path, files)
  for split, other in others.items():
    if other:
      field = f'{split}_path'
      files = list_files(other, field, options.include)
      placed += [Placed(file, split) for file in files]
  return placed


def _by_name(path: str, files: list[Path]) -> list[Placed]:
  folder = Path(path).expanduser()
  placed = [
    Placed(f, split_of(f.relative_to(folder).as_posix())) for f in files
  ]
  named = [file for file in placed if file.split]
  unnamed = [file for file in placed if not file.split]
  if not named:
    return placed
  ways = 'choose files by task.include, or set task.split_names=false to cut '
  ways += 'all of them 90/5/5'
  if unnamed:
    one, other = named[0], unnamed[0]
    rule = f'{one.path.relative_to(folder)} says the split {one.split}, but '
    rule += f'{other.path.relative_to(folder)} says none: name all files or '
    rule += f'folders train, valid or test, {ways}'
    raise ConfigError('path', path, rule)
  rule = f'{named[0].path.relative_to(folder)} says the split '
  rule += f'{named[0].split}, but no name says train: {ways}'
  require(any(f.split == 'train' for f in named), 'path', path, rule)
  return placed


def list_files(path: str, field: str, include: str = '') -> list[Path]:
  """A file, or the files of a folder and its subfolders, sorted by path.

  Hidden files and folders, empty files and links to folders are left out. Of a
  folder of the `datasets` library only its data files are read.

  Raises:
    ConfigError: the path is missing or cannot be read, or no file is left.
  """
  place = Path(path).expanduser()
  try:
    require(place.exists(), field, path, 'does not exist')
    files = sorted(_walk(place)) if place.is_dir() else [place]
    files = [file for file in files if file.stat().st_size]
  except OSError as error:
    raise unreadable(place, error) from None
  require(bool(files), field, path, 'is empty; it must contain text')
  if include and place.is_dir():
    patterns = [pattern.strip() for pattern in include.split(',')]
    files = [f for f in files if _matches(f.relative_to(place), patterns)]
    require(bool(files), 'include', include, f'no file of {path} matches')
  return files


def _matches(relative: Path, patterns: Iterable[str]) -> bool:
  """Whether the name, or for patterns with a slash the path, matches one."""
  return any(
    fnmatch.fnmatch(relative.as_posix() if '/' in p else relative.name, p)
    for p in patterns
  )


def _walk(folder: Path) -> Iterator[Path]:
  def refuse(error: OSError) -> None:
    raise error

  for parent, folders, names in os.walk(folder, onerror=refuse):
    folders[:] = [f for f in folders if f[0] != '.']
    shown = [name for name in names if name[0] != '.']
    paths = [Path(parent, name) for name in _data_files(Path(parent), shown)]
    yield from (path for path in paths if path.is_file())


def _data_files(folder: Path, names: list[str]) -> list[str]:
  """The names that hold data, in a folder of the `datasets` library."""
  if 'dataset_dict.json' in names:
    names = [name for name in names if name != 'dataset_dict.json']
  if 'state.json' not in names or not any(n.endswith('.arrow') for n in names):
    return names
  state = folder / 'state.json'
  try:
    record = json.loads(state.read_text(encoding='utf-8'))
    chosen = [entry['filename'] for entry in record['_data_files']]
  except (ValueError, KeyError, TypeError):
    rule = 'is not a state.json of the datasets library: _data_files is missing'
    raise ConfigError('path', str(state), rule) from None
  rule = 'selects rows by indices: call flatten_indices() and save it again'
  mapped = record.get('_indices_files') or record.get('_indices_data_files')
  require(not mapped, 'path', str(folder), rule)
  return chosen


def unreadable(path: Path, error: OSError) -> ConfigError:
  """The error of a file or folder that cannot be read."""
  name = str(error.filename or path)
  return ConfigError('path', name, f'cannot be read: {error.strerror}')
