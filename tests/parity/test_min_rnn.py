"""minGRU and minLSTM against the paper's equations in float64."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.min_rnn import MinGRU, MinLSTM
from tests.parity.equations import affine, convolved, sigmoid
from tests.parity.layers import layer

WIDTH = 5


def positive(a: np.ndarray) -> np.ndarray:
  return np.where(a >= 0, a + 0.5, sigmoid(a))


def min_gru(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  value, z = np.split(
    affine(p['input'], convolved(p['convolution'], x, reset)), 2, axis=1
  )
  h, states = np.zeros(WIDTH), []
  for t in range(len(x)):
    h = 0 * h if reset[t] else h
    h = (1 - sigmoid(z[t])) * h + sigmoid(z[t]) * positive(value[t])
    states.append(h)
  return np.stack(states)


def min_lstm(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  value, f, i = np.split(
    affine(p['input'], convolved(p['convolution'], x, reset)), 3, axis=1
  )
  h, states = np.zeros(WIDTH), []
  for t in range(len(x)):
    h = 0 * h if reset[t] else h
    forget, write = sigmoid(f[t]), sigmoid(i[t])
    h = (forget * h + write * positive(value[t])) / (forget + write)
    states.append(h)
  return np.stack(states)


CASES = {'minGRU': (MinGRU, min_gru), 'minLSTM': (MinLSTM, min_lstm)}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('taps', [2, 4])
@pytest.mark.parametrize('name', CASES)
def test_it_equals_the_papers_equations(
  name: str, taps: int, sizes: list[int]
) -> None:
  kind, equations = CASES[name]
  under_test = layer(kind(WIDTH, taps), WIDTH, scale=1.5)
  expected = [
    equations(under_test.params64(), *row) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_shares_of_gates_that_are_both_closed_are_defined() -> None:
  far = jnp.array([-200.0, 200.0])
  kept = MinLSTM.kept([far, jnp.full(2, -199.0)])
  np.testing.assert_allclose(kept, [1 / (1 + np.e), 1.0], 1e-5)


@pytest.mark.parametrize(('field', 'value'), [('width', 0), ('taps', 1)])
def test_settings_are_checked(field: str, value: int) -> None:
  settings: dict[str, Any] = {'width': WIDTH}
  rule = f'^{field}: {value}: must be at least'
  with pytest.raises(ConfigError, match=rule):
    MinGRU(**settings | {field: value})
