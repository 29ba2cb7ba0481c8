"""Deleting what a memory reads, on memories that tell the truth or do not."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.faithfulness import (
  NOT_SHOWN,
  Faithfulness,
  deletion_losses,
)
from memjax.analysis.segment_boundaries import last_labels
from memjax.models.base import Memory
from memjax.tasks.recall.mqar import MQAR
from memjax.types import Batch
from tests.analysis.known import SURE
from tests.small import small

SLOTS = 12
TASK = MQAR(length=SLOTS + 4, pairs=3, vocab=16)


class Notebook(Memory):
  """Keeps the last steps in slots and finds the value behind the same key.

  Attributes:
    honest: whether it shows the slot that it reads, or one of the others.
  """

  honest: bool = True

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size, SLOTS, 2))

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    sure = self.param('sure', nn.initializers.constant(SURE), ())

    def step(carry: Any, now: Any) -> Any:
      token_B, reset_B = now
      carry = jnp.where(reset_B[:, None, None], 0, carry)
      before_B = carry[:, -1, 0]
      key_B = token_B.astype(jnp.float32)
      match = (carry[:, :, 1] == key_B[:, None]) & (token_B[:, None] > 0)
      match = match.astype(jnp.float32)
      weight_BM = match / jnp.maximum(match.sum(1, keepdims=True), 1)
      value_B = (weight_BM * carry[:, :, 0]).sum(1).astype(jnp.int32)
      entry = jnp.stack([key_B, before_B], -1)
      carry = jnp.concatenate([carry[:, 1:], entry[:, None]], 1)
      return carry, (sure * jax.nn.one_hot(value_B, 16), weight_BM)

    steps = jnp.moveaxis(x, 1, 0), jnp.moveaxis(reset_BT, 1, 0)
    carry, (y, weight) = jax.lax.scan(step, carry, steps)
    shown = jnp.moveaxis(weight, 0, 1)[:, :, None]
    if not self.honest:
      shown = jnp.roll(shown, 1, axis=-1)
    self.sow('intermediates', 'read_weights', shown)
    return carry, jnp.moveaxis(y, 0, 1)


PARAMS_N = {'sure': jnp.full(2, SURE)}


@pytest.mark.slow
def test_an_honest_memory_is_faithful_and_another_is_not() -> None:
  sizes = {'batch_size': 16, 'batches': 2}
  honest = deletion_losses(Notebook(), PARAMS_N, TASK, **sizes)
  np.testing.assert_array_equal(honest.deleted, [1, 2, 4, 8, 12])
  assert honest.loss['by weight'].min() > SURE - 4, 'one entry is the answer'
  random = honest.loss['at random']
  assert (random[:, 0] < SURE / 2).all()
  np.testing.assert_array_equal(
    random[:, -1], honest.loss['by weight'][:, -1], 'all are deleted'
  )
  assert (honest.faithfulness > 2).all()
  other = deletion_losses(Notebook(honest=False), PARAMS_N, TASK, **sizes)
  assert (other.faithfulness < honest.faithfulness - 2).all()
  np.testing.assert_array_equal(other.loss['at random'], random)


def test_rows_end_before_their_last_label() -> None:
  random = np.random.default_rng(0)
  weights = np.zeros((3, 6), np.float32)
  weights[0, [1, 4]] = weights[1, 0] = weights[2, 5] = 1
  inputs = random.integers(1, 9, (3, 6))
  batch = Batch(
    inputs=inputs,
    targets=inputs,
    loss_weights_BT=weights,
    reset_BT=np.eye(3, 6, dtype=bool) & False,
    score_axis_BT=np.zeros((3, 6), np.int32),
  )
  before, now = last_labels(batch)
  np.testing.assert_array_equal(now.inputs[:, 0], inputs[[0, 1, 2], [4, 0, 5]])
  np.testing.assert_array_equal(before.inputs[0, 2:], inputs[0, :4])
  np.testing.assert_array_equal(before.inputs[2, 1:], inputs[2, :5])
  first = [row.nonzero()[0].tolist() for row in before.reset_BT]
  assert first == [[2], [], [1]]


def test_a_memory_without_shown_entries_is_refused() -> None:
  experiment = small('copy_memory', 'lstm')
  reason = Faithfulness().defined(experiment.model, experiment.task)
  assert reason == NOT_SHOWN


@pytest.mark.slow
@pytest.mark.parametrize('name', ['transformer_xl', 'ntm', 'sliding'])
def test_windows_and_slots_are_measured(name: str) -> None:
  experiment = small('mqar', name)
  model, task = experiment.model, experiment.task
  instrument = dataclasses.replace(Faithfulness(), batch_size=4, batches=1)
  assert instrument.defined(model, task) == ''
  inputs, reset_BT = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3), bool)
  read = model.initial_carry(1), inputs, reset_BT
  params = jax.jit(model.init)(jax.random.key(0), *read)['params']
  params_N = jax.tree.map(lambda x: x[None], params)
  result = instrument.measure(model, params_N, task)
  assert np.isfinite(result.arrays.faithfulness).all()
  assert result.rows[0].keys() == result.units.keys()
  assert instrument.show({'run': result}).plots
