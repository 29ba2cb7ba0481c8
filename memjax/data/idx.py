"""idx files, the format of MNIST: an array of unsigned bytes of any rank.

A file begins with four bytes of magic: 0, 0, the type (8, unsigned bytes) and
the rank. Each size follows in four bytes, most significant byte first. The
array's bytes come last.
http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
from pathlib import Path
import zlib

import numpy as np

from memjax.errors import ConfigError, require

BYTES = 8  # the only type in MNIST's files


def find_idx(folder: Path, name: str) -> Path:
  """The path of `name` or `name.gz` in a folder.

  Raises:
    ConfigError: neither file exists.
  """
  for path in (folder / name, folder / f'{name}.gz'):
    if path.is_file():
      return path
  rule = f'contains neither {name} nor {name}.gz'
  raise ConfigError('path', str(folder), rule)


def read_idx(path: Path, rank: int) -> np.ndarray:
  """The uint8 array of an idx file, plain or compressed by gzip.

  Raises:
    ConfigError: the file cannot be read, or is not an idx file of bytes of
      this rank, or is shorter or longer than its sizes say.
  """
  try:
    content = path.read_bytes()
    if path.suffix == '.gz':
      content = gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    reason = getattr(error, 'strerror', None) or str(error)
    rule = f'cannot be read: {reason}'
    raise ConfigError('path', str(path), rule) from None
  magic, expected = content[:4], bytes([0, 0, BYTES, rank])
  rule = f"begins with bytes '{magic.hex()}'; an idx file of bytes of rank "
  rule += f"{rank} begins with '{expected.hex()}'"
  require(magic == expected, 'path', str(path), rule)
  start = 4 + 4 * rank
  sizes = [
    int.from_bytes(content[at : at + 4], 'big') for at in range(4, start, 4)
  ]
  expected_size = start + math.prod(sizes)
  rule = f'has {len(content)} bytes; an array of '
  rule += f'{" x ".join(map(str, sizes))} needs {expected_size}'
  require(len(content) == expected_size, 'path', str(path), rule)
  return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
