"""Operations that have their own kernel on a GPU, and what it replaces."""

from collections.abc import Callable
import statistics
import time
from typing import Any
from unittest import mock

import jax
from jax import lax
import jax.numpy as jnp

from memjax.ops import fused_attention
from memjax.ops.attention import run_ids, windowed_attention
from memjax.ops.diagonal import rotating

ROUNDS = 5


def seconds(step: Callable[[], Any]) -> float:
  """The median of ROUNDS calls, after one that compiles."""
  times = []
  for _ in range(ROUNDS + 1):
    begin = time.perf_counter()
    jax.block_until_ready(step())
    times.append(time.perf_counter() - begin)
  return statistics.median(times[1:])


def attention(shape: tuple[int, ...], window: int) -> dict[str, float | bool]:
  """Forward and backward in bfloat16, as `windowed_attention` reads here.

  Args:
    shape: `(B, T, H, K)` of the queries. The memory is empty, as in an episode.
    window: M.

  Returns:
    Milliseconds, and those of tiles alone.
  """
  x = jax.random.normal(jax.random.key(0), shape, jnp.bfloat16)
  keys = jnp.pad(x, ((0, 0), (window, 0), (0, 0), (0, 0)))
  reset_BT = jnp.zeros(shape[:2], bool).at[:, 0].set(True)
  run_BS = run_ids(jnp.zeros(shape[0], jnp.int32), window, reset_BT)

  def loss(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    y = windowed_attention(q, k, v, run_BS, window)
    return y.astype(jnp.float32).sum()

  def took() -> float:
    run = jax.jit(jax.grad(loss, (0, 1, 2)))
    return 1e3 * seconds(lambda: run(x, keys, keys))

  found = {'cudnn': fused_attention.on_ampere(), 'ms': took()}
  with mock.patch.object(fused_attention, 'takes', return_value=False):
    return found | {'tiles_ms': took()}


def recurrence(
  op: Callable[..., Any], shape: tuple[int, ...]
) -> dict[str, float]:
  """Forward and backward of `diagonal` or `rotating`, as it reads here.

  Args:
    op: either.
    shape: `(B, T, D)`.

  Returns:
    Milliseconds, and those of the tree of other devices.
  """
  parts = (2,) if op is rotating else ()
  x = jax.random.normal(jax.random.key(0), (*shape, *parts))
  factors = (jnp.full(shape, 0.9),) * (1 + len(parts))
  reset_BT = jnp.zeros(shape[:2], bool)

  def loss(x: jax.Array, factors: tuple[jax.Array, ...]) -> jax.Array:
    return op(jnp.zeros_like(x[:, 0]), *factors, x, reset_BT)[1].sum()

  def took() -> float:
    run = jax.jit(jax.grad(loss, (0, 1)))
    return 1e3 * seconds(lambda: run(x, factors))

  def tree(*arrays: jax.Array, default: Any, **ways: Any) -> Any:
    del ways
    return default(*arrays)

  found = {'ms': took()}
  with mock.patch.object(lax, 'platform_dependent', tree):
    return found | {'tree_ms': took()}
