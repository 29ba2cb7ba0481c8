"""A memory that looks ahead says late what a bidirectional one says at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model
from memjax.config.reader import read_experiment
from memjax.configs import lookahead
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.composed.bidirectional import Bidirectional
from memjax.models.composed.lookahead import Lookahead
from memjax.models.recurrent.gru import GRU
from memjax.types import Tokens
from tests.parity.layers import initial

WIDTH, LENGTH, START, STEPS = 3, 10, 6, 2


def read(model, params, x, reset_BT):
  start = model.initial_carry(len(x))
  return apply(model, params, start, x, reset_BT)[1]


@pytest.mark.slow
def test_each_output_is_what_both_ways_say_of_an_earlier_step() -> None:
  model = Lookahead(WIDTH, GRU(WIDTH), STEPS)
  both = Bidirectional(WIDTH, GRU(WIDTH))
  x = jax.random.normal(jax.random.key(1), (1, LENGTH, WIDTH))
  reset_BT = jnp.zeros((1, LENGTH), bool).at[0, jnp.array([0, START])].set(True)
  params = initial(model, model.initial_carry(1), x, reset_BT)
  y = read(model, params, x, reset_BT)
  for t in range(LENGTH):
    start = START if t >= START else 0
    if t - STEPS < start:
      assert not y[0, t].any(), 'there is no step to speak of'
      continue
    seen = x[:, start : t + 1]
    whole = read(both, params, seen, jnp.zeros(seen.shape[:2], bool))
    np.testing.assert_allclose(y[0, t], whole[0, -1 - STEPS], 1e-5, 1e-6)


def test_without_a_delay_it_is_the_plain_memory() -> None:
  model, plain = Lookahead(WIDTH, GRU(WIDTH), 0), GRU(WIDTH)
  x = jax.random.normal(jax.random.key(1), (2, 5, WIDTH))
  reset_BT = jnp.zeros((2, 5), bool)
  params = initial(model, model.initial_carry(2), x, reset_BT)
  inner = params['forward']
  y = read(model, params, x, reset_BT)
  np.testing.assert_array_equal(y, read(plain, inner, x, reset_BT))


def spec(**stack: object) -> dict:
  gru = {'name': 'gru.GRU'}
  layer = {'name': 'lookahead.Lookahead', 'steps': 2, 'layer': gru}
  fields = {'name': 'stack.Stack', 'width': WIDTH, 'layer': layer}
  return fields | {'wiring': 'plain', 'depth': 2} | stack


def test_delays_of_layers_add_up() -> None:
  assert build_model(spec(), Tokens(3), Tokens(3)).answer_delay == 4


def test_residuals_of_another_step_are_refused() -> None:
  with pytest.raises(ConfigError, match="wiring: 'pre_norm': must be 'plain'"):
    build_model(spec(wiring='pre_norm'), Tokens(3), Tokens(3))


def test_a_model_and_a_task_must_be_late_by_the_same() -> None:
  config = lookahead.get_config('gru-2,quick').unlock()
  assert read_experiment(config.to_dict()).model.answer_delay == 2
  config.model.layer.steps = 3
  rule = 'answers 3 steps late, and the labels of the task come 2 steps late'
  with pytest.raises(ConfigError, match=rule):
    read_experiment(config.to_dict())
