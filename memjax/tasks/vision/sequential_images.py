"""Digits: see a picture pixel by pixel, and say at the end which digit it is.

Paper: Le et al. 2015, https://arxiv.org/abs/1504.00941, sequential and permuted
MNIST; the order of bit reversal as in Gu et al. 2022 (S4),
https://arxiv.org/abs/2111.00396.
Specification: a row is a picture, a pixel a step, its brightness in [0, 1]. In
the order `rows` they come row by row. In the order `bit_reversal` they come by
their number there, its binary digits read backwards: of numbers of as few
digits as hold all pixels (10 for 784), reversed those of 0, 1, 2, ..., the ones
that are no pixel left out. Where the pictures come from and how they are cut
into splits is told in `data/images.py`. The rows of train are shuffled anew in
each epoch by seed and stream; the others keep their order. The last step of an
epoch is filled up with rows that weigh nothing.
Labels: the digit, at the last pixel, every picture of the split once an epoch.
Metrics: `loss`, nats per picture, and `accuracy`; chance is 1 in 10. There is
no extent: every label asks for all of its row.
Deviations: published runs hold out 10 % of MNIST's train files at random, or
nothing; here validation is their last 5000, so that it is the same everywhere.
Brightness is not normalised to mean 0 and variance 1, as some do.
"""

import dataclasses
import hashlib
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from memjax.data.images import CLASSES, SOURCES, Images, open_images
from memjax.data.order import rows_of_step
from memjax.data.sources import SPLITS
from memjax.errors import nearest, require
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Features, HostBatch, Tokens

ORDERS = ('rows', 'bit_reversal')


class Pictures(NamedTuple):
  """What the host hands the device: bytes, a quarter of the batch's size."""

  pixels_BT: np.ndarray
  labels_B: np.ndarray
  there_B: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(Task):
  """Pictures of digits.

  Attributes:
    source: 'generated', easy ones drawn here; 'digits', scikit-learn's, 8 x 8
      pixels; or 'mnist', 28 x 28.
    path: the folder of MNIST's idx files, packed by gzip or not; else empty.
    order: of the pixels, 'rows' or 'bit_reversal'.
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
    row_B, there_B = rows_of_step(
      len(labels_N), stream.batch_size, step, row_ids, seed
    )
    pixels_BT = pixels_NT[row_B]
    if self.order == 'bit_reversal':
      pixels_BT = pixels_BT[:, bit_reversal(self.length)]
    return Pictures(pixels_BT, np.where(there_B, labels_N[row_B], 0), there_B)

  def batch(self, host_batch: HostBatch) -> Batch:
    pixels_BT, labels_B, there_B = map(jnp.asarray, host_batch)
    white = self._images.white
    inputs = pixels_BT.astype(jnp.float32)[..., None] / white
    nothing_BT = jnp.zeros(pixels_BT.shape, jnp.float32)
    return Batch(
      jnp.where(there_B[:, None, None], inputs, 0.0),
      nothing_BT.astype(jnp.int32).at[:, -1].set(labels_B),
      nothing_BT.at[:, -1].set(there_B.astype(jnp.float32)),
      nothing_BT.astype(bool).at[:, 0].set(True),
    )

  @property
  def _images(self) -> Images:
    return open_images(self.source, self.path, self.split)


def bit_reversal(count: int) -> np.ndarray:
  """The numbers below `count` in the order of bit reversal."""
  digits = (count - 1).bit_length()
  number = np.arange(1 << digits)
  reversed_ = np.zeros_like(number)
  for digit in range(digits):
    reversed_ |= ((number >> digit) & 1) << (digits - 1 - digit)
  return reversed_[reversed_ < count]
