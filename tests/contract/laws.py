"""The laws of a memory, each a function that raises where one is broken."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError
from memjax.models.base import Memory, apply
from memjax.types import Carry, Spec

ROWS = 3
LENGTH = 40  # longer than the memories under test, or windows never roll over
PIECE = 11
REPLICAS = 2


class Subject(NamedTuple):
  """A memory, random parameters, and `apply`, which donates the carry."""

  model: Memory
  input_spec: Spec
  params: Any
  apply: Callable[..., tuple[Carry, jax.Array]]

  def fresh(self) -> Carry:
    return self.model.initial_carry(ROWS)

  def read(
    self, carry: Carry, inputs: np.ndarray, reset_BT: np.ndarray
  ) -> tuple[Carry, np.ndarray]:
    carry, y = self.apply(self.params, carry, inputs, reset_BT)
    return carry, np.asarray(y)

  def read_in(
    self, sizes: list[int], inputs: np.ndarray, reset_BT: np.ndarray
  ) -> np.ndarray:
    """The outputs of a stream read in pieces of these sizes."""
    assert sum(sizes) == inputs.shape[1]
    carry, ys = self.fresh(), []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
      piece = slice(end - size, end)
      carry, y = self.read(carry, inputs[:, piece], reset_BT[:, piece])
      ys.append(y)
    return np.concatenate(ys, axis=1)


def subject(model: Memory, input_spec: Spec) -> Subject:
  """The memory with random parameters, so that no zero hides a term."""
  inputs, reset_BT = draw(input_spec, 1)
  carry = model.initial_carry(ROWS)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), carry, inputs, reset_BT
  )
  rng = np.random.default_rng(0)

  def drawn(p: jax.ShapeDtypeStruct) -> jax.Array:
    size = 0.3 if p.ndim < 2 else p.shape[0] ** -0.5
    return jnp.asarray(size * rng.normal(size=p.shape), p.dtype)

  params = jax.tree.map(drawn, shapes.get('params', {}))
  return Subject(model, input_spec, params, compiled(model))


def compiled(model: Memory) -> Callable[..., tuple[Carry, jax.Array]]:
  def read(
    params: Any, carry: Carry, inputs: Any, reset_BT: Any
  ) -> tuple[Carry, jax.Array]:
    return apply(model, params, carry, inputs, reset_BT)

  return jax.jit(read, donate_argnums=1)


def draw(
  spec: Spec, length: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Random inputs of ROWS rows, and no resets."""
  rng = np.random.default_rng(seed)
  inputs = np.array(spec.sample(rng, ROWS, length))
  return inputs, np.zeros((ROWS, length), bool)


def some_resets(length: int) -> np.ndarray:
  """Resets in all rows but the last: at the start, two in a row, at random."""
  reset_BT = np.random.default_rng(1).random((ROWS, length)) < 0.05
  reset_BT[0, [0, 7, 8]] = True
  reset_BT[-1] = False
  return reset_BT


def assert_close(one: Any, other: Any) -> None:
  np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def assert_apart(carry: Carry) -> None:
  """No two leaves share memory, so a step may overwrite each of them."""
  leaves = jax.tree.leaves(carry)
  places = {leaf.unsafe_buffer_pointer() for leaf in leaves}
  assert len(places) == len(leaves), 'two leaves share memory'


def batch_first(s: Subject) -> None:
  """Carry leaves are `(B, ...)` and come out as they went in, floats float32.

  In bfloat16 too.
  """

  def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)

  carry, wider = s.fresh(), s.model.initial_carry(ROWS + 1)
  for leaf, wide in zip(*map(jax.tree.leaves, (carry, wider)), strict=True):
    assert leaf.shape == (ROWS, *wide.shape[1:])
    assert wide.shape[0] == ROWS + 1
    assert leaf.size > 0, 'a checkpoint cannot hold an empty array'
    assert not leaf.weak_type, 'the step would compile twice'
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    assert not floating or leaf.dtype == jnp.float32

  def cast(x: Any, dtype: str) -> Any:
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

  for dtype, length in (('float32', 1), ('bfloat16', PIECE)):
    params = jax.tree.map(lambda p, dtype=dtype: cast(p, dtype), s.params)
    inputs, reset_BT = draw(s.input_spec, length)
    inputs = cast(jnp.asarray(inputs), dtype)
    with jax.numpy_dtype_promotion('standard'):  # as linen's LayerNorm needs
      after, y = jax.eval_shape(s.apply, params, carry, inputs, reset_BT)
    assert shapes(after) == shapes(carry)
    assert y.shape[:2] == (ROWS, length)


def rows(s: Subject) -> None:
  """Inputs and resets of other rows change nothing in a row."""
  inputs, reset_BT = draw(s.input_spec, LENGTH)
  others = draw(s.input_spec, LENGTH, seed=1)[0]
  others[-1] = inputs[-1]
  _, y = s.read(s.fresh(), inputs, reset_BT)
  _, other = s.read(s.fresh(), others, some_resets(LENGTH))
  assert_close(other[-1], y[-1])
  assert np.abs(other[0] - y[0]).max() > 1e-3, 'the inputs change nothing'


