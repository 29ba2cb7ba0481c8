"""Neural Turing machine against a float64 NumPy evaluation of the equations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.ntm import NTM

BATCH, INPUTS, LENGTH = 2, 3, 12
HALF = LENGTH // 2
FIELDS = {'width': 5, 'slots': 6, 'slot_width': 4, 'controller_width': 7}


def sigmoid(x: Any) -> Any:
  return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
  return np.log(1 + np.exp(x))


def softmax(x: np.ndarray) -> np.ndarray:
  return np.exp(x) / np.exp(x).sum()


def length_of(v: np.ndarray) -> float:
  return float(np.sqrt(v @ v + 1e-6))


def focus(
  emitted: np.ndarray, before: np.ndarray, memory: np.ndarray, shifts: int
) -> np.ndarray:
  """Equations 5 to 9 for one head."""
  slots, width = memory.shape
  key, (beta, gate, power) = emitted[:width], emitted[width : width + 3]
  beta, gate, power = softplus(beta), sigmoid(gate), 1 + softplus(power)
  similar = [key @ m / (length_of(key) * length_of(m)) for m in memory]
  content = softmax(beta * np.array(similar))
  gated = gate * content + (1 - gate) * before
  shift = softmax(emitted[width + 3 :])
  assert len(shift) == 2 * shifts + 1
  moved = np.zeros(slots)
  for i in range(slots):
    for by in range(-shifts, shifts + 1):
      moved[(i + by) % slots] += gated[i] * shift[by + shifts]
  return moved**power / (moved**power).sum()


class Machine:
  """One row, one step at a time."""

  def __init__(self, model: NTM, params: Any):
    self.model, self.p = model, params
    self.forget()

  def forget(self) -> None:
    m = self.model
    self.memory = np.full((m.slots, m.slot_width), 1e-6)
    first = np.eye(m.slots)[0]
    self.read_weights = [first] * m.read_heads
    self.write_weights = [first] * m.write_heads
    self.reads = [np.zeros(m.slot_width)] * m.read_heads
    self.h = self.c = np.zeros(m.controller_width)

  def control(self, x: np.ndarray) -> np.ndarray:
    known = np.concatenate(self.reads)
    if self.model.controller == 'lstm':
      known = np.concatenate([known, self.h])
    a = x @ self.p['input']['kernel'] + self.p['input']['bias']
    a = a + known @ self.p['recurrent_kernel']
    if self.model.controller == 'feedforward':
      return np.tanh(a)
    i, f, g, o = np.split(a, 4)
    self.c = sigmoid(f) * self.c + sigmoid(i) * np.tanh(g)
    self.h = sigmoid(o) * np.tanh(self.c)
    return self.h

  def step(self, x: np.ndarray) -> np.ndarray:
    m = self.model
    h = self.control(x)
    emitted = h @ self.p['heads_kernel'] + self.p['heads_bias']
    changes, heads = np.split(emitted, [2 * m.write_heads * m.slot_width])
    changes = changes.reshape(m.write_heads, 2, m.slot_width)
    heads = heads.reshape(m.write_heads + m.read_heads, -1)
    self.write_weights = [
      focus(heads[i], self.write_weights[i], self.memory, m.shifts)
      for i in range(m.write_heads)
    ]
    memory = self.memory.copy()
    for (erase, _), weights in zip(changes, self.write_weights, strict=True):
      for slot in range(m.slots):
        memory[slot] *= 1 - weights[slot] * sigmoid(erase)
    for (_, add), weights in zip(changes, self.write_weights, strict=True):
      for slot in range(m.slots):
        memory[slot] += weights[slot] * np.tanh(add)
    self.memory = memory
    self.read_weights = [
      focus(heads[m.write_heads + i], self.read_weights[i], memory, m.shifts)
      for i in range(m.read_heads)
    ]
    self.reads = [weights @ memory for weights in self.read_weights]
    known = np.concatenate([h, *self.reads])
    return known @ self.p['output']['kernel'] + self.p['output']['bias']


def ntm(**fields: Any) -> NTM:
  return NTM(**FIELDS | fields)


def inputs() -> tuple[jax.Array, jax.Array]:
  """One row with resets, one without."""
  rng = np.random.default_rng(0)
  x_BTF = rng.normal(size=(BATCH, LENGTH, INPUTS)).astype(np.float32)
  reset_BT = np.zeros((BATCH, LENGTH), bool)
  reset_BT[0, [0, 3, 4, 9]] = True
  return jnp.asarray(x_BTF), jnp.asarray(reset_BT)


def params_of(model: NTM) -> Any:
  """Parameters of such a size that no term is too small to be missed."""
  rng = np.random.default_rng(1)
  carry = model.initial_carry(BATCH)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, *inputs())
  return jax.tree.map(
    lambda p: jnp.asarray(0.8 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def asking(model: NTM, params: Any) -> Any:
  """Reads a segment; tells where the heads were, beside the outputs."""

  @jax.jit
  def ask(*args: Any) -> Any:
    return model.apply({'params': params}, *args, mutable=['intermediates'])

  return ask


def assert_close(one: Any, other: Any) -> None:
  np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('controller', ['lstm', 'feedforward'])
@pytest.mark.parametrize(
  ('read_heads', 'write_heads', 'shifts'), [(2, 1, 1), (2, 2, 2), (1, 1, 0)]
)
def test_steps_equal_the_equations(
  controller: str, read_heads: int, write_heads: int, shifts: int
) -> None:
  model = ntm(
    controller=controller,
    read_heads=read_heads,
    write_heads=write_heads,
    shifts=shifts,
  )
  x_BTF, reset_BT = inputs()
  params = params_of(model)
  carry, ys, weights = model.initial_carry(BATCH), [], []
  ask = asking(model, params)
  for piece in (slice(0, HALF), slice(HALF, LENGTH)):
    (carry, y), told = ask(carry, x_BTF[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
    told = told['intermediates']
    weights.append((told['read_weights'][0], told['write_weights'][0]))
  y_BTD = np.concatenate(ys, axis=1)
  read_BTHM, write_BTHM = (
    np.concatenate(w, axis=1) for w in zip(*weights, strict=True)
  )

  p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
  for b in range(BATCH):
    machine = Machine(model, p)
    for t in range(LENGTH):
      if reset_BT[b, t]:
        machine.forget()
      assert_close(y_BTD[b, t], machine.step(np.asarray(x_BTF[b, t], float)))
      assert_close(read_BTHM[b, t], np.array(machine.read_weights))
      assert_close(write_BTHM[b, t], np.array(machine.write_weights))
    assert_close(carry.memory_BMK[b], machine.memory)
    assert_close(carry.reads_BHK[b], np.array(machine.reads))


def test_asking_where_the_heads_are_changes_no_output() -> None:
  model = ntm(read_heads=2)
  params, carry = params_of(model), model.initial_carry(BATCH)
  (after, y), told = asking(model, params)(carry, *inputs())
  read = jax.jit(lambda *args: model.apply({'params': params}, *args))
  jax.tree.map(
    np.testing.assert_array_equal, (after, y), read(carry, *inputs())
  )
  shapes = jax.tree.map(lambda a: a.shape, told['intermediates'])
  assert shapes == {
    'read_weights': ((BATCH, LENGTH, 2, 6),),
    'write_weights': ((BATCH, LENGTH, 1, 6),),
  }


@pytest.mark.parametrize('controller', ['lstm', 'feedforward'])
def test_gradients_reach_every_parameter(controller: str) -> None:
  model = ntm(controller=controller)
  carry, (x_BTF, reset_BT) = model.initial_carry(BATCH), inputs()
  variables = jax.jit(model.init)(jax.random.key(0), carry, x_BTF, reset_BT)

  def loss(variables: Any) -> jax.Array:
    _, y_BTD = model.apply(variables, carry, x_BTF, reset_BT)
    return (y_BTD**2).sum()

  gradients = jax.jit(jax.grad(loss))(variables)
  for path, leaf in jax.tree.leaves_with_path(gradients):
    assert np.isfinite(leaf).all(), path
    assert (np.abs(leaf).max(axis=0) > 0).all(), path


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'width': 0}, 'width: 0: must be at least 1'),
    ({'slot_width': 0}, 'slot_width: 0: must be at least 1'),
    ({'read_heads': 0}, 'read_heads: 0: must be at least 1'),
    ({'write_heads': 0}, 'write_heads: 0: must be at least 1'),
    ({'controller_width': 0}, 'controller_width: 0: must be at least 1'),
    ({'slots': 0}, 'slots: 0: must be at least 1'),
    ({'slots': 2}, 'shifts: 1: must be in [0, 0] for 2 slots'),
    ({'shifts': -1}, 'shifts: -1: must be in [0, 2] for 6 slots'),
    (
      {'controller': 'gru'},
      "controller: 'gru': must be one of lstm, feedforward",
    ),
  ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], line: str) -> None:
  with pytest.raises(ConfigError) as error:
    ntm(**fields)
  assert str(error.value) == line
