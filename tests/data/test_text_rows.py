"""Every label once an epoch, in an order that seed and epoch determine."""

import hashlib
from typing import Any

import numpy as np
import pytest

from memjax.data.text_rows import TextRows
from memjax.types import Batch

SIZE = 1000


def text(**fields: Any) -> TextRows:
  """Tokens that are their own places; documents of 0 to 39 tokens."""
  sizes = np.random.PCG64(1).random_raw(200) % 40
  starts = np.cumsum(sizes.astype(np.int64)) - sizes.astype(np.int64)
  given = {'length': 7, 'stride': 7, 'carry_over': True}
  return TextRows(
    tokens=np.arange(SIZE, dtype=np.uint16),
    starts=starts[starts < SIZE],
    **{**given, 'reset_at_documents': False, **fields},
  )


def step_of(
  rows: TextRows, batch_size: int, step: int, seed: tuple[int, ...] = ()
) -> Batch:
  ids = np.arange(batch_size)
  return rows.read(batch_size, np.full(batch_size, step), ids, seed)


def epoch_of(
  rows: TextRows, batch_size: int, epoch: int, seed: tuple[int, ...] = ()
) -> Batch:
  """The steps of an epoch side by side, `(B, steps T)`."""
  steps = rows.epoch_steps(batch_size)
  batches = [
    step_of(rows, batch_size, epoch * steps + step, seed)
    for step in range(steps)
  ]
  return Batch(
    *(np.concatenate(x, 1) for x in zip(*(b[:4] for b in batches), strict=True))
  )


def digest(batch: Batch) -> str:
  sha256 = hashlib.sha256()
  for x in batch[:4]:
    sha256.update(np.ascontiguousarray(x).tobytes())
  return sha256.hexdigest()[:16]


@pytest.mark.parametrize('batch_size', [1, 3, 8])
@pytest.mark.parametrize('epoch', [0, 1, 2])
def test_shuffled_streams_read_every_document_whole_and_every_label_once(
  batch_size: int, epoch: int
) -> None:
  rows = text(reset_at_documents=True)
  batch = epoch_of(rows, batch_size, epoch, seed=(5, 0))
  labelled = batch.loss_weights_BT > 0
  inputs, labels, _, resets = (x[labelled] for x in batch[:4])
  (first,) = set(range(SIZE)) - set(labels.tolist())
  assert len(labels) == SIZE - 1 == len(set(labels.tolist()))
  order = [first, *labels.tolist()]
  starts = [place for place in order if place in set(rows.starts.tolist())]
  assert starts != sorted(starts)
  ends = dict(zip(rows.starts, [*rows.starts[1:], SIZE], strict=True))
  assert order == [x for start in starts for x in range(start, ends[start])]
  assert inputs.tolist() == order[:-1]
  at_streams = {int(row[0]) for row in batch.inputs}
  assert set(inputs[resets].tolist()) == at_streams | set(starts) - {order[-1]}


@pytest.mark.parametrize('stride', [2, 7])
@pytest.mark.parametrize('batch_size', [1, 3, 8])
def test_shuffled_windows_read_every_label_once(
  batch_size: int, stride: int
) -> None:
  rows = text(carry_over=False, stride=stride)
  plain = epoch_of(rows, batch_size, 0)
  orders = []
  for epoch in (0, 1):
    batch = epoch_of(rows, batch_size, epoch, seed=(5, 0))
    labels = batch.targets[batch.loss_weights_BT > 0]
    assert sorted(labels.tolist()) == list(range(1, SIZE))
    assert batch.reset_BT[:, ::7].all()
    orders.append(batch.targets.tolist())
  assert plain.targets.tolist() != orders[0] != orders[1]


@pytest.mark.parametrize('carry_over', [True, False])
def test_the_order_is_a_function_of_seed_and_epoch(carry_over: bool) -> None:
  rows = text(carry_over=carry_over)
  epochs = [
    digest(epoch_of(text(carry_over=carry_over), 4, epoch, (seed, 0)))
    for seed in (0, 1)
    for epoch in (0, 1, 2)
  ]
  assert len(set(epochs)) == 6
  # In any order of asking, and row by row, each step is the same.
  steps = rows.epoch_steps(4)
  for step in (2 * steps + 3, 1, steps + 5, 2 * steps - 1):
    whole = step_of(rows, 4, step, (1, 0))
    for b in (3, 0):
      row = rows.read(4, np.array([step]), np.array([b]), (1, 0))
      for x, y in zip(whole[:4], row[:4], strict=True):
        np.testing.assert_array_equal(x[[b]], y)
  # Rows at steps of different epochs, together.
  step_R, row_R = np.array([3 * steps, 2, steps + 1]), np.array([1, 3, 2])
  mixed = rows.read(4, step_R, row_R, (1, 0))
  for i in range(3):
    row = rows.read(4, step_R[[i]], row_R[[i]], (1, 0))
    for x, y in zip(mixed[:4], row[:4], strict=True):
      np.testing.assert_array_equal(x[[i]], y)


@pytest.mark.parametrize(
  ('fields', 'seed', 'golden'),
  [
    ({}, (), '0d722cec804c316d'),
    ({}, (3, 0), '0fad06c81c5f893b'),
    ({'reset_at_documents': True}, (3, 0), 'c46818b7b0e17c0e'),
    ({'carry_over': False}, (), 'c4d8337c25dbb3bd'),
    ({'carry_over': False, 'stride': 3}, (3, 0), 'b4465f506661562b'),
  ],
)
def test_the_batches_never_change(
  fields: dict[str, Any], seed: tuple[int, ...], golden: str
) -> None:
  rows = text(**fields)
  assert digest(epoch_of(rows, 4, 1, seed)) == golden


def test_the_document_of_every_label() -> None:
  for carry_over in (True, False):
    rows = text(carry_over=carry_over)
    for step in range(rows.epoch_steps(4)):
      batch = step_of(rows, 4, step)
      document_RT = rows.label_documents(4, step, np.arange(4))
      inside = batch.loss_weights_BT > 0
      for place, document in zip(
        batch.targets[inside], document_RT[inside], strict=True
      ):
        ends = [*rows.starts[1:], SIZE]
        assert rows.starts[document] <= place < ends[document]
