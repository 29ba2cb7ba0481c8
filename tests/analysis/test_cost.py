"""The cost of memories whose size and delay are known."""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.cost import measure_cost
from memjax.analysis.linear_probes import fit_probes
from memjax.analysis.state_size import fano, state_size
from memjax.errors import ConfigError
from memjax.models.base import Memory
from tests.analysis.known import (
  DelayLine,
  LeakyIntegrator,
  Noise,
  OneHotDelayLine,
  RepeatToken,
)


def test_bytes_of_a_state() -> None:
  assert state_size(OneHotDelayLine(5, 3)) == (3 * 5 * 4, 0)
  assert state_size(DelayLine(5, 3)) == (0, 3 * 4)
  assert state_size(LeakyIntegrator(7)).bits == 7 * 32


@pytest.mark.parametrize(
  ('model', 'bits'),
  [(OneHotDelayLine, 32 * 4), (DelayLine, 32)],
)
def test_a_delay_line_spends_the_size_of_a_token_on_each_symbol(
  model: Any, bits: int
) -> None:
  """A token is V floats or one integer."""
  task, delay = RepeatToken(), 3
  line = model(task.vocab, delay)
  found = fit_probes(line, {'sure': jnp.ones(2)}, task, np.arange(5), 32, 20)
  dear = found.density
  assert dear is not None
  assert dear.state_bits == delay * bits
  np.testing.assert_allclose(dear.symbols, delay, atol=0.05)
  np.testing.assert_allclose(dear.recalled_bits, 2 * delay, atol=0.1)
  np.testing.assert_allclose(dear.bits_per_symbol, bits, rtol=0.02)


def test_fano_is_exact_if_all_errors_are_equally_likely() -> None:
  """A symmetric channel with error probability e."""
  accuracy, classes = np.array([0.25, 0.4, 0.7, 1.0]), 4
  joint = np.full((4, classes, classes), 0.0)
  for i, right in enumerate(accuracy):
    wrong = (1 - right) / (classes - 1)
    joint[i] = (wrong + (right - wrong) * np.eye(classes)) / classes
  ratio = joint * classes**2
  information = (joint * np.log2(np.where(ratio > 0, ratio, 1))).sum((1, 2))
  np.testing.assert_allclose(
    fano(accuracy, np.array(2.0), classes), information
  )
  assert information[0] == 0


def test_features_have_no_density() -> None:
  model, task = LeakyIntegrator(2), Noise()
  found = fit_probes(model, {'decay': jnp.ones(1)}, task, np.arange(2), 8, 4)
  assert found.density is None


class StoresAll(Memory):
  """Stores the outer product of every step, T D D numbers."""

  width: int

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size, 1))

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    scale = self.param('scale', nn.initializers.ones, ())
    stored = jnp.cumsum(x[..., :, None] * x[..., None, :], axis=1)
    return carry, scale * jnp.linalg.norm(stored, axis=-1)


def test_speed_and_memory_by_length() -> None:
  width, rows = 32, 4
  model, params = StoresAll(width), {'scale': jnp.ones(2)}
  lengths = np.array([8, 64])
  costs = measure_cost(
    model, params, Noise(width=width), lengths, rows, repeats=3
  )
  assert costs.state == (4, 0)
  for name in ('forward', 'gradient'):
    slow, middle, fast = costs.tokens_per_second[name].T
    assert costs.memory[name].shape == middle.shape == (2,)
    assert (slow > 0).all()
    assert (slow <= middle).all()
    assert (middle <= fast).all()
    stored = 4 * rows * lengths * width**2
    assert (costs.memory[name] >= stored).all()
  assert (costs.memory['gradient'] >= costs.memory['forward']).all()


def test_lengths_and_repeats_out_of_bounds_are_refused() -> None:
  model, params = LeakyIntegrator(2), {'decay': jnp.ones(1)}
  for lengths in ([], [0, 4]):
    with pytest.raises(ConfigError, match='must all be at least 1'):
      measure_cost(model, params, Noise(), np.array(lengths))
  with pytest.raises(ConfigError, match='repeats'):
    measure_cost(model, params, Noise(), np.array([4]), repeats=0)
