"""Operations and layers against what their authors' code computes.

The golden values, gradients too, are made by `golden/make_references.py` and
`golden/make_state_spaces.py`.
"""

from collections.abc import Callable
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.linear.rwkv6 import read_before_write
from memjax.models.recurrent import slstm
from memjax.models.state_space.lru import LRU
from memjax.models.state_space.rg_lru import RGLRU
from memjax.models.state_space.s5 import S5
from memjax.ops import exponential
from memjax.ops.dplr import dplr
from memjax.ops.fenwick import add_levels, correct_levels
from memjax.ops.linear_attention import add, correct
from memjax.ops.mesa import regress
from memjax.ops.slots import attend_slots
from memjax.ops.taylor import add_taylor, number_of_features

GOLDEN = pathlib.Path(__file__).parent / 'golden'
CHUNK = 8
Arrays = dict[str, Any]


@functools.cache
def arrays(repository: str) -> Arrays:
  with np.load(GOLDEN / f'reference_{repository}.npz') as file:
    return dict(file)


def below(found: Arrays, folder: str) -> Arrays:
  """The arrays of a folder, without its name."""
  return {
    name.removeprefix(folder): jnp.asarray(x)
    for name, x in found.items()
    if name.startswith(folder)
  }


def never(x: Arrays) -> jax.Array:
  return jnp.zeros(x['q'].shape[:2], bool)


def named(last: jax.Array, y: jax.Array) -> Arrays:
  return {'y': y, 'last': last}


def scaled(x: Arrays) -> jax.Array:
  return x['q'] * x['q'].shape[-1] ** -0.5


def delta(x: Arrays, decays: str = '') -> Arrays:
  """The delta rule; `decays` names the input that decays the memory."""
  beta = x['beta'][..., None]
  found = correct(
    x['w'],
    scaled(x),
    x['k'],
    beta * x['v'],
    beta * x['k'],
    never(x),
    log_decay=x.get(decays),
    chunk=CHUNK,
  )
  return named(*found)


def gdn2(x: Arrays) -> Arrays:
  found = correct(
    x['w'],
    scaled(x),
    x['k'],
    x['write'] * x['v'],
    x['erase'] * x['k'],
    never(x),
    log_decay=x['channels'],
    chunk=CHUNK,
  )
  return named(*found)


def additive(x: Arrays, decays: str, scale: bool) -> Arrays:
  q = scaled(x) if scale else x['q']
  found = add(
    x['w'], q, x['k'], x['v'], never(x), log_decay=x[decays], chunk=CHUNK
  )
  return named(*found)


def gsa(x: Arrays) -> Arrays:
  (keys, values), _, y = attend_slots(
    jnp.swapaxes(x['keys'], 2, 3),
    x['values'],
    x['q'],
    x['k'],
    x['v'],
    x['share'],
    x['slots'],
    never(x),
    chunk=CHUNK,
  )
  return {'y': y, 'keys': jnp.swapaxes(keys, 2, 3), 'values': values}


def rwkv6(x: Arrays) -> Arrays:
  steps = x['q'], x['k'], x['v']
  last, y = read_before_write(
    x['w'], *steps, never(x), log_decay=x['channels'], chunk=CHUNK
  )
  own = (x['q'] * x['bonus'][None, None] * x['k']).sum(-1, keepdims=True)
  return named(last, y + own * x['v'])


def rwkv7(x: Arrays) -> Arrays:
  found = dplr(
    x['w'],
    scaled(x),
    x['k'],
    x['v'],
    x['at'] * jnp.exp(-x['channels']),
    x['at'] * x['erase'],
    never(x),
    log_decay=x['channels'],
    chunk=CHUNK,
  )
  return named(*found)


