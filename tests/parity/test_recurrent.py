"""Recurrent layers against Flax, PyTorch's golden values and a NumPy loop."""

from pathlib import Path
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import Memory, apply
from memjax.models.recurrent.gru import GRU
from memjax.models.recurrent.lstm import LSTM, LSTMState
from memjax.models.recurrent.rnn import RNN
from memjax.models.stack import Stack
from memjax.types import Features
from tests.parity.layers import initial, read
from tests.trees import structure

GOLDEN = Path(__file__).parent / 'golden'
ROWS, STEPS, FEATURES, WIDTH = 2, 35, 3, 4
LAYERS: dict[str, Memory] = {
  'rnn': RNN(WIDTH),
  'rnn_relu': RNN(WIDTH, activation='relu'),
  'lstm': LSTM(WIDTH),
  'gru': GRU(WIDTH),
}


def arrays_of(carry: Any) -> list[jax.Array]:
  return jax.tree.leaves(carry)


def draw(layer: Memory) -> tuple[dict[str, Any], Any, jax.Array]:
  """Random parameters, carry and inputs."""
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(ROWS, STEPS, FEATURES)), jnp.float32)
  carry = layer.initial_carry(ROWS)
  reset_BT = jnp.zeros((ROWS, STEPS), bool)
  params = initial(layer, carry, x, reset_BT)['cell']
  params, carry = jax.tree.map(
    lambda v: v + jnp.asarray(rng.normal(size=v.shape) / 2, v.dtype),
    (params, carry),
  )
  return params, carry, x


def draw_fresh(layer: Memory) -> tuple[dict[str, Any], Any, jax.Array]:
  """Parameters as the layer draws them, an empty carry and zeros."""
  x, carry = jnp.zeros((ROWS, 1, FEATURES)), layer.initial_carry(ROWS)
  params = initial(layer, carry, x, jnp.zeros((ROWS, 1), bool))
  return params['cell'], carry, x


def read_plainly(params: Any, carry: Any, x: Any) -> np.ndarray:
  reset_BT = jnp.zeros((ROWS, STEPS), bool)
  return np.asarray(read(LSTM(WIDTH), {'cell': params}, carry, x, reset_BT)[1])


# Flax


def flax_of(name: str, p: dict[str, Any], carry: Any) -> tuple[Any, Any, Any]:
  """Flax's cell, its parameters and its carry."""
  if name == 'lstm':
    gates = 'ifgo'
    inputs = jnp.split(p['input_kernel'], 4, 1)
    hidden = jnp.split(p['recurrent_kernel'], 4, 1)
    biases = jnp.split(p['bias'], 4)
    params = {f'i{g}': {'kernel': inputs[i]} for i, g in enumerate(gates)}
    params |= {
      f'h{g}': {'kernel': hidden[i], 'bias': biases[i]}
      for i, g in enumerate(gates)
    }
    return nn.OptimizedLSTMCell(WIDTH), params, (carry.c_BD, carry.h_BD)
  if name == 'gru':
    inputs = jnp.split(p['input_kernel'], 3, 1)
    hidden = jnp.split(p['recurrent_kernel'], 3, 1)
    biases = jnp.split(p['bias'], 4)
    params = {
      f'i{g}': {'kernel': inputs[i], 'bias': biases[i]}
      for i, g in enumerate('rzn')
    }
    params |= {f'h{g}': {'kernel': hidden[i]} for i, g in enumerate('rzn')}
    params['hn']['bias'] = biases[3]
    return nn.GRUCell(WIDTH), params, carry
  params = {
    'i': {'kernel': p['input_kernel'], 'bias': p['bias']},
    'h': {'kernel': p['recurrent_kernel']},
  }
  activation = jnp.tanh if name == 'rnn' else jax.nn.relu
  return nn.SimpleCell(WIDTH, activation_fn=activation), params, carry


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('name', LAYERS)
def test_outputs_and_gradients_are_those_of_flax(name: str) -> None:
  layer = LAYERS[name]
  params, carry, x = draw(layer)
  reset_BT = jnp.zeros((ROWS, STEPS), bool)

  def ours(params: Any, carry: Any, x: Any) -> tuple[Any, Any]:
    return layer.apply({'params': {'cell': params}}, carry, x, reset_BT)

  def flax(params: Any, carry: Any, x: Any) -> tuple[Any, Any]:
    cell, theirs, start = flax_of(name, params, carry)
    last, y = nn.RNN(cell, return_carry=True).apply(
      {'params': {'cell': theirs}}, x, initial_carry=start
    )
    return LSTMState(last[1], last[0]) if name == 'lstm' else last, y

  def loss(apply: Any, *leaves: Any) -> tuple[jax.Array, Any]:
    last, y = apply(*leaves)
    total = jnp.zeros(())
    for v in (*arrays_of(last), y):
      total += jnp.sin(v).sum()
    return total, (last, y)

  got, expected = (
    jax.jit(
      jax.grad(lambda *v, f=f: loss(f, *v), argnums=(0, 1, 2), has_aux=True)
    )(params, carry, x)
    for f in (ours, flax)
  )
  assert structure(got) == structure(expected)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


