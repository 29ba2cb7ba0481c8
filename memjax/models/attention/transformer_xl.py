"""Transformer-XL: attention to what the layer read in earlier segments.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860, section 3.3. With h
the layer's inputs, those of the memory first, and for each head:

    q_t = W_q h_t,   k_s = W_kE h_s,   v_s = W_v h_s,   p_d = W_kR R_d
    A_ts = (q_t · k_s + q_t · p_(t-s) + u · k_s + v · p_(t-s)) / sqrt(K)
    y_t  = W_o [sum_s softmax_s(A_ts) v_s]_heads

In a stack with pre-norm, h is norm(x) and the carry holds x: the memory is
normed anew at each reading. R_d holds the sines, then the cosines of
d / 10000^(2i / D). A query sees itself and the `window` positions before it
(span 'fixed'), or with the paper's growing span ('segment') all of the memory
and all before it in its segment.

Carry: the last M inputs x of the layer, `(B, M, D)` float32, and the number of
filled ones, `(B,)` int32. The training loop passes them as constants, which is
the paper's stop-gradient. The gradient of W_kE and W_v runs through them.
Cost per step: B D D + B M D, and B (M / T) D D for the memory's keys; a step on
its own (T < K) takes its queries to the inputs instead, at B H M D. A segment's
memory grows with T + M.
Parameters: kernels normal of variance 1 / D, u and v normal of variance 0.02^2;
no other biases.
Deviations: u and v are each layer's own, as in the authors' TensorFlow code;
with `share_biases` all layers have the lowest one's, as in their PyTorch code.
No dropout on R and the attention
weights; the authors draw kernels and the table of tokens at 0.02, and their
code's `same_length`, where the query counts as one of the M, sees one position
less than 'fixed'. Norms, residuals and the MLP are the Stack's: wiring
'post_norm' or 'pre_norm', activation 'relu', `epsilon` 1e-5, `embedding_scale`
sqrt(D), `final_norm` False and a `readout_dropout` equal to `dropout` make the
paper's model; `cutoffs` are those of its adaptive softmax and embedding.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.block import NORMS
from memjax.models.dense import Dense
from memjax.models.positions import sinusoids
from memjax.models.sharing import Sharing
from memjax.ops.attention import (
  CHUNK,
  last_run,
  run_ids,
  weights_by_lag,
  windowed_attention,
)
from memjax.ops.products import flat_product
from memjax.types import Reset_BT, Sequence_BTD

SPANS = ('fixed', 'segment')
Shared = dict[str, jax.Array]


class Recent(NamedTuple):
  """What the layer last read, the newest in the last slot.

  Attributes:
    x_BMD: float32 inputs of the layer, not yet normed.
    count_B: int32, the number of filled slots.
  """

  x_BMD: jax.Array
  count_B: jax.Array


class TransformerXL(Sharing):
  """Relative multi-head attention over a memory of the layer's own inputs.

  Span 'segment' breaks the law of segments on purpose. Intermediates:
  `lag_weights`, `(B, T, H, R)`, where R is 1 + window, or the number of keys
  with 'segment'.

  Attributes:
    width: D, even.
    head_width: K.
    window: M, at least 0; may be shorter or longer than the segments.
    span: 'fixed' or 'segment'.
    clamp: larger distances count as this one; 0 for no limit. The authors use
      it to evaluate with longer memories than the trained ones.
    norm: of what the layer reads, as in a Stack, or '' for none; a Stack in
      pre-norm sets it and its epsilon to its own.
    epsilon: of the norm.
    share_biases: whether u and v are those of the lowest layer.
    chunk: the number of queries read at once, at least.
  """

  width: int
  head_width: int
  window: int
  span: str = 'fixed'
  clamp: int = 0
  norm: str = ''
  epsilon: float = 1e-6
  share_biases: bool = False
  chunk: int = CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    require(self.width % 2 == 0, 'width', self.width, 'must be even')
    require(self.window >= 0, 'window', self.window, 'must be at least 0')
    require(self.clamp >= 0, 'clamp', self.clamp, 'must be at least 0')
    require(self.chunk >= 1, 'chunk', self.chunk, 'must be at least 1')
    known = f'must be one of {", ".join(SPANS)}'
    require(self.span in SPANS, 'span', self.span, known)
    known = f"must be '' or one of {', '.join(NORMS)}"
    require(self.norm in ('', *NORMS), 'norm', self.norm, known)
    require(self.epsilon > 0, 'epsilon', self.epsilon, 'must be above 0')
    super().__post_init__()

  @property
  def norms_inputs(self) -> bool:
    return bool(self.norm)

  @property
  def breaks(self) -> Mapping[str, str]:
    reason = "span 'segment' sees as far back as its segment begins"
    return {'segments': reason} if self.span == 'segment' else {}

  @property
  def horizon(self) -> int:
    return self.window if self.span == 'fixed' else 0

  def with_horizon(self, horizon: int) -> Memory:
    rule = "span 'segment' has no horizon: it grows with the segment"
    require(self.span == 'fixed', 'horizon', horizon, rule)
    require(horizon >= 1, 'horizon', horizon, 'must be at least 1')
    return self.clone(window=horizon)

  def initial_carry(self, batch_size: int) -> Recent:
    slots = max(self.window, 1)  # a checkpoint cannot hold an empty array
    return Recent(
      jnp.zeros((batch_size, slots, self.width)),
      jnp.zeros((batch_size,), jnp.int32),
    )

  @nn.compact
  def as_layer(
    self,
    carry: Recent,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    shared: Shared,
    *,
    train: bool = False,
  ) -> tuple[Recent, Sequence_BTD, Shared]:
    del train
    batch, length, width = x.shape
    slots, head_width = carry.x_BMD.shape[1], self.head_width
    heads = number_of_heads(width, head_width)
    joint = heads * head_width
    window = self.window if self.span == 'fixed' else slots + length - 1

    def kernel(name: str) -> jax.Array:
      draw = nn.initializers.lecun_normal()
      kernel_DI = self.param(name, draw, (width, joint))
      return kernel_DI.reshape(width, heads, head_width)

    def query(bias_I: jax.Array) -> jax.Array:
      q_BTHK = (q_BTI + bias_I[None, None]).reshape(batch, length, heads, -1)
      return q_BTHK * head_width**-0.5

    x_BSD = jnp.concatenate([carry.x_BMD.astype(x.dtype), x], axis=1)
    h_BSD = self._normed(x_BSD)
    distance_R = jnp.arange(window + 1)
    if self.clamp:
      distance_R = jnp.minimum(distance_R, self.clamp)
    r_RD = sinusoids(distance_R, width).astype(x.dtype)
    run_BS = run_ids(carry.count_B, slots, reset_BT)
    q_BTI = Dense(joint, use_bias=False, name='query')(h_BSD[:, slots:])
    value_DHK = kernel('value')
    u_I, v_I, shared = self._biases(joint, shared)
    short = length < head_width
    q, k = meet(query(u_I), h_BSD, kernel('key'), length)
    v = h_BSD[:, :, None] if short else project(h_BSD, value_DHK)
    relative = meet(query(v_I), r_RD, kernel('position'), batch * length)
    y = windowed_attention(q, k, v, run_BS, window, relative, chunk=self.chunk)
    if wants_intermediates(self):
      weights = weights_by_lag(q, k, run_BS, window, relative)
      self.sow('intermediates', 'lag_weights', weights)
    if short:
      y = jnp.einsum('BTHD,DHK->BTHK', y, value_DHK)
    y_BTI = y.reshape(batch, length, joint)
    y = Dense(width, use_bias=False, name='output')(y_BTI)
    after = Recent(
      x_BSD[:, -slots:].astype(jnp.float32), last_run(run_BS, self.window)
    )
    return after, y, shared

  def _biases(
    self, joint: int, shared: Shared
  ) -> tuple[jax.Array, jax.Array, Shared]:
    """u and v, `(H K,)`, and `shared` with them if all layers have them."""
    names = [f'transformer_xl_{name}_{joint}' for name in 'uv']
    if self.share_biases and names[0] in shared:
      return shared[names[0]], shared[names[1]], shared
    draw = nn.initializers.normal(0.02)
    u_I, v_I = (self.param(name, draw, (joint,)) for name in 'uv')
    if self.share_biases:
      shared = shared | dict(zip(names, (u_I, v_I), strict=True))
    return u_I, v_I, shared

  def _normed(self, x: jax.Array) -> jax.Array:
    if not self.norm:
      return x
    norm: Any = NORMS[self.norm](epsilon=self.epsilon, name='norm')
    return norm(x)


def project(x: jax.Array, kernel_DHK: jax.Array) -> jax.Array:
  """`(..., D)` to `(..., H, K)`."""
  width, heads, head_width = kernel_DHK.shape
  y = flat_product(x, kernel_DHK.reshape(width, heads * head_width))
  return y.reshape(*x.shape[:-1], heads, head_width)


def meet(
  q_BTHK: jax.Array, x: jax.Array, kernel_DHK: jax.Array, queries: int
) -> tuple[jax.Array, jax.Array]:
  """The two factors of q · W x; W multiplies the cheaper side.

  Args:
    q_BTHK: queries.
    x: `(..., D)` rows.
    kernel_DHK: W.
    queries: the number of queries that each row meets.

  Returns:
    Queries and the keys `(..., G, ·)` that all H heads or each head has.
  """
  if queries < kernel_DHK.shape[2]:
    return jnp.einsum('BTHK,DHK->BTHD', q_BTHK, kernel_DHK), x[..., None, :]
  return q_BTHK, project(x, kernel_DHK)
