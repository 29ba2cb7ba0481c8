"""Digits: every image once per epoch, pixels in order, a label at the end."""

from collections import Counter
from collections.abc import Callable, Iterator
import functools
import hashlib
import math
import os
from pathlib import Path
import struct
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.data.images import VALIDATION_IMAGES, open_images
from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.vision.sequential_images import Digits, bit_reversal
from memjax.types import Batch, Features, HostBatch, Tokens

REAL = Path(os.environ.get('MEMJAX_DATA', 'nowhere')) / 'mnist'
real = pytest.mark.skipif(
  not REAL.is_dir(), reason='MEMJAX_DATA names no folder with mnist/'
)
SPLITS = ('train', 'validation', 'test')
GOLDEN = '884acfdc'
TRAIN, TEST = VALIDATION_IMAGES + 7, 12


@pytest.fixture(autouse=True, scope='module')
def _opened_anew() -> Iterator[None]:
  open_images.cache_clear()
  yield
  open_images.cache_clear()


def write_idx(path: Path, array: np.ndarray) -> None:
  head = struct.pack(f'>HBB{array.ndim}I', 0, 8, array.ndim, *array.shape)
  path.write_bytes(head + array.tobytes())


@pytest.fixture(scope='module')
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """Files like MNIST's, of 3 x 2 pixels that tell which picture they are."""
  folder = tmp_path_factory.mktemp('mnist')
  for which, count in (('train', TRAIN), ('t10k', TEST)):
    number = np.arange(count)
    values = np.stack(
      [number // 256, number % 256, *([number * 0 + 255] * 4)], 1
    )
    pixels = values.astype(np.uint8).reshape(count, 3, 2)
    write_idx(folder / f'{which}-images-idx3-ubyte', pixels)
    labels = (number % 10).astype(np.uint8)
    write_idx(folder / f'{which}-labels-idx1-ubyte', labels)
  return folder


@functools.cache
def compiled(task: Digits) -> Callable[[HostBatch], Batch]:
  return jax.jit(task.batch)


def step_of(task: Digits, step: int, batch_size: int, seed: int = 0) -> Batch:
  feed = task.rows(Stream(seed, 0, batch_size), step, np.arange(batch_size))
  return jax.tree.map(np.asarray, compiled(task)(feed))


def numbers(batch: Batch) -> list[int]:
  """Which of the written pictures the rows are."""
  bright = np.rint(batch.inputs[:, :2, 0] * 255).astype(int)
  labelled = batch.loss_weights_BT[:, -1] > 0
  return (bright @ [256, 1])[labelled].tolist()


@pytest.mark.parametrize(
  ('split', 'shown'),
  [
    ('train', range(TRAIN - VALIDATION_IMAGES)),
    ('validation', range(TRAIN - VALIDATION_IMAGES, TRAIN)),
    ('test', range(TEST)),
  ],
)
def test_every_picture_once_an_epoch(
  mnist: Path, split: str, shown: range
) -> None:
  task = Digits(source='mnist', path=str(mnist), split=split)
  size = 5 if len(shown) < 100 else 1999
  steps = task.epoch_steps(size)
  assert steps == math.ceil(len(shown) / size)
  for epoch in (0, 2):
    seen = []
    for step in range(steps):
      batch = step_of(task, epoch * steps + step, size)
      labelled = batch.loss_weights_BT[:, -1] > 0
      here = numbers(batch)
      wanted = np.array(here) % 10
      np.testing.assert_array_equal(batch.targets[labelled, -1], wanted)
      assert not batch.loss_weights_BT[:, :-1].any()
      assert not batch.targets[:, :-1].any()
      assert not batch.inputs[~labelled].any()
      assert batch.reset_BT[:, 0].all()
      assert not batch.reset_BT[:, 1:].any()
      seen += here
    assert sorted(seen) == list(shown)
    assert (seen == list(shown)) == (split != 'train')


def test_only_train_is_shuffled_by_seed_and_epoch(mnist: Path) -> None:
  task = Digits(source='mnist', path=str(mnist))
  orders = {
    tuple(numbers(step_of(task, step, 7, seed)))
    for step in range(4)
    for seed in range(3)
  }
  assert len(orders) > 10
  assert tuple(numbers(step_of(task, 2, 7, 1))) in orders


def test_a_row_does_not_depend_on_the_rows_beside_it(mnist: Path) -> None:
  task = Digits(source='mnist', path=str(mnist))
  whole = task.rows(Stream(3, 1, 4), 5, np.arange(4))
  some = task.rows(Stream(3, 1, 4), 5, np.array([3, 1]))
  for all_rows, few in zip(whole, some, strict=True):
    np.testing.assert_array_equal(all_rows[[3, 1]], few)


def test_a_batch_is_ready_for_a_model(mnist: Path) -> None:
  task = Digits(source='mnist', path=str(mnist), split='test')
  feed = task.rows(Stream(0, 0, 3), 0, np.arange(3))
  assert feed.pixels_BT.dtype == np.uint8
  batch = step_of(task, 0, 3)
  kinds = [(x.shape, x.dtype.name) for x in jax.tree.leaves(batch)]
  assert kinds == [
    ((3, 6, 1), 'float32'),
    ((3, 6), 'int32'),
    ((3, 6), 'float32'),
    ((3, 6), 'bool'),
  ]
  assert (task.input_spec, task.output_spec) == (Features(1), Tokens(10))
  assert task.length == 6
  np.testing.assert_allclose(batch.inputs[2, :, 0] * 255, [0, 2] + [255] * 4)


def test_bit_reversal_by_hand() -> None:
  assert bit_reversal(1).tolist() == [0]
  assert bit_reversal(2).tolist() == [0, 1]
  assert bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
  assert bit_reversal(6).tolist() == [0, 4, 2, 1, 5, 3]


def test_bit_reversal_of_mnist() -> None:
  """Halves riffled ten times, as published code makes it."""
  deck = [[i] for i in range(1024)]
  while len(deck) > 1:
    half = len(deck) // 2
    deck = [a + b for a, b in zip(deck[:half], deck[half:], strict=True)]
  wanted = [i for i in deck[0] if i < 784]
  assert bit_reversal(784).tolist() == wanted
  assert wanted[:4] == [0, 512, 256, 768]


def test_the_order_moves_pixels_and_nothing_else() -> None:
  rows, moved = (
    step_of(Digits(source='generated', order=order), 1, 20)
    for order in ('rows', 'bit_reversal')
  )
  wanted = [int(f'{i:06b}'[::-1], 2) for i in range(64)]
  np.testing.assert_array_equal(rows.inputs[:, wanted], moved.inputs)
  np.testing.assert_array_equal(rows.targets, moved.targets)


def test_made_splits_share_nothing() -> None:
  splits = [open_images('generated', '', split) for split in SPLITS]
  assert [len(s.labels_N) for s in splits] == [1600, 200, 200]
  rows = Counter(row.tobytes() for s in splits for row in s.pixels_NT)
  assert len(rows) == 2000
  labels = np.concatenate([s.labels_N for s in splits])
  assert np.bincount(labels).tolist() == [200] * 10
  pixels = np.concatenate([s.pixels_NT for s in splits])
  assert (pixels.min(), pixels.max()) == (0, 16)
  seen = b''.join(s.pixels_NT.tobytes() + s.labels_N.tobytes() for s in splits)
  assert hashlib.sha256(seen).hexdigest()[:8] == GOLDEN


def glyphs() -> dict[str, int]:
  """{the ink of a glyph, without empty rows and columns: its digit}."""
  drawn = """
    ### .#. ### ### #.# ### ### ### ### ###
    #.# ##. ..# ..# #.# #.. #.. ..# #.# #.#
    #.# .#. ### ### ### ### ### ..# ### ###
    #.# .#. #.. ..# ..# ..# #.# .#. #.# ..#
    ### ### ### ### ..# ### ### .#. ### ###
  """
  lines = [line.split() for line in drawn.split('\n') if line.strip()]
  return {'/'.join(line[digit] for line in lines): digit for digit in range(10)}


def test_an_eye_reads_the_made_digits() -> None:
  """An oracle that thresholds the image and cuts out the glyph."""
  task, known = Digits(source='generated', split='validation'), glyphs()
  right = 0
  for step in range(4):
    batch = step_of(task, step, 50)
    for row, target in zip(batch.inputs, batch.targets[:, -1], strict=True):
      ink = row.reshape(8, 8) >= 0.5
      down, right_of = (np.flatnonzero(ink.any(axis=a)) for a in (1, 0))
      cut = ink[down[0] : down[0] + 5, right_of[0] : right_of[0] + 3]
      text = '/'.join(''.join('.#'[int(bit)] for bit in line) for line in cut)
      right += known[text] == target
  assert right == 200


def test_chance_scores_the_baselines() -> None:
  task = Digits(source='generated')
  batch = jax.tree.map(jnp.asarray, step_of(task, 0, 1600))
  rng = np.random.default_rng(0)
  predicted = np.eye(10)[rng.integers(0, 10, (1600, 64))]
  measured = task.measure(jnp.asarray(predicted, jnp.float32), batch)
  share = measured['accuracy'].value()
  chance = task.baselines['accuracy']['chance']
  assert abs(share - chance) < 4 * math.sqrt(chance * (1 - chance) / 1600)
  loss = task.measure(jnp.zeros((1600, 64, 10)), batch)['loss']
  assert loss.count == 1600
  assert loss.value() == pytest.approx(task.baselines['loss']['chance'])


def test_the_digits_of_scikit_learn() -> None:
  """All of them, none twice, in an order of ours."""
  datasets = pytest.importorskip('sklearn.datasets')
  splits = [open_images.__wrapped__('digits', '', split) for split in SPLITS]
  assert [len(s.labels_N) for s in splits] == [1437, 180, 180]
  assert [s.white for s in splits] == [16] * 3
  rows = [
    (*pixels.tolist(), int(label))
    for s in splits
    for pixels, label in zip(s.pixels_NT, s.labels_N, strict=True)
  ]
  pixels, labels = datasets.load_digits(return_X_y=True)
  wanted_rows = np.column_stack([pixels, labels]).astype(int).tolist()
  assert sorted(rows) == sorted(map(tuple, wanted_rows))
  assert rows != list(map(tuple, wanted_rows))


def test_without_scikit_learn_one_line_says_what_to_do(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setitem(sys.modules, 'sklearn', None)
  monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
  with pytest.raises(ConfigError, match='pip install scikit-learn') as error:
    Digits().prepare()
  assert '\n' not in str(error.value)


def test_splits_have_fingerprints(mnist: Path) -> None:
  tasks = [
    Digits(source='mnist', path=str(mnist), split=split) for split in SPLITS
  ]
  assert len({task.fingerprint() for task in tasks}) == 3
  assert (
    tasks[0].fingerprint()
    == Digits(
      source='mnist', path=str(mnist), order='bit_reversal'
    ).fingerprint()
  )


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'source': 'digit'}, "source: 'digit': .*did you mean digits"),
    ({'source': 'generated', 'order': 'row'}, "order: 'row': .*mean rows"),
    ({'source': 'generated', 'split': 'dev'}, "split: 'dev': unknown"),
    ({'source': 'mnist'}, "path: '': must be given"),
    ({'path': 'x'}, "path: 'x': belongs to source='mnist' only"),
    (
      {'source': 'mnist', 'path': '/no'},
      "path: '/no': contains neither train-",
    ),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    Digits(**fields).prepare()