# PyTorch


def from_torch(arrays: Any, layer: int = 0) -> dict[str, np.ndarray]:
  """Our parameters, from PyTorch's (or our gradients, from PyTorch's)."""
  w, u, b, c = (
    arrays[f'{name}_l{layer}']
    for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
  )
  bias = b + c
  if len(b) == 3 * WIDTH:
    sums = 2 * WIDTH
    bias = np.concatenate([bias[:sums], b[sums:], c[sums:]])
  return {'input_kernel': w.T, 'recurrent_kernel': u.T, 'bias': bias}


def gradient_from_torch(golden: Any) -> dict[str, np.ndarray]:
  """Both of PyTorch's biases have the gradient of their sum."""
  names = [n for n in golden if n.startswith('grad.')]
  grads = {n.removeprefix('grad.'): golden[n] for n in names}
  if len(grads['bias_ih_l0']) == 3 * WIDTH:
    grads['bias_hh_l0'] = grads['bias_hh_l0'].copy()
    grads['bias_hh_l0'][: 2 * WIDTH] = 0
  else:
    grads['bias_hh_l0'] = np.zeros_like(grads['bias_hh_l0'])
  return from_torch(grads)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('name', LAYERS)
def test_outputs_and_gradients_are_those_of_pytorch(name: str) -> None:
  golden = np.load(GOLDEN / f'torch_{name}.npz')
  layer = LAYERS[name]
  names = ['h', 'c'] if name == 'lstm' else ['h']
  with jax.enable_x64(True):
    x = jnp.asarray(golden['x'])
    states = [jnp.asarray(golden[n][0]) for n in names]
    start = structure(layer.initial_carry(ROWS)).unflatten(states)
    params = jax.tree.map(jnp.asarray, from_torch(golden))

    def loss(params: Any, start: Any, x: jax.Array) -> tuple[jax.Array, Any]:
      last, y = layer.apply(
        {'params': {'cell': params}}, start, x, jnp.zeros(x.shape[:2], bool)
      )
      total = (y * golden['weight_y']).sum()
      for v in arrays_of(last):
        total += (v * golden['weight_state'][0]).sum()
      return total, [y, *arrays_of(last)]

    grad = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    (d_params, d_start, d_x), outputs = grad(params, start, x)
    got = [d_params, d_x, *arrays_of(d_start), *outputs]
    expected = [
      gradient_from_torch(golden),
      golden['grad.x'],
      *(golden[f'grad.{n}'][0] for n in names),
      golden['y'],
      *(golden[f'last_{n}'][0] for n in names),
    ]
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10),
      got,
      expected,
    )


