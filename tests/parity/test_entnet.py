"""EntNet against a float64 NumPy evaluation of the paper, slot by slot."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.networks.entnet import EntNet, unit
from tests.parity.layers import ROWS, STEPS, layer, read

WIDTH, SLOTS = 5, 4


def phi(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
  return np.array(
    [v if v > 0 else a * v for v, a in zip(x, slope, strict=True)]
  )


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def sigma(x: float) -> float:
  return 1 / (1 + np.exp(-x))


def write(p: dict[str, Any], h: list[np.ndarray], s: np.ndarray) -> None:
  """Section 2.2: the slots hear a sentence, each by itself."""
  for j, w in enumerate(p['keys']):
    gate = sigma(s @ h[j] + s @ w)
    new = phi(
      h[j] @ p['slot_kernel']
      + w @ p['key']['kernel']
      + s @ p['input']['kernel'],
      p['slot_slope'],
    )
    h[j] = h[j] + gate * new
    h[j] = h[j] / np.sqrt(sum(v * v for v in h[j]))


def answer(p: dict[str, Any], h: list[np.ndarray], q: np.ndarray) -> np.ndarray:
  """Section 2.3, without the readout R."""
  weights = softmax(np.array([q @ slot for slot in h]))
  u = sum(weight * slot for weight, slot in zip(weights, h, strict=True))
  return phi(q + u @ p['read']['kernel'], p['output_slope'])


def entnet(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row: each input is a question about the past, then it is written."""
  y, h = [], list(p['keys'])
  for s, anew in zip(x, reset, strict=True):
    if anew:
      h = list(p['keys'])
    y.append(answer(p, h, s))
    write(p, h, s)
  return np.stack(y)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_layer_equals_the_papers_equations(sizes: list[int]) -> None:
  under_test = layer(EntNet(WIDTH, SLOTS), WIDTH)
  expected = [
    entnet(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_slots_that_nothing_was_written_to_are_the_keys_of_now() -> None:
  """Not those of an earlier call: parameters move between calls."""
  model, params, x_BTD, reset_BT = layer(EntNet(WIDTH, SLOTS), WIDTH)
  carry = model.initial_carry(ROWS)
  after, _ = read(model, params, carry, x_BTD, reset_BT)
  mixed = jax.tree.map(lambda one, other: one.at[0].set(other[0]), after, carry)
  moved = jax.tree.map(lambda p: p + 1, params)
  none = jnp.zeros((ROWS, 1), bool)
  for row, start in ((0, carry), (1, after)):
    _, y = read(model, moved, mixed, x_BTD[:, :1], none)
    _, alone = read(model, moved, start, x_BTD[:, :1], none)
    np.testing.assert_allclose(y[row], alone[row], rtol=1e-6)


def test_a_slot_of_nothing_has_a_finite_gradient() -> None:
  gradient = jax.grad(lambda h: unit(h).sum())(jnp.zeros((WIDTH,)))
  assert np.isfinite(gradient).all()
  long = jnp.asarray([3.0, -4.0])
  np.testing.assert_allclose(unit(long), [0.6, -0.8], rtol=1e-6)


def test_the_first_phi_is_the_identity() -> None:
  """As the paper initialises it: negative values pass."""
  under_test = layer(EntNet(WIDTH, SLOTS), WIDTH)
  params = under_test.fresh_params()
  params['read']['kernel'] = jnp.zeros((WIDTH, WIDTH))
  y = under_test._replace(params=params).read([STEPS])
  np.testing.assert_array_equal(y, under_test.x_BTF)


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'width': 0}, 'width: 0: must be at least 1'),
    ({'slots': 0}, 'slots: 0: must be at least 1'),
    ({'width': 6}, 'width: 6: must be the width of the inputs, 5'),
  ],
)
def test_wrong_fields_are_refused(fields: dict[str, int], line: str) -> None:
  sizes: dict[str, Any] = {'width': WIDTH, 'slots': SLOTS}
  with pytest.raises(ConfigError) as error:
    layer(EntNet(**sizes | fields), WIDTH)
  assert str(error.value) == line
