"""A bidirectional memory is two memories, run by run, one read backwards."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model
from memjax.config.reader import read_experiment
from memjax.configs import pairs
from memjax.errors import ConfigError
from memjax.models.attention.transformer import SlidingAttention
from memjax.models.base import Memory
from memjax.models.composed.bidirectional import Bidirectional
from memjax.models.recurrent.gru import GRU
from memjax.types import Tokens
from tests.parity.layers import initial, read

WIDTH, STARTS, LENGTH = 4, (0, 3, 4, 9), 12


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'layer', [GRU(WIDTH), SlidingAttention(WIDTH, head_width=2, window=3)]
)
def test_each_run_is_read_both_ways(layer: Memory) -> None:
  model = Bidirectional(WIDTH, layer)
  x = jax.random.normal(jax.random.key(1), (1, LENGTH, WIDTH))
  reset_BT = jnp.zeros((1, LENGTH), bool).at[0, jnp.array(STARTS)].set(True)
  carry, none = model.initial_carry(1), jnp.zeros((1, LENGTH), bool)
  params = initial(model, carry, x, reset_BT)
  _, y = read(model, params, carry, x, reset_BT)

  def alone(name: str, run: jax.Array) -> jax.Array:
    fresh = layer.initial_carry(1)
    return read(layer, params[name], fresh, run, none[:, : run.shape[1]])[1]

  for start, end in zip(STARTS, (*STARTS[1:], LENGTH), strict=True):
    run = x[:, start:end]
    ahead, behind = alone('forward', run), alone('backward', run[:, ::-1])
    both = jnp.concatenate([ahead, behind[:, ::-1]], -1)
    output = params['output']
    expected = np.asarray(both @ output['kernel'] + output['bias'][None, None])
    np.testing.assert_allclose(y[:, start:end], expected, 1e-5, 1e-6)


def spec() -> dict:
  both = {'name': 'bidirectional.Bidirectional', 'layer': {'name': 'gru.GRU'}}
  return {'name': 'stack.Stack', 'width': WIDTH, 'layer': both}


def test_a_stack_of_them_is_not_causal() -> None:
  model = build_model(spec(), Tokens(7), Tokens(5))
  assert not model.causal
  assert {'segments'} == set(model.breaks)


def config_of(folder: Path, answer: str) -> dict[str, Any]:
  """A config of pairs whose model reads both ways."""
  path = folder / 'pairs.jsonl'
  path.write_text('{"source": "a", "target": "b", "split": "train"}\n')
  config = pairs.get_config('gru,quick').to_dict() | {'model': spec()}
  config['task'] |= {'corpus': 'files', 'path': str(path), 'answer': answer}
  config['checkpoint']['best'], config['evals'] = '', {}
  return config


def test_it_is_refused_where_later_inputs_have_the_answers(
  tmp_path: Path,
) -> None:
  rule = "model: 'stack.Stack': reads later inputs, and those of pairs.Pairs"
  with pytest.raises(ConfigError, match=rule):
    read_experiment(config_of(tmp_path, 'tokens'))
  assert not read_experiment(config_of(tmp_path, 'label')).model.causal
