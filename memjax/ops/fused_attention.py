"""Attention by cuDNN's fused kernel, for NVIDIA GPUs.

The kernel keeps no weights for the backward pass, and its sums are float32. It
knows neither resets nor a memory before the segment. So each tile is a call of
its own, and the keys that its queries see are a mask: what is kept grows with
T (C + window) for each row, for tiles of C queries. Its gradient is also that
of the mask, which nothing reads.

A call that the kernel does not take is read by `ops/tiled_attention.py`. The
values are equal to round-off. This was not measured on a GPU.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from memjax.ops.tiles import Stretch, Tile, sweep

HALF = (jnp.bfloat16, jnp.float16)
WIDEST = 128  # channels of a head
LEAST_CAPABILITY = 8.0  # Ampere


def takes(
  q_BTHK: jax.Array,
  k_BSGK: jax.Array,
  v_BSGV: jax.Array,
  stretches: Sequence[Stretch],
) -> bool:
  """Whether this device's cuDNN computes such a call and its gradient."""
  width = q_BTHK.shape[-1]
  return (
    on_ampere()
    and q_BTHK.dtype in HALF
    and q_BTHK.dtype == k_BSGK.dtype == v_BSGV.dtype
    and k_BSGK.shape == v_BSGV.shape
    and width % 8 == 0
    and width <= WIDEST
    and all(
      tile.queries % 2 == 0 and tile.keys % 2 == 0 for tile, _ in stretches
    )
  )


def on_ampere() -> bool:
  """Whether jax computes on an NVIDIA GPU of this generation or a later one."""
  if jax.default_backend() != 'gpu':
    return False
  capability = str(getattr(jax.devices()[0], 'compute_capability', ''))
  # The names of AMD's generations begin with letters.
  return capability[:1].isdigit() and float(capability) >= LEAST_CAPABILITY


def attend(
  q_BTHK: jax.Array,
  k_BSGK: jax.Array,
  v_BSGV: jax.Array,
  run_BS: jax.Array,
  window: int,
  stretches: Sequence[Stretch],
  implementation: Any = 'cudnn',
) -> jax.Array:
  """`windowed_attention` without further scores, `(B, T, H, V)`.

  Args:
    q_BTHK: queries.
    k_BSGK: keys.
    v_BSGV: values.
    run_BS: equal numbers see each other.
    window: the number of keys before its own that a query sees.
    stretches: tiles that cover all queries.
    implementation: of `jax.nn.dot_product_attention`.
  """

  def one(nothing: None, tile: Tile) -> Any:
    return nothing, jax.nn.dot_product_attention(
      tile.of_queries(q_BTHK, 1),
      tile.of_keys(k_BSGK, 1),
      tile.of_keys(v_BSGV, 1),
      mask=tile.seen(run_BS, window),
      scale=1.0,
      implementation=implementation,
    )

  return sweep(one, None, stretches, 1)[1]