def based(x: Arrays) -> Arrays:
  v = jnp.concatenate([x['v'], jnp.ones_like(x['v'][..., :1])], axis=3)
  batch, _, heads, keys = x['q'].shape
  w = jnp.zeros((batch, heads, number_of_features(keys), v.shape[3]))
  _, y = add_taylor(w, scaled(x), x['k'], v, never(x), chunk=CHUNK)
  return {'y': y[..., :-1] / y[..., -1:]}


def mesa(x: Arrays) -> Arrays:
  w = x['w'] @ jnp.swapaxes(x['w'], 2, 3)
  g, r, y = regress(
    w,
    w,
    x['q'],
    x['k'],
    x['at'],
    x['beta'],
    x['penalty'],
    never(x),
    log_decay=x['log_decay'],
    chunk=CHUNK,
    iterations=12,
  )
  return {'y': y, 'g': g, 'r': r}


def no_levels(x: Arrays) -> tuple[jax.Array, jax.Array]:
  (batch, _, heads, keys), values = x['q'].shape, x['v'].shape[3]
  levels = x['levels'].shape[3] - 1
  w = jnp.zeros((batch, levels, heads, keys, values))
  return w, jnp.zeros(batch, jnp.int32)


def log_linear(x: Arrays) -> Arrays:
  _, y = add_levels(
    *no_levels(x),
    x['q'],
    x['k'],
    x['v'],
    x['levels'],
    never(x),
    log_decay=x['log_decay'],
    chunk=7,
  )
  return {'y': y}


def log_linear_gated(x: Arrays) -> Arrays:
  beta = x['beta'][..., None]
  _, y = correct_levels(
    *no_levels(x),
    x['q'],
    x['k'],
    beta * x['v'],
    beta * x['k'],
    x['levels'],
    never(x),
    log_decay=x['log_decay'],
    chunk=7,
  )
  return {'y': y}


def mlstm(x: Arrays) -> Arrays:
  batch, _, heads, keys = x['q'].shape
  _, y = exponential.exponential(
    exponential.nothing(batch, heads, keys, x['v'].shape[3]),
    x['q'],
    x['k'] * keys**-0.5,
    x['v'],
    x['i'],
    jax.nn.log_sigmoid(x['f']),
    never(x),
    chunk=CHUNK,
  )
  return {'y': y}


def griffin(x: Arrays) -> Arrays:
  """The whole recurrent block, with the parameters of the authors' code."""

  def dense(name: str) -> Arrays:
    return {'kernel': x[f'{name}.weight'].T, 'bias': x[f'{name}.bias']}

  def gates(kind: str) -> jax.Array:
    both = x[f'rg_lru.a_gate.{kind}'], x[f'rg_lru.input_gate.{kind}']
    return jnp.concatenate(both, axis=-1)

  params = {
    'branch': dense('linear_y'),
    'input': dense('linear_x'),
    'output': dense('linear_out'),
    'convolution': {'kernel': x['conv_1d.w'], 'bias': x['conv_1d.b']},
    'decay': x['rg_lru.a_param'],
    'gate_kernel': gates('w'),
    'gate_bias': gates('b').reshape(-1),
  }
  v = x['v'].reshape(*x['v'].shape[:2], -1)
  block = RGLRU(width=6, head_width=4)
  found: Any = block.apply(
    {'params': params},
    block.initial_carry(len(v)),
    v,
    jnp.zeros(v.shape[:2], bool),
  )
  carry, y = found
  return named(carry.h_BR, y)


def applied(model: Any, params: Arrays, x_BTF: jax.Array) -> Arrays:
  reset_BT = jnp.zeros(x_BTF.shape[:2], bool)
  carry = model.initial_carry(len(x_BTF))
  return {'y': model.apply({'params': params}, carry, x_BTF, reset_BT)[1]}


