"""MesaNet against its equations in float64, each step solved exactly."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.mesa_net import MesaNet
from tests.parity.equations import (
  affine,
  convolved,
  rms,
  sigmoid,
  silu,
  softplus,
  unit,
)
from tests.parity.layers import layer

WIDTH, HEADS, HEAD = 6, 2, 3


def row(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row, `(T, D)`."""
  qk, v = np.split(affine(p['qkv'], x), [2 * HEADS * HEAD], axis=1)
  qk = silu(convolved(p['convolution'], qk, reset))
  penalty = (0.25 + softplus(p['penalty'])).reshape(HEADS, HEAD)
  gram, moments = np.zeros((2, HEADS, HEAD, HEAD))
  y = np.zeros((len(x), HEADS, HEAD))
  for t in range(len(x)):
    gram, moments = (0 * a if reset[t] else a for a in (gram, moments))
    q, k = (a.reshape(HEADS, HEAD) for a in np.split(qk[t], 2))
    decay, beta = np.split(sigmoid(affine(p['gates'], x[t])), 2)
    for h in range(HEADS):
      key, value = unit(k[h]), v[t].reshape(HEADS, HEAD)[h]
      gram[h] = decay[h] * gram[h] + beta[h] * np.outer(key, key)
      moments[h] = decay[h] * moments[h] + beta[h] * np.outer(key, value)
      solved = np.linalg.solve(gram[h] + np.diag(penalty[h]), unit(q[h]))
      y[t, h] = rms(p['norm'], moments[h].T @ solved)
  return affine(p['output'], y.reshape(len(x), -1))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(('sizes', 'chunk'), [([13], 32), ([7, 1, 5], 4)])
def test_it_equals_the_papers_equations(sizes: list[int], chunk: int) -> None:
  model = MesaNet(WIDTH, HEAD, chunk=chunk, iterations=8)
  under_test = layer(model, WIDTH)
  expected = [row(under_test.params64(), *r) for r in under_test.rows64()]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-5, atol=2e-5)


def test_the_penalty_starts_at_one() -> None:
  penalty = layer(MesaNet(WIDTH, HEAD), WIDTH).fresh_params()['penalty']
  np.testing.assert_allclose(
    0.25 + softplus(np.asarray(penalty)), 1.0, rtol=1e-5
  )


@pytest.mark.parametrize('field', ['head_width', 'iterations', 'chunk'])
def test_settings_are_checked(field: str) -> None:
  settings: dict[str, Any] = {'width': WIDTH, 'head_width': 2}
  with pytest.raises(ConfigError, match=f'^{field}: 0: must be at least 1'):
    MesaNet(**settings | {field: 0})
