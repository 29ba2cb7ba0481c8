"""The DNC against a float64 NumPy evaluation of the paper's Methods."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.networks.dnc import DNC
from memjax.models.stack import Stack
from memjax.ops.addressing import EPSILON
from memjax.ops.allocation import TIE
from memjax.types import Features
from tests.parity.layers import ROWS, STEPS, layer

INPUTS = 3
FIELDS = {
  'width': 5,
  'slots': 6,
  'slot_width': 4,
  'read_heads': 2,
  'controller_width': 7,
}
SHOWN = {'read_weights', 'write_weights', 'allocation_gate', 'free_gate'}


def sigmoid(x: Any) -> Any:
  return 1 / (1 + np.exp(-x))


def oneplus(x: Any) -> Any:
  return 1 + np.log(1 + np.exp(x))


def softmax(x: Any) -> np.ndarray:
  e = np.exp(np.asarray(x) - np.max(x))
  return e / e.sum()


def cosine(u: np.ndarray, v: np.ndarray) -> float:
  return (u @ v) / np.sqrt((u @ u + EPSILON) * (v @ v + EPSILON))


def look_up(memory: np.ndarray, key: np.ndarray, beta: float) -> np.ndarray:
  """C(M, k, beta)."""
  return softmax([beta * cosine(key, slot) for slot in memory])


class Computer:
  """One row, one step at a time; `say` is where a step's gates are left."""

  def __init__(self, model: DNC, params: Any):
    self.p = params
    self.heads, self.slots = model.read_heads, model.slots
    self.k, self.units = model.slot_width, model.controller_width
    self.forget()

  def forget(self) -> None:
    self.memory = np.zeros((self.slots, self.k))
    self.usage, self.last, self.write = np.zeros((3, self.slots))
    self.link = np.zeros((self.slots, self.slots))
    self.read = [np.zeros(self.slots) for _ in range(self.heads)]
    self.seen = [np.zeros(self.k) for _ in range(self.heads)]
    self.h, self.c = np.zeros((2, self.units))

  def step(self, x: np.ndarray) -> np.ndarray:
    self.control(x)
    xi = list(self.h @ self.p['interface_kernel'])

    def take(count: int) -> np.ndarray:
      taken = np.array(xi[:count])
      del xi[:count]
      return taken

    heads = range(self.heads)
    read_keys = [take(self.k) for _ in heads]
    read_strengths = [oneplus(take(1)[0]) for _ in heads]
    write_key, write_strength = take(self.k), oneplus(take(1)[0])
    erase, add = sigmoid(take(self.k)), take(self.k)
    self.free = [sigmoid(take(1)[0]) for _ in heads]
    self.allocating, writing = sigmoid(take(1)[0]), sigmoid(take(1)[0])
    modes = [softmax(take(3)) for _ in heads]
    assert not xi

    self.use()
    content = look_up(self.memory, write_key, write_strength)
    self.write = writing * (
      self.allocating * self.allocate() + (1 - self.allocating) * content
    )
    for i in range(self.slots):
      for k in range(self.k):
        kept = self.memory[i, k] * (1 - self.write[i] * erase[k])
        self.memory[i, k] = kept + self.write[i] * add[k]
    self.connect()
    for h in heads:
      backward = self.link.T @ self.read[h]
      forward = self.link @ self.read[h]
      content = look_up(self.memory, read_keys[h], read_strengths[h])
      ways = backward, content, forward
      self.read[h] = sum(modes[h][i] * ways[i] for i in range(3))
      self.seen[h] = self.memory.T @ self.read[h]
    return np.concatenate([self.h, *self.seen]) @ self.p['output']['kernel']

  def control(self, x: np.ndarray) -> None:
    a = x @ self.p['input']['kernel'] + self.p['input']['bias']
    a = a + np.concatenate([self.h, *self.seen]) @ self.p['recurrent_kernel']
    i, f, g, o = np.split(a, 4)
    self.c = sigmoid(f) * self.c + sigmoid(i) * np.tanh(g)
    self.h = sigmoid(o) * np.tanh(self.c)

  def use(self) -> None:
    for i in range(self.slots):
      u, w = self.usage[i], self.write[i]
      kept = 1.0
      for free, read in zip(self.free, self.read, strict=True):
        kept *= 1 - free * read[i]
      self.usage[i] = (u + w - u * w) * kept

  def allocate(self) -> np.ndarray:
    weights, left = np.zeros(self.slots), 1.0
    for slot in np.argsort(self.usage + TIE * np.arange(self.slots)):
      weights[slot] = (1 - self.usage[slot]) * left
      left *= self.usage[slot]
    return weights

  def connect(self) -> None:
    before, w = self.link.copy(), self.write
    for i in range(self.slots):
      for j in range(self.slots):
        new = (1 - w[i] - w[j]) * before[i, j] + w[i] * self.last[j]
        self.link[i, j] = 0 if i == j else new
    self.last = (1 - w.sum()) * self.last + w