@pytest.mark.parametrize(
  ('which', 'array', 'rule'),
  [
    ('t10k-labels-idx1', np.zeros(3), 'has 3 labels for 4 images'),
    ('t10k-labels-idx1', np.full(4, 10), 'has label 10, must be below 10'),
    ('train-images-idx3', np.zeros((4, 2, 2)), 'has 4 images, must be at le'),
  ],
)
def test_counts_that_do_not_fit_are_refused(
  tmp_path: Path, which: str, array: np.ndarray, rule: str
) -> None:
  for name in ('train', 't10k'):
    pixels = np.zeros((4, 2, 2), np.uint8)
    write_idx(tmp_path / f'{name}-images-idx3-ubyte', pixels)
    write_idx(tmp_path / f'{name}-labels-idx1-ubyte', np.zeros(4, np.uint8))
  write_idx(tmp_path / f'{which}-ubyte', array.astype(np.uint8))
  split = 'train' if which.startswith('train') else 'test'
  with pytest.raises(ConfigError, match=rf'path: .*{which}-ubyte.*{rule}'):
    Digits(source='mnist', path=str(tmp_path), split=split).prepare()


@real
def test_mnist_itself() -> None:
  task = Digits(source='mnist', path=str(REAL), split='test')
  assert (task.length, task.epoch_steps(100)) == (784, 100)
  batch = step_of(task, 0, 10)
  assert batch.targets[:, -1].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
  assert (batch.inputs.min(), batch.inputs.max()) == (0, 1)
  sevens = np.rint(batch.inputs[0].reshape(28, 28) * 255)
  assert sevens[7, 6:10].tolist() == [84, 185, 159, 151]
