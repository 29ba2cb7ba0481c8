"""RWKV-6, Finch: outer products behind a token shift that the data mixes.

With d_t = x_(t-1) - x_t, the token shift, and i one of w, k, v, r, g:

    s_t = tanh((x_t + d_t * mu_x) A)                          5 parts of rank R
    x_i = x_t + d_t * (mu_i + s_i B_i)
    r, k, v, g = W_r x_r, W_k x_k, W_v x_v, silu(W_g x_g)
    log a_t = -exp(w_0 + tanh(x_w A_w) B_w)                    (K,) per head
    y_t = (w_(t-1) + diag(u) k_t v_t')' r_t
    w_t = diag(a_t) w_(t-1) + k_t v_t'

and the output is W_o (norm(y) * g), norm with mean 0 and variance 1 over each
head, a gain and a bias. A step reads before it writes; u says how much of
itself it reads.

Paper: Peng et al. 2024, https://arxiv.org/abs/2404.05892.
Carry: w `(B, H, K, K)` and the last input `(B, D)`, float32.
Cost per step: 6 D D + 10 R D + 2 R_w D, and H (2 K K + 2 C K) in chunks of C
steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; A and A_w 0, B and
B_w uniform in ±0.01; of unit n of D, in layer i of L with z = i / (L - 1) and
c = 1 - i / L: mu_x, mu_w and mu_k are 1 - (n / D)^c, mu_v is that less 0.3 z,
mu_r and mu_g are 1 - (n / D)^(c / 2), w_0 is -6 + 5 (n / (D - 1))^(0.7 + 1.3 z)
and u is z (1 - n / (D - 1)) + 0.1 ((n + 1) mod 3 - 1).
Deviations: a decay below exp(-5) counts as exp(-5) (`ops/decays.py`). The code
of the paper draws kernels orthogonal or 0. i and L count all layers of the
Stack, those of the channel mix too (`channel_mix`), which is a layer of its
own: a pattern of the Stack. Norms and residuals are the Stack's.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import HeadNorm, check_channel_chunk, shift
from memjax.ops.decays import CHANNEL_CHUNK, LEAST_LOG_DECAY
from memjax.ops.linear_attention import add
from memjax.ops.products import head_product
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

MIX_RANK, DECAY_RANK = 32, 64
EPSILON = 1e-5  # of the norm, for each unit of a head


class Shifted(NamedTuple):
  """What a matrix memory behind a token shift remembers.

  Attributes:
    w_BHKK: float32 memory.
    last_BD: float32, the last input.
  """

  w_BHKK: jax.Array
  last_BD: jax.Array


class RWKV6(Memory):
  """Time mix: reads what was written before, then decays and writes.

  Intermediates: a as `forget_gate`, `(B, T, D)`.

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

  def initial_carry(self, batch_size: int) -> Shifted:
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, heads, self.head_width, self.head_width
    return Shifted(jnp.zeros(shape), jnp.zeros((batch_size, self.width)))

  @nn.compact
  def __call__(
    self,
    carry: Shifted,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Shifted, Sequence_BTD]:
    del train
    _, heads, keys, _ = carry.w_BHKK.shape
    units = heads * keys
    last, before = shift(carry.last_BD, x, reset_BT)
    x_w, x_k, x_v, x_r, x_g = self._mixed(x, before - x)

    def by_head(a: jax.Array) -> jax.Array:
      return a.astype(jnp.float32).reshape(*x.shape[:2], heads, keys)

    r_BTHK, k_BTHK, v_BTHK = (
      by_head(Dense(units, False, name=name)(a))
      for name, a in (('receptance', x_r), ('key', x_k), ('value', x_v))
    )
    log_decay = self._log_decay(x_w, units)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay))
    bonus = self.param('bonus', self._first_bonus, (units,))
    bonus_HK = bonus.astype(jnp.float32).reshape(heads, keys)
    w_BHKK, y_BTHK = read_before_write(
      carry.w_BHKK,
      r_BTHK,
      k_BTHK,
      v_BTHK,
      reset_BT,
      log_decay=by_head(log_decay),
      chunk=self.chunk,
    )
    y_BTHK += (r_BTHK * bonus_HK[None, None] * k_BTHK).sum(
      -1, keepdims=True
    ) * v_BTHK
    y = HeadNorm(keys * EPSILON, name='norm')(y_BTHK, x.dtype)
    y *= nn.silu(Dense(units, False, name='gate')(x_g))
    output = Dense(self.width, False, name='output')(y)
    return Shifted(w_BHKK, last), output

  def _mixed(self, x: jax.Array, d: jax.Array) -> list[jax.Array]:
    """The five inputs between each step and the one before."""
    width = x.shape[-1]
    mu_x = self.param('shift', self._first_shares, (width,), (1.0,))
    mu = self.param(
      'shifts', self._first_shares, (5 * width,), (1.0, 1.0, 1.0, 0.5, 0.5)
    )
    zeros = nn.initializers.zeros_init()
    low = Dense(5 * MIX_RANK, False, kernel_init=zeros, name='shift_low')(
      x + d * mu_x[None, None]
    )
    parts = jnp.tanh(low).reshape(*x.shape[:2], 5, MIX_RANK)
    high = self.param('shift_high', _near_zero, (5, MIX_RANK, width))
    shares = jnp.moveaxis(head_product(parts, high), 2, 0)
    shares += mu.reshape(5, 1, 1, width)
    return list(x[None] + d[None] * shares)

  def _log_decay(self, x_w: jax.Array, units: int) -> jax.Array:
    """log a, `(B, T, D)`, float32."""
    zeros = nn.initializers.zeros_init()
    low = Dense(DECAY_RANK, False, kernel_init=zeros, name='decay_low')(x_w)
    w = Dense(
      units,
      kernel_init=_near_zero,
      bias_init=self._first_decays,
      name='decay_input',
    )(jnp.tanh(low))
    return jnp.maximum(-jnp.exp(w.astype(jnp.float32)), LEAST_LOG_DECAY)

  def _place(self) -> float:
    return self.index / max(1, self.depth - 1)

  def _first_shares(
    self, key: jax.Array, shape: tuple[int], powers: tuple[float, ...]
  ) -> jax.Array:
    """mu_i, one after the other; the third is that of the values."""
    del key
    width = shape[0] // len(powers)
    n, c = np.arange(width) / width, 1 - self.index / self.depth
    first = np.stack([1 - n ** (c * power) for power in powers])
    first[2:3] -= 0.3 * self._place()
    return jnp.asarray(first.reshape(-1), jnp.float32)

  def _first_decays(
    self, key: jax.Array, shape: tuple[int, ...], dtype: object
  ) -> jax.Array:
    del key, dtype
    line = np.arange(shape[0]) / max(1, shape[0] - 1)
    first = -6 + 5 * line ** (0.7 + 1.3 * self._place())
    return jnp.asarray(first, jnp.float32)

  def _first_bonus(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    del key
    n = np.arange(shape[0])
    first = self._place() * (1 - n / max(1, shape[0] - 1))
    return jnp.asarray(first + 0.1 * ((n + 1) % 3 - 1), jnp.float32)


def read_before_write(
  w_BHKV: jax.Array,
  q_BTHK: jax.Array,
  k_BTHK: jax.Array,
  v_BTHV: jax.Array,
  reset_BT: jax.Array,
  *,
  log_decay: jax.Array,
  chunk: int,
) -> tuple[jax.Array, jax.Array]:
  """y_t = w_(t-1)' q_t; the memory after the last step, and y.

  `add` reads after it decays and writes. So each step decays and writes what
  the step before should, and the last step's turn comes at the end.
  """

  def before(a: jax.Array) -> jax.Array:
    a = jnp.where(reset_BT[:, 1:, None, None], 0, a[:, :-1])
    return jnp.pad(a, ((0, 0), (1, 0), (0, 0), (0, 0)))

  w_BHKV, y_BTHV = add(
    w_BHKV,
    q_BTHK,
    before(k_BTHK),
    before(v_BTHV),
    reset_BT,
    log_decay=before(log_decay),
    chunk=chunk,
  )
  kept = jnp.exp(log_decay[:, -1])[..., None]
  written = k_BTHK[:, -1, ..., None] * v_BTHV[:, -1, :, None]
  return kept * w_BHKV + written, y_BTHV


def _near_zero(
  key: jax.Array, shape: tuple[int, ...], dtype: object = None
) -> jax.Array:
  del dtype
  return jax.random.uniform(key, shape, jnp.float32, -0.01, 0.01)
