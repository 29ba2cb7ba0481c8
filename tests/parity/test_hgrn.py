"""HGRN against its paper's equations in complex128."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.recurrent.hgrn import HGRN
from tests.parity.equations import affine, floors, sigmoid, silu
from tests.parity.layers import layer

WIDTH, FEATURES = 4, 3


def row(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray, floor: np.ndarray
) -> np.ndarray:
  """One row, `(T, D)`."""
  columns, outputs = affine(p['input'], x), []
  h = np.zeros(len(floor), complex)
  for t in range(len(x)):
    re, im, f, *gate = np.split(columns[t], 5)
    f = floor + (1 - floor) * sigmoid(f)
    c = silu(re) + 1j * silu(im)
    h = 0 * h if reset[t] else h
    h = f * np.exp(1j * p['angle']) * h + (1 - f) * c
    z = sigmoid(np.concatenate(gate)) * np.concatenate([h.real, h.imag])
    z = (z - z.mean()) / np.sqrt(z.var() + 1e-6)
    outputs.append(z * p['norm']['scale'] + p['norm']['bias'])
  return affine(p['output'], np.stack(outputs))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
@pytest.mark.parametrize('index', [0, 3])
def test_it_equals_the_papers_equations(index: int, sizes: list[int]) -> None:
  under_test = layer(HGRN(WIDTH, index, depth=4), FEATURES)
  p = under_test.params64()
  floor = floors(p['floors'], WIDTH, index)
  expected = [row(p, *a_row, floor) for a_row in under_test.rows64()]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=5e-5, atol=5e-5)


def test_angles_start_from_a_radian_down_to_nearly_none() -> None:
  angle = np.asarray(layer(HGRN(64), 2).fresh_params()['angle'])
  np.testing.assert_allclose(angle[[0, 32]], [1, 1e-4], rtol=1e-4)


def test_settings_are_checked() -> None:
  with pytest.raises(ConfigError, match=r'^width: 0: must be at least 1'):
    HGRN(0)
