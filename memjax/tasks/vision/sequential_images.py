"""Digits: read an image pixel by pixel and classify its digit at the end.

Paper: Le et al. 2015, https://arxiv.org/abs/1504.00941, sequential and permuted
MNIST; the order of bit reversal as in Gu et al. 2022 (S4),
https://arxiv.org/abs/2111.00396.
Specification: a row is an image, one pixel per step, with brightness in [0, 1].
The order `rows` is row by row. The order `bit_reversal` permutes it: the binary
digits of 0, 1, 2, ..., with the fewest digits that number all pixels (10 for
784), are reversed, and numbers that are not a pixel are skipped.
`data/images.py` describes the sources of the images and the splits. The rows of
train are shuffled in each epoch by seed and stream; the other splits keep their
order. The last step of an epoch is padded with rows of weight 0.
Labels: the digit, at the last pixel; every image of the split once per epoch.
Metrics: `loss`, nats per image, and `accuracy`; chance is 1/10. There is no
score axis: every label depends on its whole row.
Deviations: published runs hold out a random 10 % of MNIST's train files, or
nothing; here validation is their last 5000, so that it is the same everywhere.
Brightness is not normalised to mean 0 and variance 1, as in some papers.
"""

import dataclasses
import hashlib
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from memjax.data.images import CLASSES, SOURCES, Images, open_images
from memjax.data.order import rows_of_step
from memjax.data.splits import SPLITS
from memjax.errors import nearest, require
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Features, HostBatch, Tokens

ORDERS = ('rows', 'bit_reversal')


class HostImages(NamedTuple):
  """Images as bytes, a quarter of the size of the batch."""

  pixels_BT: np.ndarray
  labels_B: np.ndarray
  real_B: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(Task):
  """Images of digits.

  Attributes:
    source: 'generated', easy images drawn by memjax; 'digits', scikit-learn's
      with 8 x 8 pixels; or 'mnist', 28 x 28 pixels.
    path: folder of MNIST's idx files, with or without gzip; else empty.
    order: order of the pixels, 'rows' or 'bit_reversal'.
    split: 'train', 'validation' or 'test'.
  """

  source: str = 'digits'
  path: str = ''
  order: str = 'rows'
  split: str = 'train'
  measures_positions = True

  def __post_init__(self) -> None:
    for field, known in (
      ('source', SOURCES),
      ('order', ORDERS),
      ('split', SPLITS),
    ):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    mnist = self.source == 'mnist'
    rule = 'must be given' if mnist else "belongs to source='mnist' only"
    require(bool(self.path) == mnist, 'path', self.path, rule)

  def prepare(self) -> None:
    open_images(self.source, self.path, self.split)

  @property
  def input_spec(self) -> Features:
    return Features(1)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(CLASSES)

  @property
  def length(self) -> int:
    return self._images.pixels_NT.shape[1]

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(CLASSES)},
      'accuracy': {'chance': 1 / CLASSES},
    }

  def fingerprint(self) -> str:
    seen = hashlib.sha256(self._images.pixels_NT.tobytes())
    seen.update(self._images.labels_N.tobytes())
    return seen.hexdigest()

  def epoch_steps(self, batch_size: int) -> int:
    return -(-len(self._images.labels_N) // batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    pixels_NT, labels_N, _ = self._images
    seed = (stream.seed, stream.number) if self.split == 'train' else ()
    row_B, real_B = rows_of_step(
      len(labels_N), stream.batch_size, step, row_ids, seed
    )
    pixels_BT = pixels_NT[row_B]
    if self.order == 'bit_reversal':
      pixels_BT = pixels_BT[:, bit_reversal(self.length)]
    return HostImages(pixels_BT, np.where(real_B, labels_N[row_B], 0), real_B)

  def batch(self, host_batch: HostBatch) -> Batch:
    pixels_BT, labels_B, real_B = map(jnp.asarray, host_batch)
    white = self._images.white
    inputs = pixels_BT.astype(jnp.float32)[..., None] / white
    nothing_BT = jnp.zeros(pixels_BT.shape, jnp.float32)
    return Batch(
      jnp.where(real_B[:, None, None], inputs, 0.0),
      nothing_BT.astype(jnp.int32).at[:, -1].set(labels_B),
      nothing_BT.at[:, -1].set(real_B.astype(jnp.float32)),
      nothing_BT.astype(bool).at[:, 0].set(True),
    )

  @property
  def _images(self) -> Images:
    return open_images(self.source, self.path, self.split)


def bit_reversal(count: int) -> np.ndarray:
  """The numbers below `count` in bit-reversal order."""
  digits = (count - 1).bit_length()
  number = np.arange(1 << digits)
  reversed_ = np.zeros_like(number)
  for digit in range(digits):
    reversed_ |= ((number >> digit) & 1) << (digits - 1 - digit)
  return reversed_[reversed_ < count]
