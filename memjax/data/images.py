"""Images of the ten digits from three sources, each with fixed splits.

generated: 2000 images of 8 x 8 pixels, brightness 0 to 16, drawn by this
  module: a glyph of 3 x 5 pixels at a random position, with ink of 8 to 16 on a
  background of 0 to 4. They are easy and need no file. They are not a sample of
  any other data set.
digits: scikit-learn's 1797 images of 8 x 8 pixels, brightness 0 to 16; the
  test part of UCI's hand-written digits.
mnist: the four idx files of MNIST, 28 x 28 pixels, brightness 0 to 255.

Splits: `generated` and `digits` are shuffled in a fixed order and cut at 80 and
90 %. For MNIST, test is the t10k files, validation is the last 5000 images of
the train files, and train is the rest.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memjax.data.idx import find_idx, read_idx
from memjax.data.order import shuffled
from memjax.errors import ConfigError, require

CLASSES = 10
SOURCES = ('generated', 'digits', 'mnist')
ORDER = 0  # seeds the shuffle of `generated` and `digits`
VALIDATION_IMAGES = 5000  # the last of MNIST's train files
GENERATED_IMAGES = 2000
_GLYPHS = (  # rows from top to bottom, three bits each
  (7, 5, 5, 5, 7),
  (2, 6, 2, 2, 7),
  (7, 1, 7, 4, 7),
  (7, 1, 7, 1, 7),
  (5, 5, 7, 1, 1),
  (7, 4, 7, 1, 7),
  (7, 4, 7, 5, 7),
  (7, 1, 1, 2, 2),
  (7, 5, 7, 5, 7),
  (7, 5, 7, 1, 7),
)


class Images(NamedTuple):
  """N images.

  Attributes:
    pixels_NT: uint8 pixels, row by row.
    labels_N: int32 digits.
    white: the highest possible brightness of a pixel.
  """

  pixels_NT: np.ndarray
  labels_N: np.ndarray
  white: int


@functools.cache
def open_images(source: str, path: str, split: str) -> Images:
  """The images of a split; equal arguments return the same object.

  Raises:
    ConfigError: scikit-learn or a file is missing, or a file is malformed.
  """
  if source == 'mnist':
    return _read_mnist(Path(path).expanduser(), split)
  pixels, labels = _generate() if source == 'generated' else _load_digits()
  cuts = {'train': (0, 8), 'validation': (8, 9), 'test': (9, 10)}
  first, last = (len(labels) * tenth // 10 for tenth in cuts[split])
  order = shuffled(len(labels), ORDER)[first:last]
  return Images(pixels[order], labels[order], 16)


def _read_mnist(folder: Path, split: str) -> Images:
  prefix = 't10k' if split == 'test' else 'train'
  pixels_path = find_idx(folder, f'{prefix}-images-idx3-ubyte')
  labels_path = find_idx(folder, f'{prefix}-labels-idx1-ubyte')
  pixels, labels = read_idx(pixels_path, 3), read_idx(labels_path, 1)
  rule = f'has {len(labels)} labels for {len(pixels)} images'
  require(len(labels) == len(pixels), 'path', str(labels_path), rule)
  rule = f'has label {labels.max(initial=0)}, must be below {CLASSES}'
  require(labels.max(initial=0) < CLASSES, 'path', str(labels_path), rule)
  least = 1 if split == 'test' else VALIDATION_IMAGES + 1
  rule = f'has {len(pixels)} images, must be at least {least}'
  require(len(pixels) >= least, 'path', str(pixels_path), rule)
  part = {
    'train': slice(None, -VALIDATION_IMAGES),
    'validation': slice(-VALIDATION_IMAGES, None),
    'test': slice(None),
  }[split]
  flat = pixels.reshape(len(pixels), -1)[part]
  return Images(flat, labels[part].astype(np.int32), 255)


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
  try:
    from sklearn.datasets import load_digits
  except ImportError:
    rule = 'needs scikit-learn: pip install scikit-learn'
    raise ConfigError('source', 'digits', rule) from None
  digits = load_digits()
  return digits.data.astype(np.uint8), digits.target.astype(np.int32)


def _generate() -> tuple[np.ndarray, np.ndarray]:
  bits_GHW = (np.array(_GLYPHS)[..., None] >> np.array([2, 1, 0])) & 1
  raw = np.random.PCG64(ORDER).random_raw((GENERATED_IMAGES, 8 * 8 + 2))
  noise_NHW = (raw[:, 2:] % 9).reshape(GENERATED_IMAGES, 8, 8)
  down_N, right_N = raw[:, 0] % 4, raw[:, 1] % 6
  pixels_NHW = (noise_NHW // 2).astype(np.uint8)
  labels_N = np.arange(GENERATED_IMAGES, dtype=np.int32) % CLASSES
  for n in range(GENERATED_IMAGES):
    box = np.s_[n, down_N[n] : down_N[n] + 5, right_N[n] : right_N[n] + 3]
    ink = noise_NHW[box] + 8
    pixels_NHW[box] = np.where(bits_GHW[labels_N[n]], ink, pixels_NHW[box])
  return pixels_NHW.reshape(GENERATED_IMAGES, -1), labels_N