def lru(x: Arrays) -> Arrays:
  width, units = x['C_re'].shape
  signed = jnp.stack([x['C_re'].T, -x['C_im'].T], axis=1)
  both = [
    jnp.concatenate([x[f'out{i}.{n}'] for i in (1, 2)], axis=-1)
    for n in ('kernel', 'bias')
  ]
  params = {
    'nu': x['nu_log'],
    'phi': x['theta_log'],
    'g': x['gamma_log'],
    'input': {'kernel': jnp.concatenate([x['B_re'].T, x['B_im'].T], axis=1)},
    'readout': {'kernel': signed.reshape(2 * units, width)},
    'skip': x['D'],
    'output': dict(zip(('kernel', 'bias'), both, strict=True)),
  }
  return applied(LRU(width, units), params, x['x'])


def s5(x: Arrays) -> Arrays:
  width, units, _ = x['C'].shape
  b, c = jnp.moveaxis(x['B'], 2, 0), jnp.moveaxis(x['C'], 2, 0)
  params = {
    'log_rate': jnp.log(-x['Lambda_re']),
    'speed': x['Lambda_im'],
    'log_step': x['log_step'],
    'input': b.reshape(2 * units, width).T,
    'readout': jnp.swapaxes(c, 1, 2).reshape(2 * units, width),
    'skip': x['D'],
    'output': {'kernel': x['out2.kernel'], 'bias': x['out2.bias']},
  }
  return applied(S5(width, 2 * units), params, x['x'])


CASES: dict[str, tuple[str, Callable[[Arrays], Arrays]]] = {
  'delta': ('fla', delta),
  'gated_delta': ('fla', lambda x: delta(x, 'log_decay')),
  'kda': ('fla', lambda x: delta(x, 'channels')),
  'gdn2': ('fla', gdn2),
  'gla': ('fla', lambda x: additive(x, 'channels', scale=True)),
  'gsa': ('fla', gsa),
  'rwkv6': ('fla', rwkv6),
  'dplr': ('fla', rwkv7),
  'mesa': ('fla', mesa),
  'log_linear': ('fla', log_linear),
  'log_linear_gated': ('hattention', log_linear_gated),
  'based': ('fla', based),
  'ssd': ('mamba', lambda x: additive(x, 'log_decay', scale=False)),
  'griffin': ('recurrentgemma', griffin),
  'mlstm': ('xlstm', mlstm),
  'lru': ('lru', lru),
  's5': ('s5', s5),
}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_the_authors(case: str) -> None:
  repository, ours = CASES[case]
  found = arrays(repository)
  gradients = below(found, f'{case}/grad/')
  inputs = {n: x for n, x in below(found, 'in/').items() if n in gradients}

  @jax.jit
  def both(inputs: Arrays, weights: Arrays) -> tuple[Arrays, Arrays]:
    outputs, back = jax.vjp(ours, inputs)
    return outputs, back(weights)[0]

  outputs, grads = both(inputs, below(found, f'{case}/weight/'))
  for ours_, theirs in (
    (outputs, below(found, f'{case}/out/')),
    (grads, gradients),
  ):
    assert ours_.keys() == theirs.keys()
    for name, x in theirs.items():
      size = float(jnp.abs(x).max())
      np.testing.assert_allclose(
        ours_[name], x, rtol=2e-5, atol=2e-5 * max(1, size), err_msg=name
      )


def test_the_cell_of_the_slstm_is_that_of_the_authors() -> None:
  found = arrays('xlstm')
  a_BTG = 2 * found['in/q'].reshape(*found['in/q'].shape[:2], -1)
  step = jax.jit(slstm.cell(1).step)
  carry = slstm.SLSTM(width=a_BTG.shape[2] // 4, heads=1).initial_carry(2)
  state, ys = tuple(carry)[:4], []
  for t in range(a_BTG.shape[1]):
    state = step(state, jnp.asarray(a_BTG[:, t]))
    ys.append(state[0])
  expected, last = found['slstm/out/y'], found['slstm/out/last']
  np.testing.assert_allclose(np.stack(ys, 1), expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(np.stack(state), last, rtol=1e-5, atol=1e-6)
