"""Gradients of a leaky integrator, whose decay by lag is known."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis import streams
from memjax.analysis.across_runs import MISSING, SPACE, format_median
from memjax.analysis.carry_gradients import carry_gradients
from memjax.analysis.half_life import half_life, longest
from memjax.analysis.input_gradients import input_gradients
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.stack import Stack
from memjax.tasks.base import GeneratedTask, Stream
from memjax.types import Batch, HostBatch
from tests.analysis.known import DelayLine, LeakyIntegrator, Noise, RepeatToken

DECAYS = np.array([0.8, 0.5])
LEAKY = LeakyIntegrator(2)
PARAMS = {'decay': jnp.asarray(DECAYS, jnp.float32)}
NOISE = Noise(width=2, length=16, decay=0.9)
RESET = 11
LAGS, ROWS, BATCHES, ALL = 8, 4, 2, 99


def read_rows(task: GeneratedTask) -> Batch:
  """All rows that the instruments read."""
  stream = Stream(0, streams.NUMBER, ROWS)
  feeds = [task.rows(stream, i, np.arange(ROWS)) for i in range(BATCHES)]
  return jax.jit(task.batch)(np.concatenate(feeds))


@functools.cache
def errors_NBT() -> np.ndarray:
  """|dl_t / dh_t| of the leaky integrators on the noise."""
  batch = read_rows(NOISE)

  def one(params: Any) -> jax.Array:
    carry = LEAKY.initial_carry(ROWS * BATCHES)
    _, y = apply(LEAKY, params, carry, batch.inputs, batch.reset_BT)
    return jnp.linalg.norm(y - batch.targets, axis=-1)  # 2 / width is 1

  return np.asarray(jax.jit(jax.vmap(one))(PARAMS))


def test_each_lag_multiplies_the_norm_by_the_decay() -> None:
  found = input_gradients(LEAKY, PARAMS, NOISE, LAGS, ROWS, BATCHES, 0, ALL)
  assert found.labels == BATCHES * ROWS * (NOISE.length - LAGS + 1)
  first_N = errors_NBT()[:, :, LAGS - 1 :].mean((1, 2))
  expected = first_N[:, None] * DECAYS[:, None] ** found.lags
  np.testing.assert_allclose(found.norm, expected, rtol=1e-4)
  halves_N = np.log(2) / -np.log(DECAYS)
  np.testing.assert_allclose(found.half_life, halves_N, rtol=1e-4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interrupted(Noise):
  def batch(self, feed: HostBatch) -> Batch:
    batch = super().batch(feed)
    return batch._replace(reset_BT=batch.reset_BT.at[:, RESET].set(True))


def test_each_lag_multiplies_the_norm_of_the_carry_up_to_a_reset() -> None:
  cut = 5
  task = Interrupted(width=2, length=16, decay=0.9)
  found = carry_gradients(LEAKY, PARAMS, task, LAGS, ROWS, BATCHES, 0, cut)
  assert found.leaves == ('carry',)
  assert found.lags.tolist() == list(range(RESET - cut))
  assert (found.labels == ROWS * BATCHES).all()
  error_NG = errors_NBT()[:, :, cut:RESET].mean(1)
  expected = error_NG * DECAYS[:, None] ** (found.lags + 1)
  np.testing.assert_allclose(found.norm[:, 0], expected, rtol=1e-4)


def test_half_lives() -> None:
  norm = np.array([[4.0, 3, 2, 1], [0, 1, 0, 0], [1, 1, 0, 0]])
  life = half_life(norm, np.arange(4))
  np.testing.assert_array_equal(life, [2, np.nan, 1])
  sparse = half_life(2.0 ** -np.array([1, 4]), np.array([3, 9]))
  assert sparse == pytest.approx(2)


def test_a_norm_that_falls_less_than_half_has_the_last_lag_as_a_bound() -> None:
  lags = np.array([2, 3, 9])
  life = half_life(np.array([4.0, 3.5, 3.0]), lags)
  assert life == longest(lags) == 7
  assert format_median(life[None], longest(lags)) == f'≥{SPACE}7'


def test_a_norm_that_does_not_fall_has_no_half_life() -> None:
  for norm in ([4.0, 3, 4], [1.0, 2, 3]):
    life = half_life(np.array([norm]), np.arange(3))
    assert np.isnan(life).all()
    assert format_median(life, 2) == MISSING


@pytest.mark.slow
def test_tokens_are_differentiated_by_their_embeddings() -> None:
  """A plain encoder and a linear readout keep the decay."""
  task = RepeatToken(vocab=4, length=16, lag=1)
  model = Stack(
    task.input_spec, task.output_spec, 8, LeakyIntegrator(8), wiring='plain'
  )
  batch = read_rows(task)
  carry = model.initial_carry(ROWS * BATCHES)

  @jax.jit
  def lag_0(batch: Batch) -> tuple[Any, jax.Array]:
    key = jax.random.key(0)
    params = model.init(key, carry, batch.inputs, batch.reset_BT)['params']
    _, y = apply(model, params, carry, batch.inputs, batch.reset_BT)
    wrong = jax.nn.softmax(y) - jax.nn.one_hot(batch.targets, task.vocab)
    by_e = wrong @ params['readout']['kernel'].T
    return params, jnp.linalg.norm(by_e, axis=-1)[:, 4:].mean()

  params, first = lag_0(batch)
  params_N = jax.tree.map(lambda x: x[None], params)
  found = input_gradients(model, params_N, task, 5, ROWS, BATCHES, labels=ALL)
  expected = float(first) * 0.8**found.lags
  np.testing.assert_allclose(found.norm[0], expected, rtol=1e-4)


def test_without_a_gradient_it_is_refused_or_nan() -> None:
  line, task = DelayLine(4, 3), RepeatToken(vocab=4, lag=3)
  params = {'sure': jnp.ones(1)}
  few = {'batch_size': 2, 'batches': 1}
  with pytest.raises(ConfigError, match="'DelayLine': no parameter of"):
    input_gradients(line, params, task, **few)
  with pytest.raises(ConfigError, match='lags: 99: no label has this number'):
    input_gradients(LEAKY, PARAMS, NOISE, 99, **few)
  with pytest.raises(ConfigError, match='cut: 24: must lie within the 24'):
    carry_gradients(line, params, task, cut=24, **few)
  with pytest.raises(ConfigError, match='lags: 2: no label follows'):
    carry_gradients(line, params, task, lags=2, cut=1, **few)
  found = carry_gradients(line, params, task, lags=3, cut=1, **few)
  assert found.lags.tolist() == [2]
  assert np.isnan(found.norm).all()
  assert np.isnan(found.half_life).all()
