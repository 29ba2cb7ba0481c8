"""Attention and gates whose figures are known."""

from pathlib import Path
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.attention_by_lag import attention_by_lag, by_source
from memjax.analysis.time_constants import time_constants
from memjax.config.build import build_model
from memjax.errors import ConfigError
from memjax.models.base import Memory, wants_intermediates
from memjax.tasks.language.text import Text
from tests.analysis.known import DelayLine, Noise, RepeatToken

ROWS, BATCHES, WINDOW = 8, 3, 4


class LooksBack(Memory):
  """Gives all weight to the step `lag` steps back, or none before that."""

  lag: int

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size,), jnp.int32)

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    share = self.param('share', nn.initializers.ones, ())
    steps = jnp.arange(x.shape[1])
    age_BT = carry[:, None] + steps[None]
    age_BT = jnp.where(reset_BT[:, :1], steps[None], age_BT)
    if wants_intermediates(self):
      weights = share * jax.nn.one_hot(self.lag, self.lag + 3)
      reached_BT11 = (age_BT >= self.lag)[..., None, None]
      weights = jnp.where(reached_BT11, weights[None, None, None], 0)
      self.sow('intermediates', 'lag_weights', weights)
    return age_BT[:, -1] + 1, jnp.zeros((*x.shape, 4))


def stacked(task: Any, memory: dict[str, Any], **stack: Any) -> Memory:
  spec = {'name': 'stack.Stack', 'width': 4, 'layer': memory} | stack
  return build_model(spec, task.input_spec, task.output_spec)


def zeros(model: Memory, task: Any, replicas: int) -> Any:
  """Parameters that are all 0, so no input changes a gate or a weight."""
  inputs = jnp.zeros((1, 1, 2) if isinstance(task, Noise) else (1, 1))
  if not isinstance(task, Noise):
    inputs = inputs.astype(jnp.int32)
  shapes = jax.eval_shape(
    model.init,
    jax.random.key(0),
    model.initial_carry(1),
    inputs,
    jnp.zeros((1, 1), bool),
  )
  return jax.tree.map(
    lambda p: jnp.zeros((replicas, *p.shape)), shapes['params']
  )


def test_all_weight_is_at_the_lag_of_the_model() -> None:
  task, lag = RepeatToken(lag=5), 5
  params = {'share': jnp.array([1.0, 0.5])}
  found = attention_by_lag(LooksBack(lag), params, task, ROWS, BATCHES)
  assert found.steps == ROWS * BATCHES * (task.length - 5)
  share_NHR = found.share['lag_weights']
  wanted_R = np.eye(lag + 3)[lag]
  np.testing.assert_array_equal(share_NHR[:, 0], [wanted_R, wanted_R / 2])


def test_the_map_has_each_weight_at_the_step_that_is_read() -> None:
  params = {'share': jnp.ones(1)}
  task = RepeatToken(lag=2, length=6)
  found = attention_by_lag(LooksBack(2), params, task, ROWS, BATCHES)
  assert len(found.symbols) == task.length
  drawn = by_source(found.example['lag_weights'])
  wanted_TS = np.eye(6, k=-2)
  np.testing.assert_array_equal(drawn.values[:, : 6 - drawn.first], wanted_TS)
  assert drawn.first == 0


def test_the_map_of_a_text_reaches_into_earlier_segments() -> None:
  weights_TR = np.tile(np.eye(5)[3], (4, 1))  # all steps look 3 steps back
  drawn = by_source(weights_TR)
  assert drawn.first == -3
  np.testing.assert_array_equal(drawn.values[:, :4], np.eye(4))


def test_the_carry_of_a_text_flows_on(tmp_path: Path) -> None:
  """Later segments attend to inputs that the first steps cannot have read."""
  (tmp_path / 'a.txt').write_bytes(b'ab' * 2000)
  task = Text(corpus='files', path=str(tmp_path / 'a.txt'), length=4)
  params = {'share': jnp.ones(1)}
  found = attention_by_lag(LooksBack(5), params, task, ROWS, BATCHES)
  steps = BATCHES * task.length
  share = found.share['lag_weights'][0, 0, 5]
  np.testing.assert_allclose(share, (steps - 5) / steps, rtol=1e-6)


def test_attention_without_parameters_is_uniform() -> None:
  """Before the window is full, each of the t + 1 steps has an equal share."""
  task = RepeatToken(lag=2, length=7)
  memory = {'name': 'transformer.SlidingAttention', 'head_width': 2}
  model = stacked(task, memory | {'window': WINDOW})
  found = attention_by_lag(model, zeros(model, task, 2), task, ROWS, BATCHES)
  wanted_R = np.zeros(WINDOW + 1)
  for t in range(2, 7):
    seen = min(t, WINDOW) + 1
    wanted_R[:seen] += 1 / seen / 5
  (share_NHR,) = found.share.values()
  assert share_NHR.shape == (2, 2, WINDOW + 1)
  np.testing.assert_allclose(share_NHR, np.tile(wanted_R, (2, 2, 1)), rtol=1e-6)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('name', 'gate'), [('lstm.LSTM', 'forget_gate'), ('gru.GRU', 'update_gate')]
)
def test_a_constant_gate_has_the_time_constant_of_its_bias(
  name: str, gate: str
) -> None:
  task, taus = Noise(length=8), np.array([2.0, 100.0])
  model = stacked(task, {'name': name})
  params = zeros(model, task, 2)
  kept_N = np.exp(-1 / taus)
  bias_N = jnp.asarray(np.log(kept_N / (1 - kept_N)), jnp.float32)
  cell = params['layer_0']['memory']['cell']
  cell['bias'] = cell['bias'].at[:, 4:8].set(bias_N[:, None])
  found = time_constants(model, params, task, ROWS, BATCHES)
  path = f'layer_0/memory/cell/{gate}'
  assert set(found.steps) == {path}
  wanted_ND = np.tile(taus[:, None], 4)
  np.testing.assert_allclose(found.steps[path], wanted_ND, rtol=1e-4)
  wanted_ND = np.tile(kept_N[:, None], 4)
  np.testing.assert_allclose(found.gate[path], wanted_ND, rtol=1e-5)


def test_a_model_without_attention_or_gates_is_refused() -> None:
  task, params = RepeatToken(), {'sure': jnp.ones(1)}
  model = DelayLine(task.vocab, 3)
  with pytest.raises(ConfigError, match='no attention to its own past'):
    attention_by_lag(model, params, task, ROWS)
  with pytest.raises(ConfigError, match='no gate that keeps'):
    time_constants(model, params, task, ROWS)
