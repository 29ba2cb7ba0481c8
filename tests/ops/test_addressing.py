"""Addressing against literal matrices and float64 loops."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.addressing import (
  EPSILON,
  content_weights,
  interpolate,
  read,
  sharpen,
  shift,
  write,
)

B, H, M, K = 2, 3, 5, 4


def f32(x: Any) -> jax.Array:
  return jnp.asarray(x, jnp.float32)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=shape)


def weightings(*shape: int, seed: int = 0) -> np.ndarray:
  w = np.random.default_rng(seed).random(shape)
  return w / w.sum(-1, keepdims=True)


def finite_gradients(f: Callable[..., jax.Array], *args: Any) -> list[Any]:
  """Gradients of a sum in which no element is like another."""

  def loss(args: Any) -> jax.Array:
    y = f(*args)
    return (y * f32(normal(*y.shape, seed=9))).sum()

  gradients = jax.grad(loss)(tuple(f32(a) for a in args))
  for gradient in gradients:
    assert np.isfinite(gradient).all()
  return list(gradients)


def cosine(u: np.ndarray, v: np.ndarray) -> float:
  return (u @ v) / np.sqrt((u @ u + EPSILON) * (v @ v + EPSILON))


def test_content_is_a_softmax_of_cosines() -> None:
  key, memory = normal(B, H, K), normal(B, M, K, seed=1)
  strength = 5 * np.abs(normal(B, H, seed=2))
  memory[0, 2] = 0
  key[1, 1] = 0
  got = content_weights(f32(key), f32(strength), f32(memory))
  for b in range(B):
    for h in range(H):
      scores = [strength[b, h] * cosine(key[b, h], m) for m in memory[b]]
      e = np.exp(np.array(scores))
      np.testing.assert_allclose(got[b, h], e / e.sum(), rtol=1e-5)


def test_content_finds_the_slot_that_points_the_same_way() -> None:
  memory = f32([[[2.0, 0.0], [0.0, 0.1], [-3.0, 0.0]]])
  key = f32([[[0.0, 7.0], [-0.1, 0.0]]])
  got = content_weights(key, f32([[40.0, 40.0]]), memory)
  expected = [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
  np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize(
  'memory', [np.zeros((B, M, K)), np.full((B, M, K), 1e-6)]
)
def test_an_empty_memory_is_looked_up_everywhere(memory: np.ndarray) -> None:
  args = normal(B, H, K), np.full((B, H), 3.0), memory
  got = content_weights(*map(f32, args))
  np.testing.assert_allclose(got, np.full((B, H, M), 1 / M), rtol=0.02)
  _, _, by_memory = finite_gradients(content_weights, *args)
  assert np.abs(by_memory).max() > 0  # an empty slot can be learned into


def test_an_empty_key_looks_everywhere() -> None:
  args = np.zeros((B, H, K)), np.full((B, H), 3.0), normal(B, M, K)
  got = content_weights(*map(f32, args))
  np.testing.assert_allclose(got, np.full((B, H, M), 1 / M), rtol=1e-5)
  by_key, *_ = finite_gradients(content_weights, *args)
  assert np.abs(by_key).max() > 0


def test_interpolation_goes_from_the_last_weighting_to_the_contents() -> None:
  content, before = weightings(1, 3, M), weightings(1, 3, M, seed=1)
  got = interpolate(f32([[0.0, 1.0, 0.25]]), f32(content), f32(before))
  mixed = 0.25 * content[0, 2] + 0.75 * before[0, 2]
  expected = [[before[0, 0], content[0, 1], mixed]]
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_shift_rotates() -> None:
  weights = f32([[[0.7, 0.2, 0.1, 0.0]] * 4])
  shifts = f32([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0.5]]])
  expected = [
    [
      [0.2, 0.1, 0.0, 0.7],
      [0.7, 0.2, 0.1, 0.0],
      [0.0, 0.7, 0.2, 0.1],
      [0.1, 0.4, 0.1, 0.4],
    ]
  ]
  np.testing.assert_allclose(shift(weights, shifts), expected, atol=1e-7)


@pytest.mark.parametrize('reach', [0, 1, 2])
def test_shift_is_a_circular_convolution(reach: int) -> None:
  weights, shifts = weightings(B, H, M), weightings(B, H, 2 * reach + 1)
  got = shift(f32(weights), f32(shifts))
  for b, h, i in np.ndindex(B, H, M):
    total = 0.0
    for d in range(-reach, reach + 1):
      total += weights[b, h, (i - d) % M] * shifts[b, h, d + reach]
    np.testing.assert_allclose(got[b, h, i], total, rtol=1e-5)


def test_sharpening_is_a_power_normalised() -> None:
  weights = weightings(B, H, M)
  weights[0, 0] = [0, 0, 1, 0, 0]
  weights[0, 1] = [0, 0.5, 0.5, 0, 0]
  power = 1 + np.abs(normal(B, H, seed=1))
  got = sharpen(f32(weights), f32(power))
  for b, h in np.ndindex(B, H):
    powers = weights[b, h] ** power[b, h]
    np.testing.assert_allclose(got[b, h], powers / powers.sum(), rtol=1e-5)


def test_sharpening_survives_powers_that_underflow() -> None:
  weights = np.full((1, 2, 128), 1 / 128)
  weights[0, 1, 0] = 1 / 64
  args = weights, np.full((1, 2), 40.0)
  got = sharpen(*map(f32, args))
  np.testing.assert_allclose(got[0, 0], np.full(128, 1 / 128), rtol=1e-5)
  np.testing.assert_allclose(got[0, 1, 0], 1, rtol=1e-5)
  finite_gradients(sharpen, *args)


@pytest.mark.parametrize('power', [1.0, 1.5, 30.0])
def test_sharpening_has_gradients_at_zero_weights(power: float) -> None:
  weights = f32([[[0, 0, 1, 0], [0, 0.5, 0.5, 0], [0.1, 0.2, 0.3, 0.4]]])
  powers = jnp.full((1, 3), power)
  by_weights, by_power = finite_gradients(sharpen, weights, powers)
  assert np.abs(by_weights).max() > 0
  assert np.abs(by_power).max() > 0


def test_sharpening_has_the_gradient_of_the_formula() -> None:
  def formula(weights: jax.Array, power: jax.Array) -> jax.Array:
    powers = weights ** power[:, :, None]
    return powers / powers.sum(-1, keepdims=True)

  args = weightings(B, H, M), np.full((B, H), 1.7)
  for got, expected in zip(
    finite_gradients(sharpen, *args),
    finite_gradients(formula, *args),
    strict=True,
  ):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_read_is_a_weighted_sum() -> None:
  weights, memory = weightings(B, H, M), normal(B, M, K)
  got = read(f32(weights), f32(memory))
  for b, h in np.ndindex(B, H):
    expected = sum(weights[b, h, m] * memory[b, m] for m in range(M))
    np.testing.assert_allclose(got[b, h], expected, rtol=1e-4, atol=1e-6)


def test_a_head_overwrites_the_slot_it_looks_at() -> None:
  memory = f32([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
  weights = f32([[[0, 1, 0], [0, 0.5, 0.5]]])
  erase, add = f32([[[1, 0], [1, 1]]]), f32([[[10, 20], [2, -2]]])
  expected = [[[1.0, 2.0], [11.0, 21.0], [3.5, 2.0]]]
  np.testing.assert_allclose(write(memory, weights, erase, add), expected)


@pytest.mark.parametrize('heads', [1, 2, 3])
def test_writing_erases_with_all_heads_then_adds(heads: int) -> None:
  memory, weights = normal(B, M, K), weightings(B, heads, M)
  erase = np.random.default_rng(2).random((B, heads, K))
  add = normal(B, heads, K, seed=3)
  got = write(*map(f32, (memory, weights, erase, add)))
  for b, m, k in np.ndindex(B, M, K):
    value = memory[b, m, k]
    for h in range(heads):
      value *= 1 - weights[b, h, m] * erase[b, h, k]
    for h in range(heads):
      value += weights[b, h, m] * add[b, h, k]
    np.testing.assert_allclose(got[b, m, k], value, rtol=1e-4, atol=1e-6)
