"""The documents of a file: text, JSON lines, CSV, parquet or arrow.

The name says the format, after the ending of a compression. Compression is
known by its first bytes. A file of text is one document; in the other formats
each record is one, the text in one of its fields. What is not text is refused.
"""

from collections.abc import Callable, Iterator, Mapping
import io
import json
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from memjax.data.compression import COMPRESSED, HEAD, open_unpacked
from memjax.data.delimited import (
  BOM,
  csv_records,
  lines_without_mark,
  numbered_records,
)
from memjax.data.tables import SPLIT_FIELD, TABLES
from memjax.errors import ConfigError, require

PIECE = 1 << 20  # bytes of a part
NOT_TEXT = {  # {first bytes: what the file is}
  b'\xff\xfe': 'UTF-16 text: save it as UTF-8',
  b'\xfe\xff': 'UTF-16 text: save it as UTF-8',
  b'\x89PNG': 'a PNG image',
  b'\xff\xd8\xff': 'a JPEG image',
  b'GIF8': 'a GIF image',
  b'%PDF-': 'a PDF document',
  b'PK\x03\x04': 'a zip archive: unpack it',
  b'7z\xbc\xaf': 'a 7z archive: unpack it',
  b'Rar!': 'a rar archive: unpack it',
  b'\x7fELF': 'a program',
  b'\x80\x02': 'a pickle',
  b'\x80\x03': 'a pickle',
  b'\x80\x04': 'a pickle',
  b'\x80\x05': 'a pickle',
  b'SQLite format 3': 'an SQLite database',
  b'PAR1': 'parquet: its name must end in .parquet',
  b'ARROW1': 'arrow: its name must end in .arrow',
  b'\x93NUMPY': "an array: tokens='ids' reads .npy and .bin",
  b'\x89HDF': 'an HDF5 file',
}
READ = 'text (also .gz .bz2 .xz .zst), .jsonl, .csv, .tsv, .parquet and .arrow'


class Part(NamedTuple):
  """A part of a document's text, at most PIECE bytes where it is not a record.

  Attributes:
    document: its number in the file.
    offset: of the first byte, in the document.
    text: the bytes; no UTF-8 character is cut.
    split: what the record's field `split` says, else empty.
  """

  document: int
  offset: int
  text: bytes
  split: str = ''


def read_parts(path: Path, field: str, skip: int = 0) -> Iterator[Part]:
  """The text of a file, in order; empty documents are left out.

  Args:
    path: the file.
    field: the field of a record with the text.
    skip: bytes of a document that may be left out at the start of a text file.

  Raises:
    ConfigError: the file cannot be read or unpacked, or is not text, or a
      record has no such field.
  """
  name = path.stem if path.suffix.lower() in COMPRESSED else path.name
  suffix = Path(name).suffix.lower()
  rule = "is not read as text: tokens='ids' reads .npy and .bin"
  require(suffix not in ('.npy', '.bin', '.npz'), 'path', str(path), rule)
  if suffix in TABLES:
    yield from _texts(TABLES[suffix](path, field), path, field)
    return
  with open_unpacked(path) as file:
    records = RECORDS.get(suffix)
    if suffix == '.json' and _is_json_lines(file, field):
      records = _json_records
    if records is None:
      yield from _plain(file, path, skip)
    else:
      yield from _texts(records(file, path), path, field)


def read_records(
  path: Path, header: bool = True
) -> Iterator[Mapping[str, Any]]:
  """The records of a file, in order.

  Args:
    path: JSON lines, CSV, TSV, parquet or arrow, perhaps compressed.
    header: whether a CSV or TSV file begins with its columns' names; else
      these are their numbers, '1', '2', ...

  Raises:
    ConfigError: the file cannot be read or unpacked, or has no records.
  """
  name = path.stem if path.suffix.lower() in COMPRESSED else path.name
  suffix = Path(name).suffix.lower()
  rule = f'has no records; memjax reads {", ".join((*RECORDS, *TABLES))}'
  require(suffix in (*RECORDS, *TABLES), 'path', str(path), rule)
  if suffix in TABLES:
    yield from TABLES[suffix](path, '')
    return
  read = RECORDS[suffix]
  if read is csv_records and not header:
    read = numbered_records
  with open_unpacked(path) as file:
    yield from read(file, path)