def segments(s: Subject) -> None:
  """A stream read in pieces of any sizes gives the same outputs."""
  length = 2 * LENGTH
  inputs, no_resets = draw(s.input_spec, length)
  sizes = [PIECE] * 6 + [1] * (length - 6 * PIECE)
  np.random.default_rng(2).shuffle(sizes)
  for reset_BT in (no_resets, some_resets(length)):
    whole = s.read_in([LENGTH, LENGTH], inputs, reset_BT)
    assert_close(s.read_in(sizes, inputs, reset_BT), whole)


def reset(s: Subject) -> None:
  """From a reset on, a row equals one with an initial carry."""
  inputs, none = draw(s.input_spec, 3 * LENGTH)
  for left in (LENGTH, PIECE, 1):  # of the segment, from the reset on
    at = 2 * LENGTH - left
    reset_BT = some_resets(3 * LENGTH)
    reset_BT[:, at:] = False
    reset_BT[:-1, at] = True
    y = s.read_in([LENGTH] * 3, inputs, reset_BT)
    fresh = s.read_in([left, LENGTH], inputs[:, at:], none[:, at:])
    assert_close(y[:-1, at:], fresh[:-1])


def causal(s: Subject) -> None:
  """Inputs and resets after a step change no output up to it.

  A memory that reads ahead on purpose says so: its class has `causal = False`.
  """
  inputs, reset_BT = draw(s.input_spec, LENGTH)
  later, resets = draw(s.input_spec, LENGTH, seed=1)[0], some_resets(LENGTH)
  apart = []
  for end in (1, LENGTH // 2, LENGTH - 1):
    later[:, :end], resets[:, :end] = inputs[:, :end], False
    _, y = s.read(s.fresh(), inputs, reset_BT)
    _, changed = s.read(s.fresh(), later, resets)
    apart.append(np.abs(changed[:, :end] - y[:, :end]).max())
  assert (max(apart) < 1e-4) == s.model.causal


def horizon(s: Subject) -> None:
  """An input changes outputs up to `horizon` steps later, and none after."""
  bound = s.model.horizon
  if not bound:
    return
  for at in (0, 3):
    inputs, reset_BT = draw(s.input_spec, at + bound + 5)
    changed = inputs.copy()
    changed[:, at] = draw(s.input_spec, at + 1, seed=1)[0][:, at]
    changed[:, at] += np.asarray(changed[:, at] == inputs[:, at]) * 1
    if not np.issubdtype(inputs.dtype, np.floating):
      changed %= s.input_spec.size
    _, y = s.read(s.fresh(), inputs, reset_BT)
    _, other = s.read(s.fresh(), changed, reset_BT)
    assert_close(other[:, at + bound + 1 :], y[:, at + bound + 1 :])
    if at == 0:  # a block of the memory begins here
      apart = np.abs(other[:, bound] - y[:, bound]).max()
      assert apart > 0, 'the memory does not see as far as it says'


def another_horizon(s: Subject) -> None:
  """The same parameters serve a longer horizon, or the memory refuses one."""
  wanted = 2 * s.model.horizon or 1
  try:
    longer = s.model.with_horizon(wanted)
  except ConfigError:
    return
  assert s.model.horizon, 'a memory without a bound takes one'
  assert longer.horizon == wanted
  other = subject(longer, s.input_spec)
  assert jax.tree.map(jnp.shape, other.params) == jax.tree.map(
    jnp.shape, s.params
  )
  horizon(other._replace(params=s.params))


def pure(s: Subject) -> None:
  """The same twice; no two leaves share memory."""
  assert_apart(s.fresh())
  inputs, reset_BT = draw(s.input_spec, PIECE)
  carry, y = s.read(s.fresh(), inputs, reset_BT)
  again, y_again = s.read(s.fresh(), inputs, reset_BT)
  jax.tree.map(np.testing.assert_array_equal, (again, y_again), (carry, y))
  assert_apart(carry)


def eager(s: Subject) -> None:
  """The same without jit, where no two leaves share memory either."""
  inputs, reset_BT = draw(s.input_spec, 1)
  arguments = s.fresh(), jnp.asarray(inputs), jnp.asarray(reset_BT)
  result = s.model.apply({'params': s.params}, *arguments)
  jax.tree.map(assert_close, result, s.read(s.fresh(), inputs, reset_BT))
  assert_apart(result[0])


def replicas(s: Subject) -> None:
  """Under vmap each replica of the parameters reads its own stream."""
  streams = [draw(s.input_spec, PIECE, seed=n)[0] for n in range(REPLICAS)]
  reset_BT = some_resets(PIECE)
  params = [
    jax.tree.map(lambda p, n=n: p * (1 + n / 4), s.params)
    for n in range(REPLICAS)
  ]

  def stack(*leaves: Any) -> jax.Array:
    return jnp.stack(leaves)

  carry = jax.tree.map(stack, *[s.fresh() for _ in range(REPLICAS)])
  apply = jax.vmap(s.apply, in_axes=(0, 0, 0, None))
  _, y = jax.jit(apply)(
    jax.tree.map(stack, *params), carry, np.stack(streams), reset_BT
  )
  for n in range(REPLICAS):
    _, alone = s.apply(params[n], s.fresh(), streams[n], reset_BT)
    assert_close(y[n], alone)


LAWS = (
  batch_first,
  rows,
  segments,
  reset,
  causal,
  horizon,
  another_horizon,
  pure,
)
# Each compiles programs of its own, which takes longer than all other laws.
SLOW = (eager, replicas)
