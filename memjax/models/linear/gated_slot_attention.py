"""Gated slot attention: slots that forget, read by a softmax.

With M slots for each of H heads of K:

    q, k, v = silu(W_qkv x)
    f_t = sigma(W_f x_t)^(1 / 8)                               (M,) per head
    a_t = diag(f_t) a_(t-1) + (1 - f_t) k_t'                   the slots' keys
    b_t = diag(f_t) b_(t-1) + (1 - f_t) v_t'                   and values
    p_t = softmax(a_t q_t),   y_t = b_t' p_t

and the output is W_o rms(silu([y]_heads)), rms over all H K numbers with a
gain. A slot is a moving average of the steps that it takes in: no slot is
bound to a position, and the memory stays of one size.

Paper: Zhang et al. 2024, https://arxiv.org/abs/2409.07146.
Carry: a and b `(B, H, M, K)`, float32.
Cost per step: 4 D H K + D H M, and H (4 M K + C (2 K + 2 M)) in chunks of C
steps; linear in T.
Parameters: kernels normal of variance 1 / rows, no biases; gains 1.
Deviations: a share below exp(-5) counts as exp(-5) in the decay
(`ops/decays.py`), which the power 1 / 8 leaves out of reach up to
W_f x = -40. Norms, residuals and the MLP are the Stack's.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.attention.transformer import number_of_heads
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import check_channel_chunk
from memjax.ops.decays import CHANNEL_CHUNK
from memjax.ops.slots import attend_slots
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EPSILON = 1e-5  # of the norm
POWER = 8


class Slots(NamedTuple):
  """What the slots hold.

  Attributes:
    keys_BHMK: float32 keys.
    values_BHMK: float32 values.
  """

  keys_BHMK: jax.Array
  values_BHMK: jax.Array


class GatedSlotAttention(Memory):
  """Attends to slots that take in each step by a share of their own.

  Intermediates: f as `forget_gate`, `(B, T, H M)`, and p as `read_weights`,
  `(B, T, H, M)`.

  Attributes:
    width: D.
    head_width: K.
    slots: M, of each head; 0: K.
    chunk: C, the number of steps read at once, at most 16.
  """

  width: int
  head_width: int
  slots: int = 0
  chunk: int = CHANNEL_CHUNK

  def __post_init__(self) -> None:
    number_of_heads(self.width, self.head_width)
    require(self.slots >= 0, 'slots', self.slots, 'must be at least 0')
    check_channel_chunk(self.chunk)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Slots:
    heads = number_of_heads(self.width, self.head_width)
    shape = batch_size, heads, self.slots or self.head_width, self.head_width
    return Slots(jnp.zeros(shape), jnp.zeros(shape))

  @nn.compact
  def __call__(
    self,
    carry: Slots,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Slots, Sequence_BTD]:
    del train
    _, heads, slots, keys = carry.keys_BHMK.shape
    qkv = Dense(3 * heads * keys, False, name='qkv')(x)
    qkv = nn.silu(qkv).astype(jnp.float32)
    q_BTHK, k_BTHK, v_BTHK = (
      a.reshape(*x.shape[:2], heads, keys) for a in jnp.split(qkv, 3, axis=-1)
    )
    f = Dense(heads * slots, False, name='forget')(x).astype(jnp.float32)
    log_decay = nn.log_sigmoid(f) / POWER
    log_decay_BTHM = log_decay.reshape(*x.shape[:2], heads, slots)
    after, p_BTHM, y_BTHK = attend_slots(
      carry.keys_BHMK,
      carry.values_BHMK,
      q_BTHK,
      k_BTHK,
      v_BTHK,
      -jnp.expm1(log_decay_BTHM),
      log_decay_BTHM,
      reset_BT,
      chunk=self.chunk,
    )
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', jnp.exp(log_decay))
      self.sow('intermediates', 'read_weights', p_BTHM)
    y_BTI = nn.silu(y_BTHK.reshape(*x.shape[:2], -1)).astype(x.dtype)
    y_BTI = nn.RMSNorm(epsilon=EPSILON, name='norm')(y_BTI)
    return Slots(*after), Dense(self.width, False, name='output')(y_BTI)
