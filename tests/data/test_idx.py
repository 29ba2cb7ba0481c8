"""idx files are read exactly, and a damaged file is refused."""

import gzip
import os
from pathlib import Path
import struct

import numpy as np
import pytest

from memjax.data.idx import find_idx, read_idx
from memjax.errors import ConfigError

REAL = Path(os.environ.get('MEMJAX_DATA', 'nowhere')) / 'mnist'
real = pytest.mark.skipif(
  not REAL.is_dir(), reason='MEMJAX_DATA names no folder with mnist/'
)


def packed(array: np.ndarray) -> bytes:
  """The content of an idx file, encoded independently of the reader."""
  sizes = struct.pack(f'>{array.ndim}I', *array.shape)
  return struct.pack('>HBB', 0, 8, array.ndim) + sizes + array.tobytes()


@pytest.mark.parametrize('shape', [(5,), (3, 2, 4), (0, 2, 2), (300, 1, 1)])
@pytest.mark.parametrize('name', ['images', 'images.gz'])
def test_an_array_is_read_back(
  tmp_path: Path, shape: tuple[int, ...], name: str
) -> None:
  array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  content = packed(array)
  path = tmp_path / name
  path.write_bytes(gzip.compress(content) if '.gz' in name else content)
  assert find_idx(tmp_path, 'images') == path
  result = read_idx(path, len(shape))
  assert result.dtype == np.uint8
  np.testing.assert_array_equal(result, array)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
  with pytest.raises(ConfigError) as error:
    find_idx(tmp_path, 'images')
  assert str(error.value) == (
    f'path: {str(tmp_path)!r}: contains neither images nor images.gz'
  )


WHOLE = packed(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
BROKEN = {
  'short': (WHOLE[:-1], 'has 39 bytes; an array of 2 x 3 x 4 needs 40'),
  'long': (WHOLE + b'x', 'has 41 bytes; an array of 2 x 3 x 4 needs 40'),
  'head': (WHOLE[:9], 'has 9 bytes'),
  'empty': (b'', "begins with bytes ''; an idx file of bytes of rank 3"),
  'labels': (packed(np.zeros(7, np.uint8)), "begins with bytes '00000801'"),
  'floats': (b'\0\0\x0d\3' + WHOLE[4:], "begins with bytes '00000d03'"),
  'counts': (
    WHOLE[:4] + b'\xff' * 12 + WHOLE[16:],
    f'needs {16 + (2**32 - 1) ** 3}',
  ),
}


@pytest.mark.parametrize('fault', BROKEN)
def test_a_broken_file_is_one_line(tmp_path: Path, fault: str) -> None:
  content, rule = BROKEN[fault]
  path = tmp_path / 'images'
  path.write_bytes(content)
  with pytest.raises(ConfigError) as error:
    read_idx(path, 3)
  message = str(error.value)
  assert message.startswith(f'path: {str(path)!r}: ')
  assert rule in message
  assert '\n' not in message


@pytest.mark.parametrize('cut', [5, 20, -1])
def test_a_broken_archive_is_one_line(tmp_path: Path, cut: int) -> None:
  path = tmp_path / 'images.gz'
  path.write_bytes(gzip.compress(WHOLE)[:cut])
  with pytest.raises(ConfigError, match=r'path: .*cannot be read: '):
    read_idx(path, 3)


def test_a_file_that_is_not_gzip_is_one_line(tmp_path: Path) -> None:
  path = tmp_path / 'images.gz'
  path.write_bytes(WHOLE)
  with pytest.raises(ConfigError, match=r'path: .*cannot be read: Not a gz'):
    read_idx(path, 3)


@real
def test_the_released_files() -> None:
  pixels = read_idx(find_idx(REAL, 't10k-images-idx3-ubyte'), 3)
  labels = read_idx(find_idx(REAL, 't10k-labels-idx1-ubyte'), 1)
  assert pixels.shape == (10_000, 28, 28)
  assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
  counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
  assert np.bincount(labels).tolist() == counts
