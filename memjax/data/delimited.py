"""Records of CSV and TSV files, in UTF-8 with or without a byte order mark."""

from collections.abc import Iterator
import contextlib
import csv
from pathlib import Path
import sys
from typing import Any, BinaryIO

from memjax.errors import ConfigError

BOM = b'\xef\xbb\xbf'


def csv_records(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
  """The records of a file whose first line names its columns.

  Raises:
    ConfigError: the file is not CSV in UTF-8.
  """
  with _csv_errors(path):
    for record in csv.DictReader(
      _csv_lines(file), delimiter=_delimiter(path), strict=True
    ):
      yield {name: value for name, value in record.items() if name is not None}


def numbered_records(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
  """Rows without a header. In .tsv a quotation mark is an ordinary sign."""
  lines, tabs = _csv_lines(file), _delimiter(path) == '\t'
  split = (line.rstrip('\r\n').split('\t') for line in lines)
  with _csv_errors(path):
    for row in split if tabs else csv.reader(lines, strict=True):
      yield {str(number): value for number, value in enumerate(row, 1)}


def _csv_lines(file: BinaryIO) -> Iterator[str]:
  csv.field_size_limit(sys.maxsize)
  return (line.decode() for line in lines_without_mark(file))


def _delimiter(path: Path) -> str:
  return '\t' if '.tsv' in [s.lower() for s in path.suffixes] else ','


@contextlib.contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
  try:
    yield
  except (csv.Error, UnicodeDecodeError) as error:
    rule = f'cannot be read as CSV in UTF-8: {error}'
    raise ConfigError('path', str(path), rule) from None


def lines_without_mark(file: BinaryIO) -> Iterator[bytes]:
  """The lines of a file, without a byte order mark."""
  for number, line in enumerate(file):
    yield line if number else line.removeprefix(BOM)
