"""Pairs of texts, a source and its target, and the split of each.

A record of a user's files is a pair: two of its fields, or two columns of a
file without a header. In a .conll file a sentence is a pair: its words and
their tags. The text of lists is their items, separated by spaces.

File and folder names say the split, as in splits.py, or a record's field
`split`. Without either, the source's SHA-256 says it: 90 % train, 5 %
validation, 5 % test. So equal sources are never in two splits, and a longer
file moves no pair to another split.
"""

import ast
from collections.abc import Iterator, Mapping
import functools
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

from memjax.data.compression import open_unpacked
from memjax.data.formats import read_records
from memjax.data.known import known, known_digest
from memjax.data.local_sources import standard_library
from memjax.data.splits import FileOptions, Placed, place_files
from memjax.data.tables import SPLIT_FIELD
from memjax.errors import ConfigError, require

DOCSTRINGS, FILES = 'docstrings', 'files'
CONLL = ('.conll', '.conllu', '.iob', '.iob2', '.bio')
DOCUMENTED = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
PARTS = 20  # of all sources; one is validation, one is test


class Pair(NamedTuple):
  """What is read, and what is answered."""

  source: str
  target: str


PairsBySplit = Mapping[str, tuple[Pair, ...]]  # {split: its pairs, in order}


def open_pairs(
  corpus: str, path: str, options: FileOptions, source: str, target: str
) -> PairsBySplit:
  """The pairs of a corpus by split; files that have changed are read anew.

  Args:
    corpus: 'docstrings', docstrings of Python's own library on this machine:
      what follows the first line, then the first line; or 'files'.
    path: the file or folder of 'files'.
    options: which files are read, and what says their split.
    source: the field of the source; a number is a column, from 1.
    target: the same of the target.

  Raises:
    ConfigError: a file cannot be read or has no such field, or there are no
      pairs.
  """
  if corpus == DOCSTRINGS:
    return _docstrings()
  placed = tuple(place_files(path, options))
  digests = tuple(known_digest(file.path) for file in placed)
  return _from_files(placed, digests, source, target)


@functools.lru_cache(4)
def _from_files(
  placed: tuple[Placed, ...],
  digests: tuple[str, ...],
  source: str,
  target: str,
) -> PairsBySplit:
  del digests  # changed files are other arguments
  pairs: dict[str, list[Pair]] = {}
  for path, split in placed:
    for pair, said in _read(path, source, target):
      name = split or said or split_of_source(pair.source)
      pairs.setdefault(name, []).append(pair)
  rule = f'has no record with both {source!r} and {target!r}'
  require(bool(pairs), 'path', str(placed[0].path), rule)
  return {split: tuple(found) for split, found in pairs.items()}


def split_of_source(source: str) -> str:
  """The split that a source belongs to if nothing else says it."""
  digest = hashlib.sha256(source.encode(errors='replace')).digest()
  part = int.from_bytes(digest[:8], 'big') % PARTS
  return {0: 'validation', 1: 'test'}.get(part, 'train')


def _read(path: Path, source: str, target: str) -> Iterator[tuple[Pair, str]]:
  """The pairs of a file that have both texts, and the split that each says."""
  if {s.lower() for s in path.suffixes} & {*CONLL}:
    yield from ((pair, '') for pair in _sentences(path, source, target))
    return
  header = not (source.isdigit() and target.isdigit())
  for number, record in enumerate(read_records(path, header), 1):
    for field, name in (('source', source), ('target', target)):
      known = ', '.join(map(str, record))
      rule = f'record {number} of {path.name} has no such field, but {known}'
      require(name in record, field, name, rule)
    pair = Pair(*(_text(record[name]) for name in (source, target)))
    if all(pair):
      said = record.get(SPLIT_FIELD)
      yield pair, said if isinstance(said, str) else ''


def _text(value: Any) -> str:
  """A field's text: that of a list has a space between items."""
  if isinstance(value, list | tuple):
    return ' '.join(map(_text, value))
  return '' if value is None else str(value).strip()


def _sentences(path: Path, source: str, target: str) -> Iterator[Pair]:
  """Columns of words and tags; an empty line ends a sentence.

  Lines that begin with '#' or -DOCSTART- are left out, and the lines of CoNLL-U
  for several words, 3-4, or for none, 3.1.
  """
  rule = 'must be the number of a column, from 1, in a CoNLL file'
  for field, name in (('source', source), ('target', target)):
    require(name.isdigit() and name != '0', field, name, rule)
  columns = int(source) - 1, int(target) - 1
  with open_unpacked(path) as file:
    words: list[list[str]] = []
    for number, line in enumerate(file, 1):
      try:
        fields = line.decode().split()
      except UnicodeDecodeError as error:
        rule = f'line {number} is not UTF-8: {error.reason}'
        raise ConfigError('path', str(path), rule) from None
      if fields and (line.startswith(b'#') or fields[0] == '-DOCSTART-'):
        continue
      if fields and '.conllu' in path.name and not fields[0].isdigit():
        continue
      if fields:
        rule = f'line {number} of {path.name} has {len(fields)} columns'
        require(max(columns) < len(fields), 'target', target, rule)
        words.append([fields[column] for column in columns])
      elif words:
        yield Pair(*map(' '.join, zip(*words, strict=True)))
        words = []
    if words:
      yield Pair(*map(' '.join, zip(*words, strict=True)))


@functools.cache
def _docstrings() -> PairsBySplit:
  """The docstrings of Python's library that go on after their first line."""
  pairs: dict[str, dict[Pair, None]] = {}
  for file in standard_library().files:
    find = functools.partial(_docstrings_of, file.path)
    for rest, first in json.loads(known(file.path, 'docstrings', find)):
      split = split_of_source(rest)
      pairs.setdefault(split, {})[Pair(rest, first)] = None
  return {split: tuple(found) for split, found in pairs.items()}


def _docstrings_of(path: Path) -> bytes:
  """JSON, `[[text after the first line, first line], ...]` of a module."""
  pairs = []
  try:
    tree = ast.parse(path.read_bytes())
  except (SyntaxError, ValueError):  # an example of one, in lib2to3
    return b'[]'
  for node in ast.walk(tree):
    if isinstance(node, DOCUMENTED):
      first, _, rest = (ast.get_docstring(node) or '').partition('\n\n')
      if first and rest.strip():
        pairs.append([inspect.cleandoc(rest).strip(), ' '.join(first.split())])
  return json.dumps(pairs).encode()
