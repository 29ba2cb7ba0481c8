"""The short convolution against a loop over steps in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops.convolution import convolve

ROWS, WIDTH = 3, 4


def draw(length: int, taps: int) -> tuple[np.ndarray, ...]:
  """Tail, inputs, kernel and resets, two of them in a row."""
  rng = np.random.default_rng(length)
  reset = rng.random((ROWS, length)) < 0.2
  reset[0] = False
  reset[1, length // 2 :][:2] = True
  return (
    rng.normal(size=(ROWS, taps - 1, WIDTH)),
    rng.normal(size=(ROWS, length, WIDTH)),
    rng.normal(size=(taps, WIDTH)),
    reset,
  )


def loop(
  tail: np.ndarray, x: np.ndarray, kernel: np.ndarray, reset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  tail, y = tail.copy(), np.zeros_like(x)
  for row in range(ROWS):
    for t in range(x.shape[1]):
      if reset[row, t]:
        tail[row] = 0
      seen = np.concatenate([tail[row], x[row, t][None]])
      y[row, t] = (kernel * seen).sum(0)
      tail[row] = seen[1:]
  return tail, y


@pytest.mark.parametrize('taps', [2, 4])
@pytest.mark.parametrize('length', [1, 2, 3, 17])
def test_it_equals_the_loop(length: int, taps: int) -> None:
  arrays = draw(length, taps)
  got = convolve(*map(jnp.asarray, arrays))
  for found, expected in zip(got, loop(*arrays), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_pieces_equal_the_whole() -> None:
  tail, x, kernel, reset = map(jnp.asarray, draw(17, 4))
  _, whole = convolve(tail, x, kernel, reset)
  pieces = []
  for start, stop in ((0, 1), (1, 2), (2, 9), (9, 17)):
    tail, y = convolve(tail, x[:, start:stop], kernel, reset[:, start:stop])
    pieces.append(y)
  np.testing.assert_allclose(jnp.concatenate(pieces, 1), whole, atol=1e-6)


def test_the_tail_keeps_its_type_and_outputs_have_that_of_the_inputs() -> None:
  tail, x, kernel, reset = map(jnp.asarray, draw(5, 4))
  half = jnp.bfloat16
  tail, y = convolve(
    tail.astype(jnp.float32), x.astype(half), kernel.astype(half), reset
  )
  assert (tail.dtype, y.dtype) == (jnp.float32, half)


def test_what_lies_before_a_reset_leaves_no_trace() -> None:
  tail, x, kernel, _ = map(jnp.asarray, draw(9, 4))
  reset = jnp.zeros((ROWS, 9), bool).at[:, 4].set(True)
  nothing = jax.grad(
    lambda x: convolve(tail, x, kernel, reset)[1][:, 4:].sum()
  )(x)
  np.testing.assert_array_equal(nothing[:, :4], 0)
  np.testing.assert_array_equal(nothing[:, 4:] != 0, True)
