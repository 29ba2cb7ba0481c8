"""HGRN2: what a channel forgets is what it writes, with a floor for each layer.

With H heads of K, and floors l of the layer, one for each of H K channels:

    f_t = l + (1 - l) sigma(W_f x_t),   q_t = silu(W_q x_t),   v_t = W_v x_t
    w_t = diag(f_t) w_(t-1) + (1 - f_t) v_t',   y_t = w_t' q_t        per head

and the output is W_o rms([y]_heads), rms over all H K numbers with a gain.
Floors rise from 0 at the lowest layer and are learned together
(`models/floors.py`).

Paper: Qin et al. 2024, https://arxiv.org/abs/2404.07904.
Carry: w `(B, H, K, K)`, float32.
Cost per step: 4 D H K, and H (2 K K + 2 C K) in chunks of C steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; gains 1;
the floors of layer i of L start at i / L.
Deviations: i and L count all layers of the Stack. A share below exp(-5) counts
as exp(-5) in the decay (`ops/decays.py`). Norms, residuals and the MLP are the
Stack's.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.floors import gates, shared_floors
from memjax.models.mixing import check_channel_chunk
from memjax.models.sharing import Sharing
from memjax.ops.decays import CHANNEL_CHUNK
from memjax.ops.linear_attention import add
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EPSILON = 1e-5  # of the norm


class HGRN2(Sharing):
  """Writes to each channel the share that it forgets.

  Intermediates: f as `forget_gate`, `(B, T, H K)`.

  Attributes:
    width: D.
    head_width: K.
    chunk: C, the number of steps read at once, at most 16.
    index: i, of the layer in its Stack, which sets it.
    depth: L, of the Stack, which sets it.
  """

  width: int
  head_width: int
  chunk: int = CHANNEL_CHUNK
  index: int = 0
  depth: int = 1

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    check_channel_chunk(self.chunk)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> jax.Array:
    heads = number_of_heads(self.width, self.head_width)
    return jnp.zeros((batch_size, heads, self.head_width, self.head_width))

  @nn.compact
  def as_layer(
    self,
    carry: jax.Array,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    *,
    train: bool = False,
  ) -> tuple[jax.Array, Sequence_BTD, dict[str, jax.Array]]:
    del train
    _, heads, keys, _ = carry.shape
    columns = Dense(3 * heads * keys, False, name='input')(x)
    q, f, v = jnp.split(columns.astype(jnp.float32), 3, axis=-1)
    shared = shared_floors(self, 'hgrn2', shared, heads * keys, self.depth)
    log_kept, written = gates(f, 'hgrn2', shared, self.index)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_kept))

    def by_head(a: jax.Array) -> jax.Array:
      return a.reshape(*x.shape[:2], heads, keys)

    after, y_BTHK = add(
      carry,
      by_head(nn.silu(q)),
      by_head(written),
      by_head(v),
      reset_BT,
      log_decay=by_head(log_kept),
      chunk=self.chunk,
    )
    y_BTI = y_BTHK.reshape(*x.shape[:2], -1).astype(x.dtype)
    y_BTI = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTI)
    return after, Dense(self.width, False, name='output')(y_BTI), shared
