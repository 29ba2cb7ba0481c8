"""Pairs in files: two fields of each record, or two columns of a CoNLL file."""

from collections.abc import Iterator
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from memjax.data.compression import open_unpacked
from memjax.data.formats import read_records
from memjax.data.tables import SPLIT_FIELD
from memjax.errors import ConfigError, require

CONLL = ('.conll', '.conllu', '.iob', '.iob2', '.bio')
PARTS = 20  # of all sources; one is validation, one is test


class Pair(NamedTuple):
  """What is read, and what is answered."""

  source: str
  target: str


def split_of_source(source: str) -> str:
  """The split that a source belongs to if nothing else says it."""
  digest = hashlib.sha256(source.encode(errors='replace')).digest()
  part = int.from_bytes(digest[:8], 'big') % PARTS
  return {0: 'validation', 1: 'test'}.get(part, 'train')


def read_pairs(
  path: Path, source: str, target: str
) -> Iterator[tuple[Pair, str]]:
  """The pairs of a file that have both texts, and the split that each says."""
  if {s.lower() for s in path.suffixes} & {*CONLL}:
    yield from ((pair, '') for pair in read_sentences(path, source, target))
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


def read_sentences(path: Path, source: str, target: str) -> Iterator[Pair]:
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
