"""What models show is what they compute, and costs nothing unless asked for."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.intermediates import look
from memjax.config.build import build_model
from memjax.models.base import Memory, apply
from memjax.models.recurrent.gru import GRU
from memjax.types import Features
from tests.parity.test_transformer_xl import float64

ROWS, STEPS, WIDTH, HEADS, BACK = 2, 12, 4, 2, 3
GATES = {'input_gate', 'forget_gate', 'output_gate'}

CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
  'lstm.LSTM': ({}, {f'cell/{gate}' for gate in GATES}),
  'gru.GRU': ({}, {'cell/reset_gate', 'cell/update_gate'}),
  'transformer.SlidingAttention': (
    {'head_width': WIDTH // HEADS, 'window': BACK},
    {'lag_weights'},
  ),
  'transformer.BlockAttention': (
    {'head_width': WIDTH // HEADS, 'window': BACK + 1},
    {'lag_weights'},
  ),
  'transformer_xl.TransformerXL': (
    {'head_width': WIDTH // HEADS, 'window': BACK},
    {'lag_weights'},
  ),
  'hopfield.HopfieldMemory': (
    {'head_width': WIDTH // HEADS, 'slots': BACK, 'updates': 2},
    {'update_0_lag_weights', 'update_1_lag_weights'},
  ),
  'key_value.KeyValueMemory': (
    {'slots': BACK, 'hops': 1},
    {'hop_0_lag_weights'},
  ),
  'rmn.RMN': (
    {'window': BACK},
    {'lag_weights', *(f'lstm/cell/{gate}' for gate in GATES)},
  ),
  'lstmn.LSTMN': ({'window': BACK}, {'lag_weights'}),
  'han.CausalHAN': (
    {},
    {'lag_weights', 'gru/cell/reset_gate', 'gru/cell/update_gate'},
  ),
  'memn2n.MemN2N': ({'slots': BACK, 'hops': 1}, {'hop_0_lag_weights'}),
  'entnet.EntNet': ({'slots': BACK}, {'read_weights', 'write_gate'}),
  'stack_rnn.StackRNN': ({'slots': BACK}, {'controller/action_weights'}),
  'tape_rnn.TapeRNN': ({'slots': BACK}, {'controller/action_weights'}),
  'schlag_delta.SchlagDelta': ({'head_width': WIDTH // HEADS}, {'write_gate'}),
  'ntm.NTM': (
    {'slots': BACK, 'slot_width': 2},
    {'read_weights', 'write_weights'},
  ),
  'dnc.DNC': (
    {'slots': BACK, 'slot_width': 2},
    {'read_weights', 'write_weights', 'allocation_gate', 'free_gate'},
  ),
}
MADE_ANYWAY = ('schlag_delta.SchlagDelta',)


class Looked(NamedTuple):
  """Reads the inputs in two halves; the first row has two resets inside."""

  model: Memory
  params: Any
  x_BTD: Any
  reset_BT: Any
  carry: Any
  y: Any
  shown: dict[str, Any]


@functools.cache
def looked(name: str) -> Looked:
  fields, _ = CASES[name]
  spec = {'name': name} | fields
  given = (Features(WIDTH),) * 2 if name.startswith('memn2n') else (None,) * 2
  model: Memory
  if given[0] is None:
    stack = {'name': 'stack.Stack', 'width': WIDTH, 'layer': spec}
    model = build_model(stack, Features(WIDTH), Features(WIDTH)).layer
  else:
    model = build_model(spec | {'width': WIDTH}, *given)
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(ROWS, STEPS, WIDTH)), jnp.float32)
  reset_BT = jnp.zeros((ROWS, STEPS), bool).at[0, jnp.array([4, 8])].set(True)
  carry = model.initial_carry(ROWS)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset_BT)
  params = jax.tree.map(
    lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )
  read = jax.jit(functools.partial(look, model))
  halves = []
  for piece in (slice(0, STEPS // 2), slice(STEPS // 2, STEPS)):
    carry, y, shown = read(params, carry, x[:, piece], reset_BT[:, piece])
    halves.append((y, shown))
  y, shown = jax.tree.map(lambda *a: np.concatenate(a, axis=1), *halves)
  return Looked(
    model, params, np.asarray(x), np.asarray(reset_BT), carry, y, shown
  )


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_what_is_shown_is_well_formed_and_changes_nothing(name: str) -> None:
  it = looked(name)
  assert set(it.shown) == CASES[name][1]
  for path, array in it.shown.items():
    assert array.shape[:2] == (ROWS, STEPS)
    assert (array >= 0).all()
    assert path.endswith('_gate') or array.ndim == 4
    mass = array if path.endswith('_gate') else array.sum(-1)
    assert (mass <= 1 + 1e-6).all()
    assert array.max() - array.min() > 0.1, 'shows always the same'
  fresh = it.model.initial_carry(ROWS)
  arguments = it.params, fresh, it.x_BTD, it.reset_BT
  _, y = jax.jit(functools.partial(apply, it.model))(*arguments)
  np.testing.assert_allclose(it.y, y, rtol=1e-5, atol=1e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('name', [n for n in CASES if n not in MADE_ANYWAY])
def test_nothing_is_computed_unless_it_is_collected(name: str) -> None:
  it = looked(name)
  arguments = it.params, it.carry, it.x_BTD, it.reset_BT

  def operations(read: Any) -> int:
    program = jax.make_jaxpr(functools.partial(read, it.model))(*arguments)
    return str(program).count(' = ')

  assert operations(apply) < operations(look)


def back(values: Any, reset_BT: Any, lags: int) -> np.ndarray:
  """`(B, T, R, ...)`; entry d is that of d steps back since the reset, or 0."""
  out = np.zeros((*values.shape[:2], lags, *values.shape[2:]))
  run_BT = np.cumsum(reset_BT, axis=1)
  for t in range(values.shape[1]):
    for d in range(min(lags, t + 1)):
      own = run_BT[:, t - d] == run_BT[:, t]
      out[own, t, d] = values[own, t - d]
  return out


def averages(it: Looked, name: str, values: Any) -> np.ndarray:
  """The weighted sums of the values, `(B, T, H, K)`."""
  weights = np.asarray(it.shown[name], np.float64)
  seen = back(values, it.reset_BT, weights.shape[3])
  return np.einsum('bthr,btrhk->bthk', weights, seen)


def dense(p: Any, x: Any) -> np.ndarray:
  return x @ p['kernel'] + p.get('bias', 0)


def heads(x: np.ndarray) -> np.ndarray:
  return x.reshape(ROWS, STEPS, HEADS, -1)


def says(it: Looked) -> np.ndarray:
  """The outputs of each model, computed from its values and shown weights."""
  p, x = float64(it.params), np.asarray(it.x_BTD, np.float64)
  kind = type(it.model).__name__
  flat = ROWS, STEPS, WIDTH
  if kind == 'SlidingAttention':
    values = heads(dense(p['qkv'], x)[..., 2 * WIDTH :])
    mean = averages(it, 'lag_weights', values).reshape(flat)
    return dense(p['output'], mean)
  if kind == 'TransformerXL':
    values = heads(x @ p['value'])
    mean = averages(it, 'lag_weights', values).reshape(flat)
    return dense(p['output'], mean)
  if kind == 'HopfieldMemory':
    norm = p['stored_norm']
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    values = heads(dense(p['stored'], x * norm['scale'] + norm['bias']))
    mean = averages(it, 'update_1_lag_weights', values).reshape(flat)
    return dense(p['value'], mean)
  if kind == 'KeyValueMemory':
    mean = averages(it, 'hop_0_lag_weights', dense(p['value'], x)[:, :, None])
    return dense(p['hop_0'], dense(p['query'], x) + mean[:, :, 0])
  assert kind == 'MemN2N'
  mean = averages(it, 'hop_0_lag_weights', (x @ p['embedding_1'])[:, :, None])
  time_RD = np.concatenate([np.zeros((1, WIDTH)), p['time_1']])
  mean = mean + it.shown['hop_0_lag_weights'] @ time_RD
  return (x @ p['embedding_0'] + mean[:, :, 0]) @ p['W'].T


@pytest.mark.parametrize(
  'name',
  [
    'transformer.SlidingAttention',
    'transformer_xl.TransformerXL',
    'hopfield.HopfieldMemory',
    'key_value.KeyValueMemory',
    'memn2n.MemN2N',
  ],
)
def test_the_outputs_are_weighted_sums_of_the_values(name: str) -> None:
  it = looked(name)
  np.testing.assert_allclose(it.y, says(it), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  ('name', 'path'),
  [
    ('transformer.BlockAttention', 'lag_weights'),
    ('transformer_xl.TransformerXL', 'lag_weights'),
    ('rmn.RMN', 'lag_weights'),
    ('hopfield.HopfieldMemory', 'update_0_lag_weights'),
    ('memn2n.MemN2N', 'hop_0_lag_weights'),
    ('key_value.KeyValueMemory', 'hop_0_lag_weights'),
    ('lstmn.LSTMN', 'lag_weights'),
  ],
)
def test_all_weight_lies_on_steps_that_can_be_read(
  name: str, path: str
) -> None:
  """Memories that do not read the step itself have no weight at first."""
  it = looked(name)
  weights = it.shown[path]
  restarts = np.array(it.reset_BT)
  restarts[:, 0] = True
  if name.startswith('transformer.'):
    restarts[1, :: BACK + 1] = True  # the contexts of a row without resets
  age_BT = np.zeros((ROWS, STEPS), int)
  for t in range(1, STEPS):
    age_BT[:, t] = np.where(restarts[:, t], 0, age_BT[:, t - 1] + 1)
  lag_R = np.arange(weights.shape[3])
  unreadable = (lag_R > age_BT[..., None])[:, :, None]
  assert (np.where(unreadable, weights, 0) == 0).all()
  late = name.split('.')[0] in ('memn2n', 'lstmn', 'key_value')
  readable = age_BT > 0 if late else np.ones_like(age_BT)
  wanted = np.broadcast_to(readable[..., None], weights.shape[:3])
  np.testing.assert_allclose(weights.sum(-1), wanted, atol=1e-5)


def test_a_summary_is_the_average_of_the_tape() -> None:
  it = looked('lstmn.LSTMN')
  h_BTD = np.asarray(it.y, np.float64)
  mean = averages(it, 'lag_weights', h_BTD[:, :, None])
  np.testing.assert_allclose(
    it.carry.summary_BD, mean[:, -1, 0], rtol=1e-5, atol=1e-6
  )


def test_hierarchical_attention_keeps_a_weighted_sum() -> None:
  it = looked('han.CausalHAN')
  gru = GRU(WIDTH, parent=None)
  _, h_BTD = gru.apply(
    {'params': it.params['gru']},
    gru.initial_carry(ROWS),
    jnp.asarray(it.x_BTD),
    jnp.asarray(it.reset_BT),
  )
  weights = it.shown['lag_weights']
  half = STEPS // 2
  mean = averages(it, 'lag_weights', np.asarray(h_BTD)[:, :, None])[:, :, 0]
  own = np.zeros((ROWS, STEPS), bool)
  own[:, :half] = own[0, 8:] = True  # all of the run lies within the call
  np.testing.assert_allclose(mean[own], it.y[own], rtol=1e-4, atol=1e-5)
  mass = weights.sum(-1)[..., 0]
  np.testing.assert_allclose(mass[own], 1, rtol=1e-5)
  assert (mass[1, half:] < 1 - 1e-3).all()


def before(h_BTD: np.ndarray, reset_BT: np.ndarray) -> np.ndarray:
  h_BTD = np.concatenate([np.zeros_like(h_BTD[:, :1]), h_BTD[:, :-1]], axis=1)
  return np.where(reset_BT[..., None], 0, h_BTD)


def test_the_lstm_follows_from_its_gates() -> None:
  it = looked('lstm.LSTM')
  p, x = float64(it.params['cell']), np.asarray(it.x_BTD, np.float64)
  a = x @ p['input_kernel'] + p['bias']
  a += before(np.asarray(it.y), it.reset_BT) @ p['recurrent_kernel']
  new_BTD = np.tanh(a[..., 2 * WIDTH : 3 * WIDTH])
  i, f, o = (
    it.shown[f'cell/{gate}_gate'] for gate in ('input', 'forget', 'output')
  )
  c = np.zeros((ROWS, WIDTH))
  for t in range(STEPS):
    c = np.where(it.reset_BT[:, t, None], 0, c)
    c = f[:, t] * c + i[:, t] * new_BTD[:, t]
    h = o[:, t] * np.tanh(c)
    np.testing.assert_allclose(it.y[:, t], h, rtol=1e-4, atol=1e-5)


def test_the_gru_follows_from_its_gates() -> None:
  it = looked('gru.GRU')
  p, x = float64(it.params['cell']), np.asarray(it.x_BTD, np.float64)
  h = before(np.asarray(it.y), it.reset_BT)
  r, u = it.shown['cell/reset_gate'], it.shown['cell/update_gate']
  new, hidden = slice(2 * WIDTH, 3 * WIDTH), slice(3 * WIDTH, None)
  inner = h @ p['recurrent_kernel'][:, new] + p['bias'][hidden]
  n = np.tanh(x @ p['input_kernel'][:, new] + p['bias'][new] + r * inner)
  np.testing.assert_allclose(it.y, (1 - u) * n + u * h, rtol=1e-4, atol=1e-5)