def test_two_layers_in_a_stack_are_pytorchs_num_layers() -> None:
  golden = np.load(GOLDEN / 'torch_lstm_2.npz')
  model = Stack(
    Features(FEATURES),
    Features(WIDTH),
    WIDTH,
    LSTM(WIDTH),
    depth=2,
    wiring='plain',
  )
  nothing = np.zeros(WIDTH, np.float32)
  first = from_torch(golden)
  first['input_kernel'] = np.pad(first['input_kernel'], ((0, 1), (0, 0)))
  identity = np.eye(WIDTH, dtype=np.float32)
  params = {
    'encoder': {'linear': {'kernel': identity[:FEATURES], 'bias': nothing}},
    'layer_0': {'memory': {'cell': first}},
    'layer_1': {'memory': {'cell': from_torch(golden, layer=1)}},
    'readout': {'kernel': identity, 'bias': nothing},
  }
  params = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), params)
  x = jnp.asarray(golden['x'], jnp.float32)
  start = tuple(
    LSTMState(jnp.asarray(h, jnp.float32), jnp.asarray(c, jnp.float32))
    for h, c in zip(golden['h'], golden['c'], strict=True)
  )
  reset_BT = jnp.zeros(x.shape[:2], bool)
  last, y = read(model, params, start, x, reset_BT)
  np.testing.assert_allclose(y, golden['y'], rtol=0, atol=2e-6)
  for i, state in enumerate(last):
    for a, n in zip(state, ('last_h', 'last_c'), strict=True):
      np.testing.assert_allclose(a, golden[n][i], rtol=0, atol=2e-6)


# NumPy


def sigma(a: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-a))


def numpy_step(
  name: str, params: dict[str, np.ndarray], state: list[np.ndarray], x: Any
) -> list[np.ndarray]:
  """One row, one step, straight from the equations in the docstrings."""
  z, p = x @ params['input_kernel'], state[0] @ params['recurrent_kernel']
  bias = params['bias']
  if name == 'lstm':
    i, f, g, o = np.split(z + p + bias, 4)
    c = sigma(f) * state[1] + sigma(i) * np.tanh(g)
    return [sigma(o) * np.tanh(c), c]
  if name == 'coupled':
    f, g, o = np.split(z + p + bias, 3)
    c = sigma(f) * state[1] + (1 - sigma(f)) * np.tanh(g)
    return [sigma(o) * np.tanh(c), c]
  if name == 'peepholes':
    i, f, g, o = np.split(z + p + bias[: 4 * WIDTH], 4)
    to_i, to_f, to_o = np.split(bias[4 * WIDTH :], 3)
    kept = sigma(f + to_f * state[1]) * state[1]
    c = kept + sigma(i + to_i * state[1]) * np.tanh(g)
    return [sigma(o + to_o * c) * np.tanh(c), c]
  if name == 'coupled peepholes':
    f, g, o = np.split(z + p + bias[: 3 * WIDTH], 3)
    to_f, to_o = np.split(bias[3 * WIDTH :], 2)
    f = sigma(f + to_f * state[1])
    c = f * state[1] + (1 - f) * np.tanh(g)
    return [sigma(o + to_o * c) * np.tanh(c), c]
  if name == 'gru':
    z, p, b = np.split(z, 3), np.split(p, 3), np.split(bias, 4)
    r = sigma(z[0] + p[0] + b[0])
    u = sigma(z[1] + p[1] + b[1])
    n = np.tanh(z[2] + b[2] + r * (p[2] + b[3]))
    return [(1 - u) * n + u * state[0]]
  a = z + p + bias
  return [np.tanh(a) if name == 'rnn' else np.maximum(a, 0)]


