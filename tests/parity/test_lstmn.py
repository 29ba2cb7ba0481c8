"""LSTMN against a float64 NumPy evaluation of the paper, with growing tapes."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.lstmn import LSTMN
from tests.parity.layers import layer

FEATURES, WIDTH = 3, 5


def sigma(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def lstmn(
  p: dict[str, Any], xs: np.ndarray, reset: np.ndarray, memory: int
) -> np.ndarray:
  """One row. The tapes are lists; a step reads the last `memory` entries."""
  hidden: list[np.ndarray] = []
  cells: list[np.ndarray] = []
  summary, y = np.zeros(WIDTH), []
  for x, anew in zip(xs, reset, strict=True):
    if anew:
      hidden, cells, summary = [], [], np.zeros(WIDTH)
    scores = [
      p['v']
      @ np.tanh(
        h @ p['tape_kernel']
        + x @ p['attention']['kernel']
        + summary @ p['summary_kernel']
      )
      for h in hidden[-memory:]
    ]
    summary, cell = np.zeros(WIDTH), np.zeros(WIDTH)
    if scores:
      weights = softmax(np.array(scores))
      summary = weights @ np.stack(hidden[-memory:])
      cell = weights @ np.stack(cells[-memory:])
    gates = summary @ p['recurrent_kernel']
    gates = gates + x @ p['gates']['kernel'] + p['gates']['bias']
    i, f, o, g = np.split(gates, 4)
    c = sigma(f) * cell + sigma(i) * np.tanh(g)
    h = sigma(o) * np.tanh(c)
    hidden.append(h)
    cells.append(c)
    y.append(h)
  return np.stack(y)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('memory', [1, 4, 20])
def test_layer_equals_the_papers_equations(
  memory: int, sizes: list[int]
) -> None:
  under_test = layer(LSTMN(WIDTH, memory), FEATURES, scale=0.8)
  expected = [
    lstmn(under_test.params64(), *row, memory) for row in under_test.rows64()
  ]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


def test_only_the_forget_gates_bias_starts_at_one() -> None:
  params = layer(LSTMN(WIDTH, 2), FEATURES).fresh_params()
  bias = np.split(np.asarray(params['gates']['bias']), 4)
  assert [set(part) for part in bias] == [{0}, {1}, {0}, {0}]


@pytest.mark.parametrize('field', ['width', 'window'])
def test_wrong_fields_are_refused(field: str) -> None:
  fields: dict[str, Any] = {'width': WIDTH, 'window': 3}
  with pytest.raises(ConfigError) as error:
    LSTMN(**fields | {field: 0})
  assert str(error.value) == f'{field}: 0: must be at least 1'
