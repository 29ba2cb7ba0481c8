"""Stack-RNN against its equations in float64, one cell after the other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.networks.stack_rnn import StackRNN, push_and_pop
from tests.parity.layers import layer

FEATURES, WIDTH, CELL = 3, 5, 2


def stack_rnn(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, slots: int
) -> np.ndarray:
  """One row, `(T, D)`."""
  y = np.zeros((len(x), WIDTH))
  for t in range(len(x)):
    if t == 0 or reset[t]:
      h, cells = np.zeros(WIDTH), [np.zeros(CELL)] * slots
    of_h = p['recurrent_kernel'][:WIDTH]
    of_top = p['recurrent_kernel'][WIDTH:]
    h = x[t] @ p['input']['kernel'] + h @ of_h + cells[0] @ of_top
    h = np.maximum(h + p['input']['bias'], 0)
    e = np.exp(h @ p['action_kernel'] + p['action_bias'])
    push, pop, no_op = e / e.sum()
    value = h @ p['value_0_kernel'] + p['value_0_bias']
    above, below = [value, *cells[:-1]], [*cells[1:], np.zeros(CELL)]
    cells = [
      push * a + pop * b + no_op * c
      for a, b, c in zip(above, below, cells, strict=True)
    ]
    y[t] = h
  return y


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('slots', [1, 3, 20])
def test_layer_equals_the_papers_equations(slots: int) -> None:
  under_test = layer(StackRNN(WIDTH, slots, CELL), FEATURES)
  p = under_test.params64()['controller']
  expected = [stack_rnn(p, *row, slots) for row in under_test.rows64()]
  y = under_test.read([7, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_the_last_pushed_is_popped_first_and_the_bottom_falls_off() -> None:
  cells = jnp.zeros((1, 2, 1))
  tops = []
  actions = [(0, 1), (0, 2), (0, 3), (2, 9), (1, 9), (1, 9)]
  for action, value in actions:
    share = jax.nn.one_hot(jnp.array([action]), 3)
    cells = push_and_pop(cells, share, jnp.full((1, 1), value, jnp.float32))
    tops.append(float(cells[0, 0, 0]))
  assert tops == [1, 2, 3, 3, 2, 0]


@pytest.mark.parametrize('field', ['width', 'slots', 'cell_width'])
def test_sizes_are_at_least_one(field: str) -> None:
  sizes: dict[str, Any] = {'width': 2, 'slots': 2, 'cell_width': 2}
  with pytest.raises(ConfigError, match=f'{field}: 0: must be at least 1'):
    StackRNN(**sizes | {field: 0})
