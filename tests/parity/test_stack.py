"""What a stack adds to its layers, against NumPy in float64."""

from collections.abc import Callable
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.transformer import (
  BlockAttention,
  SlidingAttention,
)
from memjax.models.base import Memory, apply, apply_body
from memjax.models.recurrent.gru import GRU
from memjax.models.recurrent.lstm import LSTM
from memjax.models.stack import Stack
from memjax.types import Features, Tokens

ROWS, LENGTH, WIDTH, VOCAB = 2, 9, 4, 7
TEXT = Tokens(VOCAB), Tokens(VOCAB)


class Ones(Memory):
  """A layer without parameters: adds 1, whatever it reads."""

  width: int = WIDTH
  index: int = -1
  depth: int = -1

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,))

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return carry + 0.0, jnp.ones_like(x)


class Place(Ones):
  """A layer that says which one it is, of how many."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return carry + 0.0, jnp.full_like(x, 10 * self.index + self.depth)


def ids() -> jax.Array:
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.integers(0, VOCAB, (ROWS, LENGTH)), jnp.int32)


NO_RESET = jnp.zeros((ROWS, LENGTH), bool)


def params_of(model: Stack, inputs: jax.Array) -> Any:
  carry = model.initial_carry(ROWS)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), carry, inputs, NO_RESET
  )
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def outputs(
  model: Stack, params: Any, inputs: jax.Array, reset_BT: Any = NO_RESET
) -> np.ndarray:
  carry = model.initial_carry(ROWS)
  _, y = jax.jit(lambda p, c: apply(model, p, c, inputs, reset_BT))(
    params, carry
  )
  return np.asarray(y)


def float64(tree: Any) -> Any:
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def dense(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
  return x @ p['kernel'] + p['bias']


def layer_norm(p: Any, x: np.ndarray, epsilon: float) -> np.ndarray:
  centred = x - x.mean(-1, keepdims=True)
  variance = (centred**2).mean(-1, keepdims=True)
  return centred / np.sqrt(variance + epsilon) * p['scale'] + p['bias']


def rms_norm(p: Any, x: np.ndarray, epsilon: float) -> np.ndarray:
  square = (x**2).mean(-1, keepdims=True)
  return x / np.sqrt(square + epsilon) * p['scale']


def offset_rms_norm(p: Any, x: np.ndarray, epsilon: float) -> np.ndarray:
  return rms_norm({'scale': 1 + p['scale']}, x, epsilon)


def gelu(x: np.ndarray) -> np.ndarray:
  inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
  return 0.5 * x * (1 + np.tanh(inner))


def gelu_exact(x: np.ndarray) -> np.ndarray:
  return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def swiglu(x: np.ndarray) -> np.ndarray:
  gate, value = np.split(x, 2, axis=-1)
  return gate / (1 + np.exp(-gate)) * value


def geglu(x: np.ndarray) -> np.ndarray:
  gate, value = np.split(x, 2, axis=-1)
  return gelu(gate) * value


@pytest.mark.fast_cases(8)
@pytest.mark.parametrize(
  ('name', 'norm', 'epsilon'),
  [
    ('layer', layer_norm, 1e-6),
    ('layer', layer_norm, 0.5),
    ('rms', rms_norm, 0.5),
    ('rms_offset', offset_rms_norm, 0.5),
  ],
)
@pytest.mark.parametrize(
  ('activation', 'act'),
  [
    ('gelu', gelu),
    ('gelu_exact', gelu_exact),
    ('relu', lambda x: np.maximum(x, 0)),
    ('swiglu', swiglu),
    ('geglu', geglu),
  ],
)
def test_norms_and_activations_equal_numpy(
  name: str,
  norm: Callable[..., np.ndarray],
  epsilon: float,
  activation: str,
  act: Callable[[np.ndarray], np.ndarray],
) -> None:
  fields: dict[str, Any] = {'norm': name, 'epsilon': epsilon, 'mlp': 1.5}
  model = Stack(*TEXT, WIDTH, Ones(), activation=activation, **fields)
  params = params_of(model, ids())
  p = float64(params)
  x = p['encoder']['embedding']['embedding'][np.asarray(ids())] + 1
  layer = p['layer_0']
  hidden = act(dense(layer['mlp_in'], norm(layer['mlp_norm'], x, epsilon)))
  assert hidden.shape[-1] == 6
  x = x + dense(layer['mlp_out'], hidden)
  y = dense(p['readout'], norm(p['norm'], x, epsilon))
  np.testing.assert_allclose(outputs(model, params, ids()), y, atol=3e-4)


def test_a_tied_capped_readout_and_a_scaled_embedding_equal_numpy() -> None:
  model = Stack(
    *TEXT,
    WIDTH,
    Ones(),
    wiring='post_norm',
    epsilon=1.0,  # or the norm would undo the scale
    tie=True,
    softcap=3.0,
    embedding_scale=2.0,
  )
  params = params_of(model, ids())
  assert set(params) == {'encoder', 'layer_0'}
  p = float64(params)
  table = p['encoder']['embedding']['embedding']
  x = 2 * table[np.asarray(ids())] + 1
  h = layer_norm(p['layer_0']['memory_norm'], x, 1.0)
  y = 3 * np.tanh(h @ table.T / 3)
  np.testing.assert_allclose(outputs(model, params, ids()), y, atol=1e-4)


def test_a_pre_norm_stack_may_end_without_a_norm() -> None:
  model = Stack(*TEXT, WIDTH, Ones(), final_norm=False)
  params = params_of(model, ids())
  assert 'norm' not in params
  p = float64(params)
  h = p['encoder']['embedding']['embedding'][np.asarray(ids())] + 1
  y = dense(p['readout'], h)
  np.testing.assert_allclose(outputs(model, params, ids()), y, atol=1e-4)


def test_dropout_before_the_readout_is_of_training() -> None:
  model = Stack(*TEXT, WIDTH, Ones(), wiring='plain', readout_dropout=0.75)
  params = params_of(model, ids())
  read = params, model.initial_carry(ROWS), ids(), NO_RESET
  _, h = apply_body(model, *read, noise=jax.random.key(0))
  assert set(np.unique(h)) == {0.0, 4.0}
  np.testing.assert_array_equal(apply_body(model, *read)[1], 1.0)


@pytest.mark.parametrize('specs', [(Tokens(7), Tokens(6)), (Features(7),) * 2])
def test_only_one_vocabulary_is_tied(specs: tuple[Any, Any]) -> None:
  with pytest.raises(ConfigError, match=r'^tie: True: inputs and outputs must'):
    Stack(*specs, WIDTH, Ones(), tie=True)


@pytest.mark.parametrize('number', [0, 4])
def test_sines_and_cosines_of_the_place_since_the_reset(number: int) -> None:
  reset_BT = NO_RESET.at[0, 5].set(True)
  model = Stack(
    *TEXT,
    WIDTH,
    Ones(),
    wiring='plain',
    positions='sinusoidal',
    max_positions=number,
  )
  # A plain layer of ones hides the places: they are added before it.
  params = params_of(model, ids())
  carry = model.initial_carry(ROWS)

  def encoded(stack: Stack, carry: Any) -> Any:
    position, places = stack._positions(carry[0], reset_BT)
    return position, stack._timed(stack._encoder(ids()), places, 0)

  found: Any = model.apply({'params': params}, carry, method=encoded)
  next_B, x = found
  place = np.tile(np.arange(LENGTH), (ROWS, 1))
  place[0, 5:] -= 5
  place = place % number if number else place
  rate = 10_000.0 ** (-np.arange(0, WIDTH, 2) / WIDTH)
  angle = place[..., None] * rate
  table = float64(params)['encoder']['embedding']['embedding']
  expected = table[np.asarray(ids())]
  expected = expected + np.concatenate([np.sin(angle), np.cos(angle)], -1)
  np.testing.assert_allclose(x, expected, atol=1e-5)
  after = place[:, -1] + 1
  assert next_B.tolist() == (after % number if number else after).tolist()


def test_timing_of_layers_is_the_universal_transformers() -> None:
  """Before each use of the shared block, place and number are added."""
  model = Stack(
    *TEXT,
    WIDTH,
    Ones(),
    depth=3,
    share=True,
    wiring='post_norm',
    epsilon=1.0,
    positions='sinusoidal',
    timing='layers',
  )
  params = params_of(model, ids())
  p = float64(params)
  rate = 10_000.0 ** (-np.arange(0, WIDTH, 2) / WIDTH)
  signal = [
    np.concatenate([np.sin(n * rate), np.cos(n * rate)])
    for n in range(LENGTH + 1)
  ]
  places = np.stack(signal[:LENGTH])
  h = p['encoder']['embedding']['embedding'][np.asarray(ids())]
  for number in (1, 2, 3):
    h = layer_norm(
      p['layer_0']['memory_norm'], h + places + signal[number] + 1, 1.0
    )
  y = dense(p['readout'], h)
  np.testing.assert_allclose(outputs(model, params, ids()), y, atol=1e-4)


def test_shared_layers_are_one_block_with_a_carry_for_each_use() -> None:
  memories = {'layer': GRU(WIDTH), 'others': {'b': LSTM(WIDTH)}}
  fields: dict[str, Any] = memories | {'pattern': 'layer b', 'depth': 5}
  shared = Stack(*TEXT, WIDTH, share=True, **fields)
  params = params_of(shared, ids())
  assert {name for name in params if 'layer' in name} == {'layer_0', 'layer_1'}
  copied = params | {f'layer_{i}': params[f'layer_{i % 2}'] for i in range(5)}
  apart = Stack(*TEXT, WIDTH, **fields)
  assert len(shared.initial_carry(ROWS)) == 5
  np.testing.assert_allclose(
    outputs(shared, params, ids()), outputs(apart, copied, ids()), atol=1e-6
  )


def test_a_pattern_is_repeated_and_layers_know_their_place() -> None:
  model = Stack(
    *TEXT,
    WIDTH,
    Ones(),
    {'place': Place()},
    'layer place layer',
    depth=5,
    wiring='pre_norm',
  )

  def last(stack: Stack, carry: Any) -> Any:
    x = jnp.zeros((ROWS, LENGTH, WIDTH))
    for block, of_layer in zip(stack._blocks, carry, strict=True):
      _, x, _ = block(of_layer, x, NO_RESET, {}, False)
    return x

  params, carry = params_of(model, ids()), model.initial_carry(ROWS)
  x = model.apply({'params': params}, carry, method=last)
  # Layers 0, 2 and 3 add 1; layers 1 and 4 of 5 say their place.
  np.testing.assert_array_equal(x, 3 + (10 + 5) + (40 + 5))


def test_some_layers_have_an_mlp_and_others_none() -> None:
  fields: dict[str, Any] = {'others': {'b': Ones()}, 'pattern': 'layer b'}
  fields |= {'mlp': 1.0, 'mlp_after': 'b', 'depth': 4}
  params = params_of(Stack(*TEXT, WIDTH, Ones(), **fields), ids())
  assert {i for i in range(4) if 'mlp_in' in params[f'layer_{i}']} == {1, 3}
  with pytest.raises(ConfigError, match=r"^mlp_after: 'c': known: b, layer$"):
    Stack(*TEXT, WIDTH, Ones(), **fields | {'mlp_after': 'c'})


def attention(window: int) -> SlidingAttention:
  return SlidingAttention(WIDTH, 2, window)


def blocks(window: int) -> BlockAttention:
  return BlockAttention(WIDTH, 2, window)


@pytest.mark.parametrize(
  ('layer', 'others', 'fields', 'block', 'horizon'),
  [
    (attention(3), {}, {}, 0, 9),
    (blocks(4), {}, {}, 4, 3),
    (attention(3), {'other': attention(5)}, {}, 0, 11),
    (attention(3), {'other': blocks(4)}, {}, 0, 9),
    (attention(3), {'other': LSTM(WIDTH)}, {}, 0, 0),
    (attention(0), {}, {}, 0, 0),
    (blocks(4), {}, {'positions': 'learned'}, 4, 3),
  ],
)
def test_horizons_add_up_but_not_over_common_blocks(
  layer: Memory,
  others: dict[str, Memory],
  fields: dict[str, Any],
  block: int,
  horizon: int,
) -> None:
  pattern = 'layer other' if others else ''
  model = Stack(*TEXT, WIDTH, layer, others, pattern=pattern, depth=3, **fields)
  assert (model.block, model.horizon) == (block, horizon)


def test_a_longer_horizon_is_shared_out_among_the_layers() -> None:
  hybrid = Stack(
    *TEXT, WIDTH, attention(3), {'b': attention(6)}, 'layer b', depth=3
  )
  assert hybrid.horizon == 12
  longer = hybrid.with_horizon(20)
  assert isinstance(longer, Stack)
  assert (longer.horizon, longer.layer.horizon) == (20, 5)
  assert longer.others['b'].horizon == 10
  fewer = Stack(*TEXT, WIDTH, blocks(4), depth=3).with_horizon(9)
  assert (fewer.block, fewer.horizon) == (10, 9)


@pytest.mark.parametrize(
  ('model', 'horizon', 'rule'),
  [
    (Stack(*TEXT, WIDTH, LSTM(WIDTH)), 5, 'a layer of the stack has no hor'),
    (
      Stack(*TEXT, WIDTH, attention(3), depth=3),
      10,
      'positive multiple of 3',
    ),
    (Stack(*TEXT, WIDTH, attention(3), depth=3), 0, 'positive multiple of 3'),
    (
      Stack(*TEXT, WIDTH, blocks(4), positions='learned'),
      7,
      'learned positions exist',
    ),
  ],
)
def test_what_has_no_other_horizon_says_so(
  model: Stack, horizon: int, rule: str
) -> None:
  with pytest.raises(ConfigError, match=f'^horizon: {horizon}: .*{rule}'):
    model.with_horizon(horizon)
