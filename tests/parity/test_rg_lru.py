"""Griffin's recurrent block against the paper's equations in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.state_space.rg_lru import RGLRU, bounded_sqrt
from tests.parity.equations import (
  affine,
  convolved,
  gelu,
  sigmoid,
  softplus,
)
from tests.parity.layers import layer

WIDTH, HEAD, HEADS = 5, 4, 2  # 4/3 of 5 is 6.7, so two heads


def row(
  p: dict[str, Any],
  x: np.ndarray,
  reset: np.ndarray,
  *,
  heads: int = HEADS,
  scale_first: bool = True,
) -> np.ndarray:
  """One row, `(T, D)`."""
  u = convolved(p['convolution'], affine(p['input'], x), reset)
  bias = p['gate_bias'].reshape(heads, 2 * HEAD)
  h, states = np.zeros(heads * HEAD), []
  for t in range(len(x)):
    h = 0 * h if reset[t] else h
    blocks = u[t].reshape(heads, HEAD)
    gates = [
      sigmoid(blocks[i] @ p['gate_kernel'][i] + bias[i]) for i in range(heads)
    ]
    r = np.concatenate([gate[:HEAD] for gate in gates])
    i = np.concatenate([gate[HEAD:] for gate in gates])
    a = np.exp(-8 * r * softplus(p['decay']))
    first = t == 0 or reset[t]
    scale = 1 if first and not scale_first else np.sqrt(1 - a**2)
    h = a * h + scale * (i * u[t])
    states.append(h)
  return affine(p['output'], gelu(affine(p['branch'], x)) * np.stack(states))


@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_it_equals_the_papers_equations(sizes: list[int]) -> None:
  under_test = layer(RGLRU(WIDTH, HEAD), WIDTH, scale=1.0)
  expected = [
    row(under_test.params64(), *a_row) for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_the_first_input_of_a_run_may_keep_its_size(sizes: list[int]) -> None:
  model = RGLRU(WIDTH, HEAD, units=3 * HEAD, scale_first=False)
  under_test = layer(model, WIDTH, scale=1.0)
  expected = [
    row(under_test.params64(), *a_row, heads=3, scale_first=False)
    for a_row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_decays_start_where_the_paper_starts_them() -> None:
  decay = layer(RGLRU(300, 8), 300).fresh_params()['decay']
  u = np.exp(-softplus(np.asarray(decay, np.float64)))
  assert 0.9 <= u.min() < 0.91
  assert 0.995 < u.max() <= 0.9991
  np.testing.assert_allclose(np.median(u**2), (0.9**2 + 0.999**2) / 2, 0.02)


def test_the_slope_of_the_root_is_bounded() -> None:
  slope = jax.grad(bounded_sqrt)
  np.testing.assert_allclose(slope(jnp.float32(0.25)), 1.0)
  np.testing.assert_allclose(slope(jnp.float32(0.0)), 1000, 1e-6)


@pytest.mark.parametrize(
  ('field', 'value'), [('width', 0), ('head_width', 0), ('taps', 1)]
)
def test_settings_are_checked(field: str, value: int) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': HEAD}
  rule = f'^{field}: {value}: must be at least'
  with pytest.raises(ConfigError, match=rule):
    RGLRU(**settings | {field: value})


def test_units_are_whole_heads() -> None:
  rule = '^units: 6: must be 0 or a multiple of head_width, 4'
  with pytest.raises(ConfigError, match=rule):
    RGLRU(WIDTH, HEAD, units=6)