def _plain(file: Any, path: Path, skip: int) -> Iterator[Part]:
  """A file of text, as one document."""
  head = file.peek(HEAD)[:HEAD]
  for magic, kind in NOT_TEXT.items():
    require(not head.startswith(magic), 'path', str(path), _not_text(kind))
  is_tar = head[257:262] == b'ustar'
  require(not is_tar, 'path', str(path), _not_text('a tar archive: unpack it'))
  if head.startswith(BOM):
    file.read(len(BOM))
  offset, rest = 0, b''
  if skip and file.raw_seekable:
    file.seek(skip, io.SEEK_CUR)
    offset = skip
  while block := file.read(PIECE + 1 - len(rest)):
    text = rest + block
    nul = text.find(b'\0')
    where = f'has a NUL byte at byte {offset + nul}'
    require(nul < 0, 'path', str(path), f'{where}; memjax reads {READ}')
    end = len(text)
    if end > PIECE:
      end = character_start(text, PIECE)
    yield Part(0, offset, text[:end])
    offset += end
    rest = text[end:]
  if rest:
    yield Part(0, offset, rest)


def _not_text(kind: str) -> str:
  return f'is {kind}; memjax reads {READ}'


def character_start(text: bytes, at: int) -> int:
  """The start of the last UTF-8 character that begins at `at` or before.

  It searches at most 3 bytes back. If it finds no start, the text is not
  UTF-8, and it returns `at`.
  """
  for start in range(at, max(at - 4, -1), -1):
    if text[start] & 0xC0 != 0x80:
      return start
  return at


def _texts(
  records: Iterator[Mapping[str, Any]], path: Path, field: str
) -> Iterator[Part]:
  """The text of each record that has one."""
  document = 0
  for number, record in enumerate(records, 1):
    if field not in record:
      known = ', '.join(map(str, record))
      rule = f'record {number} has no field {field!r}, but {known}: '
      raise ConfigError('path', str(path), f'{rule}task.field names the text')
    text = record[field]
    rule = f'record {number}: the field {field!r} is not text but {text!r:.40}'
    require(text is None or isinstance(text, str), 'path', str(path), rule)
    if text:
      split = record.get(SPLIT_FIELD)
      encoded = text.encode(errors='replace')
      yield Part(document, 0, encoded, split if isinstance(split, str) else '')
      document += 1


def _json_records(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
  for number, line in enumerate(lines_without_mark(file), 1):
    if not line.strip():
      continue
    try:
      record = json.loads(line)
    except ValueError as error:
      rule = f'line {number} is not JSON: {error}'
      raise ConfigError('path', str(path), rule) from None
    rule = f'line {number} is not an object with fields'
    require(isinstance(record, dict), 'path', str(path), rule)
    yield record


def _is_json_lines(file: Any, field: str) -> bool:
  """Whether the first line is a whole record with the field."""
  head = file.peek(HEAD)[:HEAD].removeprefix(BOM)
  line, newline, _ = head.partition(b'\n')
  if not newline and len(head) >= HEAD:
    return line.startswith(b'{') and f'"{field}"'.encode() in line
  try:
    record = json.loads(line)
  except ValueError:
    return False
  return isinstance(record, dict) and field in record


RECORDS: dict[str, Callable[[BinaryIO, Path], Iterator[Mapping[str, Any]]]] = {
  '.jsonl': _json_records,
  '.ndjson': _json_records,
  '.csv': csv_records,
  '.tsv': csv_records,
}
