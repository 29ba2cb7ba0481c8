"""Files that gzip, bzip2, xz or zstd packed, read as they were before."""

import bz2
from collections.abc import Iterator
import contextlib
import gzip
import io
import lzma
from pathlib import Path
from typing import Any
import zlib

from memjax.errors import ConfigError

HEAD = 1 << 16  # bytes that may be looked at before they are read
COMPRESSED = ('.gz', '.bz2', '.xz', '.zst', '.zstd')
GZIP, BZIP2, XZ, ZSTD = (
  b'\x1f\x8b',
  b'BZh',
  b'\xfd7zXZ\x00',
  b'\x28\xb5\x2f\xfd',
)


class Unpacked(io.BufferedReader):
  """The unpacked bytes.

  Attributes:
    raw_seekable: whether bytes can be skipped without reading them.
  """

  raw_seekable = False


@contextlib.contextmanager
def open_unpacked(path: Path) -> Iterator[Unpacked]:
  """Opens a file, unpacked if its first bytes are those of a compression.

  Raises:
    ConfigError: the file cannot be read, or is damaged, now or while it is
      read inside the `with` block.
  """
  try:
    with path.open('rb', buffering=0) as raw:
      head = raw.read(len(XZ))
      raw.seek(0)
      packed = _unpack(raw, head, path)
      with Unpacked(packed or raw, HEAD) as file:
        file.raw_seekable = packed is None
        yield file
  except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
    raise ConfigError(
      'path', str(path), f'cannot be unpacked: {error}'
    ) from None
  except OSError as error:
    rule = f'cannot be read: {error.strerror or error}'
    name = str(error.filename or path)
    raise ConfigError('path', name, rule) from None


def _unpack(raw: Any, head: bytes, path: Path) -> Any:
  if head.startswith(GZIP):
    return gzip.GzipFile(fileobj=raw)
  if head.startswith(BZIP2):
    return bz2.BZ2File(raw)
  if head.startswith(XZ):
    return lzma.LZMAFile(raw)
  if head.startswith(ZSTD):
    try:
      import pyarrow
    except ImportError:
      rule = "needs pyarrow: pip install 'memjax[data]'"
      raise ConfigError('path', str(path), rule) from None
    return pyarrow.input_stream(raw, compression='zstd')
  return None
