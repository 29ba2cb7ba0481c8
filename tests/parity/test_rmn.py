"""Recurrent memory networks against the paper's equations in float64 NumPy."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.rmn import RMN, StackedMemory
from tests.parity.layers import layer

WIDTH = 5


def sigma(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def lstm(p: dict[str, Any], xs: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """h of every step of one row."""
  p, h, c, out = p['cell'], np.zeros(WIDTH), np.zeros(WIDTH), []
  for x, anew in zip(xs, reset, strict=True):
    if anew:
      h, c = np.zeros(WIDTH), np.zeros(WIDTH)
    a = x @ p['input_kernel'] + h @ p['recurrent_kernel'] + p['bias']
    i, f, g, o = np.split(a, 4)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    h = sigma(o) * np.tanh(c)
    out.append(h)
  return np.stack(out)


def memory_block(
  p: dict[str, Any], h: np.ndarray, words: list[np.ndarray]
) -> np.ndarray:
  """The block's equations for one state and its words, the oldest first."""
  to_m, to_c = p['M']['kernel'].T, p['C']['kernel']  # M is kept as h meets it
  scores = []
  for age, x in zip(range(len(words) - 1, -1, -1), words, strict=True):
    m = x @ to_m + p['T'][age]
    scores.append(m @ h)
  weights = softmax(np.array(scores))
  s = sum(w * (x @ to_c) for w, x in zip(weights, words, strict=True))
  u_z, u_r, u = np.split(p['U']['kernel'], 3, axis=1)
  v_z, v_r = np.split(p['V_gates']['kernel'], 2, axis=1)
  z = sigma(s @ u_z + h @ v_z)
  r = sigma(s @ u_r + h @ v_r)
  new = np.tanh(s @ u + (r * h) @ p['V']['kernel'])
  return (1 - z) * h + z * new


def rm(
  p: dict[str, Any], xs: np.ndarray, reset: np.ndarray, memory: int
) -> np.ndarray:
  hs, y = lstm(p['lstm'], xs, reset), []
  for t, h in enumerate(hs):
    run = max([s for s in range(t + 1) if reset[s]], default=0)
    oldest = max(t - memory + 1, run)
    y.append(memory_block(p, h, list(xs[oldest : t + 1])))
  return np.stack(y)


def rmr(
  p: dict[str, Any], xs: np.ndarray, reset: np.ndarray, memory: int
) -> np.ndarray:
  return lstm(p['above'], rm(p['below'], xs, reset, memory), reset)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize(
  ('kind', 'paper', 'memory'),
  [
    (RMN, rm, 1),
    (RMN, rm, 4),
    (RMN, rm, 20),
    (StackedMemory, rmr, 4),
  ],
)
def test_layer_equals_the_papers_equations(
  kind: Any, paper: Any, memory: int, sizes: list[int]
) -> None:
  under_test = layer(kind(WIDTH, memory), WIDTH, scale=0.6)
  expected = [
    paper(under_test.params64(), *row, memory) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', [RMN, StackedMemory])
@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'width': 0}, 'width: 0: must be at least 1'),
    ({'window': 0}, 'window: 0: must be at least 1'),
    ({'width': 6}, 'width: 6: must be the width of the inputs, 5'),
  ],
)
def test_wrong_fields_are_refused(
  kind: Any, fields: dict[str, int], line: str
) -> None:
  with pytest.raises(ConfigError) as error:
    layer(kind(**{'width': WIDTH, 'window': 3} | fields), WIDTH)
  assert str(error.value) == line