OPTIONS: dict[str, Memory] = {
  'coupled': LSTM(WIDTH, coupled=True),
  'peepholes': LSTM(WIDTH, peepholes=True),
  'coupled peepholes': LSTM(WIDTH, coupled=True, peepholes=True),
}


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize('name', LAYERS | OPTIONS)
def test_resets_and_outputs_are_those_of_a_numpy_loop(name: str) -> None:
  layer = (LAYERS | OPTIONS)[name]
  params, carry, x = draw(layer)
  reset_BT = np.zeros((ROWS, STEPS), bool)
  reset_BT[0, [0, 4, 5, 16, 30]] = True
  reset_BT[1, [17, 34]] = True
  last, y = read(layer, {'cell': params}, carry, x, jnp.asarray(reset_BT))
  wide = {n: np.asarray(v, np.float64) for n, v in params.items()}
  for b in range(ROWS):
    state = [np.asarray(v[b], np.float64) for v in arrays_of(carry)]
    for t in range(STEPS):
      if reset_BT[b, t]:
        state = [np.zeros(WIDTH) for _ in state]
      state = numpy_step(name, wide, state, np.asarray(x[b, t], np.float64))
      np.testing.assert_allclose(y[b, t], state[0], rtol=1e-5, atol=2e-6)
    for a, v in zip(arrays_of(last), state, strict=True):
      np.testing.assert_allclose(a[b], v, rtol=1e-5, atol=2e-6)


# Fields


def test_an_lstm_starts_to_remember_by_its_forget_bias() -> None:
  layer = LSTM(WIDTH, forget_bias=2.5)
  x = jnp.zeros((ROWS, 1, FEATURES))
  none = jnp.zeros((ROWS, 1), bool)
  params = initial(layer, layer.initial_carry(ROWS), x, none)['cell']
  expected = np.repeat([0, 2.5, 0, 0], WIDTH)
  np.testing.assert_array_equal(params['bias'], expected)
  for block in jnp.split(params['recurrent_kernel'], 4, 1):
    np.testing.assert_allclose(block @ block.T, np.eye(WIDTH), atol=1e-6)


def test_options_start_at_the_plain_lstms_gates() -> None:
  fields = dict[str, Any](forget_bias=2.0, peepholes=True)
  params, _, _ = draw_fresh(LSTM(WIDTH, **fields))
  expected = np.repeat([0, 2.0, 0, 0, 0, 0, 0], WIDTH)
  np.testing.assert_array_equal(params['bias'], expected)
  params, _, _ = draw_fresh(LSTM(WIDTH, coupled=True, **fields))
  expected = np.repeat([2.0, 0, 0, 0, 0], WIDTH)
  np.testing.assert_array_equal(params['bias'], expected)
  assert params['recurrent_kernel'].shape == (WIDTH, 3 * WIDTH)


@pytest.mark.slow
def test_recurrent_dropout_is_one_mask_a_row_and_call() -> None:
  """Training reads h through a mask; where it hides all of h, U is nothing."""
  layer = LSTM(WIDTH, recurrent_dropout=0.99)
  params, carry, x = draw(layer)
  reset_BT = jnp.zeros((ROWS, STEPS), bool)

  def read(params: Any, noise: Any = None) -> np.ndarray:
    given = {'cell': params}, carry, x, reset_BT
    return np.asarray(apply(layer, *given, noise=noise)[1])

  without = params | {'recurrent_kernel': 0 * params['recurrent_kernel']}
  key = jax.random.key(0)
  np.testing.assert_allclose(read(params, key), read(without), atol=1e-6)
  np.testing.assert_array_equal(read(params), read_plainly(params, carry, x))
  assert abs(read(params) - read(without)).max() > 0.1
  half = LSTM(WIDTH, recurrent_dropout=0.5)
  drawn = [
    np.asarray(apply(half, {'cell': params}, carry, x, reset_BT, noise=k)[1])
    for k in (key, key, jax.random.key(1))
  ]
  np.testing.assert_array_equal(drawn[0], drawn[1])
  assert abs(drawn[0] - drawn[2]).max() > 0.01


@pytest.mark.parametrize(
  ('make', 'field'),
  [
    (lambda: RNN(0), 'width'),
    (lambda: LSTM(-1), 'width'),
    (lambda: GRU(0), 'width'),
    (lambda: RNN(4, activation='sigmoid'), 'activation'),
    (lambda: LSTM(4, forget_bias=float('nan')), 'forget_bias'),
    (lambda: LSTM(4, recurrent_dropout=1.0), 'recurrent_dropout'),
  ],
)
def test_a_bad_field_is_named(make: Any, field: str) -> None:
  with pytest.raises(ConfigError, match=f'^{field}: '):
    make()
