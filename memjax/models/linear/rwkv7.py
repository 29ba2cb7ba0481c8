"""RWKV-7, Goose: a memory that takes away at one key what it reads at another.

With d_t = x_(t-1) - x_t, the token shift, and i one of r, w, k, v, a, g:

    x_i = x_t + d_t * mu_i
    r, k, v = W_r x_r, W_k x_k, W_v x_v
    v <- v + (v^1 - v) * sigma(n_0 + x_v A_n B_n)    above the lowest layer
    f_t = exp(-exp(-1/2) sigma(w_0 + tanh(x_w A_w) B_w))    from 0.545 to 1
    a_t = sigma(a_0 + x_a A_a B_a),   g_t = sigma(x_g A_g) B_g
    h_t = k * k_k / |k * k_k| per head,   k <- k * (1 + (a - 1) * k_a)
    w_t = diag(f_t) w_(t-1) - (h_t * a_t) (w_(t-1)' h_t)' + k_t v_t'
    y_t = w_t' r_t

and the output is W_o ((norm(y) + (sum over the head of r * k * r_k) v) * g),
norm with mean 0 and variance 1 over each head, a gain and a bias. At the key h
the memory is replaced by the share a, which each channel chooses. v^1 are the
values of the lowest layer, which hands them on (`models/sharing.py`).

Paper: Peng et al. 2025, https://arxiv.org/abs/2503.14456.
Carry: w `(B, H, K, K)` and the last input `(B, D)`, float32.
Cost per step: 4 D D + 4 R D + 2 (R_g + R_n) D with ranks R, R_g and R_n, and
H (4 K K + 13 C K / 2) in chunks of C steps (`ops/dplr.py`); linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; A 0, B orthogonal
times 0.1; of unit n of D, in layer i of L with z = i / (L - 1), c = 1 - i / L,
l = n / (D - 1) - 1/2, and s |s| with s from -1 to 1 over each head: mu are
1 - (n / D)^(c p), p 0.2 for r and g, 0.9 for w and a, 0.7 for k and v;
w_0 = -5.5 + 6 (n / (D - 1))^(1 + z^0.3) + 2.5 s |s|; a_0 = -0.19 + 0.3 s |s| +
0.4 l; n_0 = 0.73 - 0.4 l; k_k = 0.71 - 0.1 l, k_a = 1.02, r_k = -0.04; gains
((i + 1) / L)^0.7.
Deviations: the code of the paper draws kernels orthogonal and W_o 0. i and L
count all layers of the Stack, those of the channel mix too (`channel_mix`),
which is a layer of its own: a pattern of the Stack. Norms and residuals are the
Stack's.
"""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import wants_intermediates
from memjax.models.dense import Dense
from memjax.models.linear.rwkv6 import EPSILON, Shifted
from memjax.models.mixing import HeadNorm, check_channel_chunk, shift, unit
from memjax.models.sharing import Sharing
from memjax.ops.decays import CHANNEL_CHUNK
from memjax.ops.dplr import dplr
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

LARGEST_RATE = np.exp(-0.5)  # a decay is never below exp of its negative
# The powers of the first shares of the step before, in the order of x_i.
POWERS = {'r': 0.2, 'w': 0.9, 'k': 0.7, 'v': 0.7, 'a': 0.9, 'g': 0.2}


