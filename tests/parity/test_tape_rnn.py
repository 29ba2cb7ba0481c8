"""Tape-RNN against its equations in float64, cell by cell and move by move."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.networks.tape_rnn import TapeRNN, write_and_move
from tests.parity.layers import layer

FEATURES, WIDTH, CELL = 3, 5, 2


def tape_rnn(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, moves: list[int], m: int
) -> np.ndarray:
  """One row, `(T, D)`, on a tape of m cells."""
  y = np.zeros((len(x), WIDTH))
  for t in range(len(x)):
    if t == 0 or reset[t]:
      h, tape = np.zeros(WIDTH), np.zeros((m, CELL))
    h = np.concatenate([h, tape[0]]) @ p['recurrent_kernel']
    h = np.maximum(h + x[t] @ p['input']['kernel'] + p['input']['bias'], 0)
    e = np.exp(h @ p['action_kernel'] + p['action_bias'])
    share = e / e.sum()
    value = h
    layers = sum(name.startswith('value') for name in p) // 2
    for i in range(layers):
      value = value @ p[f'value_{i}_kernel'] + p[f'value_{i}_bias']
      value = value if i == layers - 1 else np.maximum(value, 0)
    tape[0] = value
    after = np.zeros_like(tape)
    for cell in range(m):
      for j, move in enumerate(moves):
        after[cell] += share[j] * tape[(cell + move) % m]
    tape = after
    y[t] = h
  return y


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('slots', 'jump', 'mlp_width', 'moves'),
  [
    (5, 0, 0, [0, 1, -1]),
    (7, 3, 4, [0, 1, -1, 3, -3]),
    (3, 8, 4, [0, 1, -1, 8, -8]),
    (1, 2, 4, [0, 1, -1, 2, -2]),
  ],
)
def test_layer_equals_the_papers_equations(
  slots: int, jump: int, mlp_width: int, moves: list[int]
) -> None:
  under_test = layer(TapeRNN(WIDTH, slots, CELL, jump, mlp_width), FEATURES)
  p = under_test.params64()['controller']
  expected = [tape_rnn(p, *row, moves, slots) for row in under_test.rows64()]
  y = under_test.read([7, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_what_was_written_is_found_again_where_it_was_written() -> None:
  tape = jnp.zeros((1, 4, 1))
  moves = 0, 1, -1, 2, -2

  def act(tape: jax.Array, move: int, value: float) -> jax.Array:
    share = jax.nn.one_hot(jnp.array([moves.index(move)]), len(moves))
    return write_and_move(tape, share, jnp.full((1, 1), value), moves)

  for move, value in [(1, 5.0), (1, 6.0), (2, 7.0)]:
    tape = act(tape, move, value)
  np.testing.assert_array_equal(tape[0, :, 0], [5, 6, 7, 0])
  tape = act(tape, -1, 8.0)
  np.testing.assert_array_equal(tape[0, :, 0], [0, 8, 6, 7])


@pytest.mark.parametrize('field', ['slots', 'cell_width', 'jump', 'mlp_width'])
def test_sizes_are_checked(field: str) -> None:
  sizes: dict[str, Any] = {'width': 2, 'slots': 2, 'cell_width': 2}
  with pytest.raises(ConfigError, match=f'{field}: -1: must be at least'):
    TapeRNN(**sizes | {field: -1})