def dnc(**fields: Any) -> DNC:
  return DNC(**FIELDS | fields)


def assert_close(one: Any, other: Any) -> None:
  np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'fields',
  [{}, {'read_heads': 1}, {'slots': 1, 'slot_width': 1}, {'slots': 20}],
)
def test_steps_equal_the_methods(fields: dict[str, int]) -> None:
  model = dnc(**fields)
  under_test = layer(model, INPUTS, scale=0.8)
  carry, shown = under_test.show([7, 6])
  for b, (x, reset) in enumerate(under_test.rows64()):
    computer = Computer(model, under_test.params64())
    for t in range(STEPS):
      if reset[t]:
        computer.forget()
      assert_close(shown['y'][b, t], computer.step(x[t]))
      assert_close(shown['read_weights'][b, t], computer.read)
      assert_close(shown['write_weights'][b, t], computer.write[None])
      assert_close(shown['allocation_gate'][b, t], [computer.allocating])
      assert_close(shown['free_gate'][b, t], computer.free)
    expected = (
      computer.memory,
      computer.usage,
      computer.link,
      computer.last,
      computer.write,
      computer.read,
      computer.seen,
      computer.h,
      computer.c,
    )
    for got, leaf in zip(carry, expected, strict=True):
      assert_close(got[b], leaf)


@pytest.mark.slow
def test_intermediates_change_no_output() -> None:
  under_test = layer(dnc(), INPUTS, scale=0.8)
  _, shown = under_test.show([STEPS])
  np.testing.assert_array_equal(shown.pop('y'), under_test.read([STEPS]))
  assert {name: what.shape for name, what in shown.items()} == {
    'read_weights': (ROWS, STEPS, 2, 6),
    'write_weights': (ROWS, STEPS, 1, 6),
    'allocation_gate': (ROWS, STEPS, 1),
    'free_gate': (ROWS, STEPS, 2),
  }


@pytest.mark.slow
@pytest.mark.parametrize('length', [1, STEPS])
def test_gradients_are_finite_from_a_memory_of_zeros(length: int) -> None:
  """With some steps before it, every parameter has a gradient."""
  under_test = layer(dnc(), INPUTS)
  model, _, x_BTF, reset_BT = under_test

  def loss(params: Any) -> jax.Array:
    carry = model.initial_carry(ROWS)
    read = x_BTF[:, :length], reset_BT[:, :length]
    return (apply(model, params, carry, *read)[1] ** 2).sum()

  gradients = jax.jit(jax.grad(loss))(under_test.fresh_params())
  for path, leaf in jax.tree.leaves_with_path(gradients):
    assert np.isfinite(leaf).all(), path
    assert length == 1 or (np.abs(leaf).max(axis=0) > 0).all(), path


@pytest.mark.slow
def test_a_gradient_is_the_slope_of_the_methods() -> None:
  """Through everything that is carried, over steps, resets and allocation."""
  model = dnc()
  under_test = layer(model, INPUTS, scale=0.8)
  _, params, *read = under_test
  rng = np.random.default_rng(4)
  away = jax.tree.map(lambda p: rng.normal(size=p.shape), params)

  def theirs(by: float) -> float:
    moved = jax.tree.map(lambda p, d: np.float64(p) + by * d, params, away)
    total = 0.0
    for xs, reset in under_test.rows64():
      computer = Computer(model, moved)
      for x, anew in zip(xs, reset, strict=True):
        if anew:
          computer.forget()
        total += np.sin(computer.step(x)).sum()
    return total

  @jax.jit
  @jax.grad
  def ours(params: Any) -> jax.Array:
    carry = model.initial_carry(ROWS)
    _, y_BTD = apply(model, params, carry, *read)
    return jnp.sin(y_BTD).sum()

  along = jax.tree.map(lambda g, d: (g * d).sum(), ours(params), away)
  slope = (theirs(1e-6) - theirs(-1e-6)) / 2e-6
  assert abs(slope) > 1
  np.testing.assert_allclose(sum(jax.tree.leaves(along)), slope, rtol=1e-4)


def test_each_layer_of_a_stack_shows_its_own() -> None:
  memory = dnc()
  model = Stack(Features(INPUTS), Features(2), memory.width, memory, depth=2)
  _, shown = layer(model, INPUTS).show([STEPS])
  for name in ('layer_0', 'layer_1'):
    assert set(shown[name]['memory']) == SHOWN


def test_the_controller_starts_to_remember_by_its_forget_gate() -> None:
  params = layer(dnc(), INPUTS).fresh_params()
  expected = np.repeat([0, 1, 0, 0], 7)
  np.testing.assert_array_equal(params['input']['bias'], expected)


@pytest.mark.parametrize('field', FIELDS)
def test_wrong_fields_are_refused(field: str) -> None:
  with pytest.raises(ConfigError) as error:
    dnc(**{field: 0})
  assert str(error.value) == f'{field}: 0: must be at least 1'
