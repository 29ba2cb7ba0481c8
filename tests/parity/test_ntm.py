"""Neural Turing machine against a float64 NumPy evaluation of the equations."""

from typing import Any

import jax
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.networks.ntm import NTM
from tests.parity.layers import ROWS, STEPS, layer

INPUTS = 3
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


def assert_close(one: Any, other: Any) -> None:
  np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.fast_cases(1)
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
  under_test = layer(model, INPUTS, scale=0.8)
  carry, shown = under_test.show([7, 6])
  for b, (x, reset) in enumerate(under_test.rows64()):
    machine = Machine(model, under_test.params64())
    for t in range(STEPS):
      if reset[t]:
        machine.forget()
      assert_close(shown['y'][b, t], machine.step(x[t]))
      assert_close(shown['read_weights'][b, t], machine.read_weights)
      assert_close(shown['write_weights'][b, t], machine.write_weights)
    assert_close(carry.memory_BMK[b], machine.memory)
    assert_close(carry.reads_BHK[b], machine.reads)


def test_intermediates_change_no_output() -> None:
  under_test = layer(ntm(read_heads=2), INPUTS, scale=0.8)
  _, shown = under_test.show([STEPS])
  np.testing.assert_array_equal(shown.pop('y'), under_test.read([STEPS]))
  assert {name: what.shape for name, what in shown.items()} == {
    'read_weights': (ROWS, STEPS, 2, 6),
    'write_weights': (ROWS, STEPS, 1, 6),
  }


@pytest.mark.slow
@pytest.mark.parametrize('controller', ['lstm', 'feedforward'])
def test_gradients_reach_every_parameter(controller: str) -> None:
  under_test = layer(ntm(controller=controller), INPUTS)
  model, _, *read = under_test

  def loss(params: Any) -> jax.Array:
    carry = model.initial_carry(ROWS)
    return (apply(model, params, carry, *read)[1] ** 2).sum()

  gradients = jax.jit(jax.grad(loss))(under_test.fresh_params())
  for path, leaf in jax.tree.leaves_with_path(gradients):
    assert np.isfinite(leaf).all(), path
    assert (np.abs(leaf).max(axis=0) > 0).all(), path


@pytest.mark.parametrize(
  ('controller', 'expected'), [('lstm', [0, 1, 0, 0]), ('feedforward', [0])]
)
def test_only_the_forget_gates_bias_starts_at_one(
  controller: str, expected: list[int]
) -> None:
  params = layer(ntm(controller=controller), INPUTS).fresh_params()
  bias = params['input']['bias'].reshape(-1, FIELDS['controller_width'])
  np.testing.assert_array_equal(bias.min(axis=1), expected)
  np.testing.assert_array_equal(bias.max(axis=1), expected)
  assert not params['heads_bias'].any()


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
