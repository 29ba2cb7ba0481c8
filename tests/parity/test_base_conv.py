"""BaseConv against the paper's equation in float64."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.linear.base_conv import BaseConv
from tests.parity.equations import affine, convolved
from tests.parity.layers import layer


def test_it_equals_the_papers_equation() -> None:
  under_test = layer(BaseConv(4), 4)
  p = under_test.params64()
  expected = [
    affine(p['gate'], x) * convolved(p['convolution'], x, reset)
    for x, reset in under_test.rows64()
  ]
  y = under_test.read([7, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), atol=1e-5)


def test_it_sees_its_taps() -> None:
  assert BaseConv(4, taps=5).horizon == 4
  with pytest.raises(ConfigError, match=r'^taps: 1: must be at least 2'):
    BaseConv(4, taps=1)
