"""What cuDNN computes on a GPU is what tiles compute: tried by XLA on a CPU."""

import functools
from typing import Any

import jax
from jax._src.cudnn import fused_attention_stablehlo
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.ops import fused_attention
from memjax.ops.attention import run_ids, windowed_attention
from memjax.ops.tiles import UNROLLED, cover

SLOTS, WINDOW, TILE = 6, 4, 2
LENGTH = TILE * (UNROLLED + 2)  # the last tiles are a loop


def draw(dtype: Any) -> tuple[list[jax.Array], jax.Array]:
  """Queries, keys and values; four heads share two; a reset in mid-run."""
  rng = np.random.default_rng(0)
  keys = SLOTS + LENGTH
  shapes = (2, LENGTH, 4, 8), (2, keys, 2, 8), (2, keys, 2, 8)
  reset_BT = np.zeros((2, LENGTH), bool)
  reset_BT[0, 7:9] = True
  count_B = jnp.array([SLOTS, 1], jnp.int32)
  run_BS = run_ids(count_B, SLOTS, jnp.asarray(reset_BT))
  return [jnp.asarray(rng.normal(size=s), dtype) for s in shapes], run_BS


def test_values_and_gradients_are_those_of_the_tiles(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  inputs, run_BS = draw(jnp.float32)

  def results() -> Any:
    def loss(q: Any, k: Any, v: Any) -> tuple[jax.Array, jax.Array]:
      y = windowed_attention(q, k, v, run_BS, WINDOW, chunk=TILE)
      return jnp.sin(y).sum(), y

    grad = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    return jax.device_get(grad(*inputs))

  tiled = results()
  by_xla = functools.partial(fused_attention.attend, implementation='xla')
  monkeypatch.setattr(fused_attention, 'takes', lambda *_: True)
  monkeypatch.setattr(fused_attention, 'attend', by_xla)
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5),
    results(),
    tiled,
  )


def test_what_the_kernel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
  (q, k, v), _ = draw(jnp.bfloat16)
  stretches = cover(LENGTH, SLOTS, WINDOW, TILE, 0)
  assert not fused_attention.takes(q, k, v, stretches)  # on a CPU
  monkeypatch.setattr(fused_attention, 'on_ampere', lambda: True)
  takes = fused_attention.takes
  assert takes(q, k, v, stretches)
  assert not takes(q.astype(jnp.float32), k, v, stretches)
  assert not takes(q, k, v[..., :4], stretches)
  assert not takes(q[..., :4], k[..., :4], v[..., :4], stretches)
  assert not takes(q, k, v, cover(LENGTH - 1, SLOTS, WINDOW, TILE, 0))
  assert not takes(q, k, v, cover(LENGTH, SLOTS, WINDOW - 1, TILE, 0))


def test_both_passes_are_calls_of_cudnn(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  inputs, run_BS = draw(jnp.bfloat16)
  monkeypatch.setattr(fused_attention, 'on_ampere', lambda: True)
  monkeypatch.setattr(
    fused_attention_stablehlo, 'check_cudnn_version', lambda: 91_000
  )

  def loss(q: Any, k: Any, v: Any) -> jax.Array:
    return windowed_attention(q, k, v, run_BS, WINDOW, chunk=TILE).sum()

  gradient = jax.jit(jax.grad(loss, (0, 1, 2))).trace(*inputs)
  program = gradient.lower(lowering_platforms=('cuda',)).as_text()
  assert '__cudnn$fmhaScaleBiasSoftmax' in program
  assert '__cudnn$fmhaScaleBiasSoftmaxBackward' in program