class RWKV7(Sharing):
  """Time mix: decays, replaces and writes, each by shares of channels.

  Intermediates: f as `forget_gate` and a as `write_gate`, `(B, T, D)` each.

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
  def as_layer(
    self,
    carry: Shifted,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    *,
    train: bool = False,
  ) -> tuple[Shifted, Sequence_BTD, dict[str, jax.Array]]:
    del train
    _, heads, keys, _ = carry.w_BHKK.shape
    units = heads * keys
    last, before = shift(carry.last_BD, x, reset_BT)
    x_i = self._mixed(x, before - x)

    def by_head(a: jax.Array) -> jax.Array:
      return a.astype(jnp.float32).reshape(*a.shape[:-1], heads, keys)

    r, k, v = (
      Dense(units, False, name=name)(x_i[name[0]])
      for name in ('receptance', 'key', 'value')
    )
    v, shared = self._with_first(v, x_i['v'], shared)
    decay = self._low_rank('decay', x_i['w'], units, jnp.tanh, 2.5)
    log_decay = -LARGEST_RATE * nn.sigmoid(decay.astype(jnp.float32))
    a = nn.sigmoid(self._low_rank('rate', x_i['a'], units, _same, 2.5))
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay))
      self.sow('intermediates', 'write_gate', a)
    scale_D, share_D = (
      self._of_units('erase', units),
      self._of_units('key_share', units),
    )
    erase_BTHK = unit(by_head(k * scale_D[None, None]))
    k_BTHK = by_head(k * (1 + (a - 1) * share_D[None, None]))
    r_BTHK, v_BTHK, log_decay = by_head(r), by_head(v), by_head(log_decay)
    w_BHKK, y_BTHK = dplr(
      carry.w_BHKK,
      r_BTHK,
      k_BTHK,
      v_BTHK,
      # The rule reads the memory before the step's decay, the op after it.
      erase_BTHK * jnp.exp(-log_decay),
      erase_BTHK * by_head(a),
      reset_BT,
      log_decay=log_decay,
      chunk=self.chunk,
    )
    own_HK = by_head(self._of_units('own', units))
    own = (r_BTHK * k_BTHK * own_HK[None, None]).sum(-1, keepdims=True)
    y = self._readout(y_BTHK, own * v_BTHK, x_i['g'])
    return Shifted(w_BHKK, last), y, shared

  def _with_first(
    self, v: jax.Array, x_v: jax.Array, shared: dict[str, jax.Array]
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Values mixed with those of the lowest layer, and `shared` with these."""
    units = v.shape[-1]
    first = shared.get(f'rwkv7_values_{units}')
    if first is None:
      return v, shared | {f'rwkv7_values_{units}': v}
    share = nn.sigmoid(self._low_rank('first', x_v, units, _same, 1.7))
    return v + (first - v) * share, shared

  def _readout(
    self, y_BTHK: jax.Array, own_BTHK: jax.Array, x_g: jax.Array
  ) -> jax.Array:
    """The output, from what the memory and the step itself say."""
    gain = ((self.index + 1) / self.depth) ** 0.7
    epsilon = self.head_width * EPSILON
    y = HeadNorm(epsilon, gain, name='norm')(y_BTHK, x_g.dtype)
    y += own_BTHK.reshape(y.shape).astype(y.dtype)
    y *= self._low_rank('gate', x_g, y.shape[-1], nn.sigmoid, 5.0)
    return Dense(self.width, False, name='output')(y)

  def _mixed(self, x: jax.Array, d: jax.Array) -> dict[str, jax.Array]:
    """x_i, between each step and the one before."""
    width = x.shape[-1]
    n = np.arange(width) / width
    c = 1 - self.index / self.depth
    first = np.concatenate([1 - n ** (c * power) for power in POWERS.values()])
    mu = self._param('shifts', first).reshape(len(POWERS), 1, 1, width)
    return {name: x + d * mu[i] for i, name in enumerate(POWERS)}

  def _low_rank(
    self,
    name: str,
    x: jax.Array,
    units: int,
    act: Callable[[jax.Array], jax.Array],
    factor: float,
  ) -> jax.Array:
    """A map of rank max(32, factor sqrt(D)), with a bias if it has a start."""
    rank = 32 * max(1, round(factor * self.width**0.5 / 32))
    zeros = nn.initializers.zeros_init()
    low = Dense(rank, False, kernel_init=zeros, name=f'{name}_low')(x)
    orthogonal = nn.initializers.orthogonal(0.1)
    high = Dense(units, False, kernel_init=orthogonal, name=f'{name}_high')
    y = high(act(low))
    if name in ('decay', 'rate', 'first'):
      y += self._of_units(name, units)[None, None]
    return y

  def _of_units(self, name: str, units: int) -> jax.Array:
    """A parameter of each unit, `(H K,)`."""
    line = np.arange(units) / max(1, units - 1)
    z = self.index / max(1, self.depth - 1)
    half = max(1, self.head_width - 1) / 2
    s = np.arange(units) % self.head_width / half - 1
    first = {
      'decay': -5.5 + 6 * line ** (1 + z**0.3) + 2.5 * s * abs(s),
      'rate': -0.19 + 0.3 * s * abs(s) + 0.4 * (line - 0.5),
      'first': 0.73 - 0.4 * (line - 0.5),
      'erase': 0.71 - 0.1 * (line - 0.5),
      'key_share': np.full(units, 1.02),
      'own': np.full(units, -0.04),
    }
    return self._param(name, first[name])

  def _param(self, name: str, first: np.ndarray) -> jax.Array:
    """A parameter that starts at these values."""
    start = jnp.asarray(first, jnp.float32)
    value: jax.Array = self.param(name, lambda key: start)
    return value


def _same(a: jax.Array) -> jax.Array:
  return a
