"""The differentiable neural computer: a memory that knows free from used.

An LSTM controller h_t = LSTM([x_t, r_(t-1)]) controls one write head and H read
heads by xi_t = h_t W_xi. There are M slots of width K; (.)_h is for each head:

    u_t = (u + w - u * w) * prod_h(1 - f_h w_h)       u, w, w_h of t - 1
    w_t = g_w (g_a allocate(u_t) + (1 - g_a) C(M_(t-1), k, beta))
    M_t = M_(t-1) * (1 - w_t e') + w_t v'
    L_t[i, j] = (1 - w_t[i] - w_t[j]) L_(t-1)[i, j] + w_t[i] p_(t-1)[j],  i != j
    p_t = (1 - sum w_t) p_(t-1) + w_t
    w_h = pi_h[1] L_t' w_h + pi_h[2] C(M_t, k_h, beta_h) + pi_h[3] L_t w_h
    r_h = M_t' w_h,   y_t = h_t W_y + [r_1 ... r_H] W_r

where C is a softmax over beta times the cosine of key and slot, beta is
1 + log(1 + e^.), gates and e are sigma(.), pi_h is a softmax.

Paper: Graves et al. 2016, https://doi.org/10.1038/nature20101, Methods.
Carry: memory, usage u, links L, precedence p, the write and read weightings,
what was read, the controller's h and c; `(B, ...)` float32. All start at zero:
look-up is uniform there and has a finite gradient.
Cost per step: B C (4 (F + C + H K) + H K + 3 K + 5 H + 3) + B (C + H K) D with
C units and F inputs, B M (M (2 H + 3) + K (2 H + 4)) of the memory. The
backward pass keeps each step's carry, mostly B M (M + K + H + 3) numbers.
Deviations: one layer of LSTM, its forget bias 1; to rank slots by usage, slot m
counts as used by 1e-6 m more. The authors' code is not followed where it leaves
the paper: xi, y have biases, beta no 1, h and y are clipped at ±20, allocation
has usages >= 1e-6, and no gradient flows from usages to the write weighting.
"""

import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.recurrent import lstm
from memjax.ops import addressing, allocation
from memjax.ops.steps import product, walk
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

INTERMEDIATES = 'read_weights', 'write_weights', 'allocation_gate', 'free_gate'


class DNCState(NamedTuple):
  """What a DNC remembers; C is the width of its controller.

  Attributes:
    memory_BMK: the slots.
    usage_BM: how far each is in use.
    link_BMM: `[b, i, j]`, how far slot i was written right after slot j.
    precedence_BM: how far each slot is the one written last.
    write_BM: the last write weighting.
    read_BHM: the last read weightings.
    reads_BHK: what they saw.
    h_BC: the controller's output.
    c_BC: the controller's sum.
  """

  memory_BMK: jax.Array
  usage_BM: jax.Array
  link_BMM: jax.Array
  precedence_BM: jax.Array
  write_BM: jax.Array
  read_BHM: jax.Array
  reads_BHK: jax.Array
  h_BC: jax.Array
  c_BC: jax.Array


class Interface(NamedTuple):
  """The controller's instructions to the memory, in the order of the paper.

  Attributes:
    read_key_BHK: the content that each read head looks up.
    read_strength_BH: how sharply, at least 1.
    write_key_B1K: the content that the write head looks up.
    write_strength_B1: how sharply, at least 1.
    erase_B1K: what part of a slot's elements a write takes away.
    add_B1K: what it adds.
    free_BH: 1 frees what each head has just read.
    allocation_gate_B1: 1 writes to free slots, 0 by content.
    write_gate_B1: 0 writes nothing.
    mode_BH3: backward, by content, forward; sums to 1.
  """

  read_key_BHK: jax.Array
  read_strength_BH: jax.Array
  write_key_B1K: jax.Array
  write_strength_B1: jax.Array
  erase_B1K: jax.Array
  add_B1K: jax.Array
  free_BH: jax.Array
  allocation_gate_B1: jax.Array
  write_gate_B1: jax.Array
  mode_BH3: jax.Array


class DNC(Memory):
  """One layer of differentiable neural computer.

  Intermediates: `read_weights`, `(B, T, H, M)`; `write_weights`,
  `(B, T, 1, M)`; `allocation_gate`, `(B, T, 1)`; `free_gate`, `(B, T, H)`.

  Attributes:
    width: D.
    slots: M.
    slot_width: K.
    read_heads: H.
    controller_width: C, units of the controller.
  """

  width: int
  slots: int
  slot_width: int = 16
  read_heads: int = 2
  controller_width: int = 100

  def __post_init__(self) -> None:
    sizes = 'width slots slot_width read_heads controller_width'
    for field in sizes.split():
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> DNCState:
    def zeros(*shape: int) -> jax.Array:
      return jnp.zeros((batch_size, *shape), jnp.float32)

    return DNCState(
      memory_BMK=zeros(self.slots, self.slot_width),
      usage_BM=zeros(self.slots),
      link_BMM=zeros(self.slots, self.slots),
      precedence_BM=zeros(self.slots),
      write_BM=zeros(self.slots),
      read_BHM=zeros(self.read_heads, self.slots),
      reads_BHK=zeros(self.read_heads, self.slot_width),
      h_BC=zeros(self.controller_width),
      c_BC=zeros(self.controller_width),
    )

  @nn.compact
  def __call__(
    self,
    carry: DNCState,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[DNCState, Sequence_BTD]:
    del train
    units, heads, k = self.controller_width, self.read_heads, self.slot_width
    init = nn.initializers.lecun_normal()
    bias_init = nn.initializers.constant(np.repeat([0, 1, 0, 0], units))
    z_BTG = Dense(4 * units, bias_init=bias_init, name='input')(x)
    known, asks = units + heads * k, sum(_sizes(heads, k))
    recurrent_EG = self.param('recurrent_kernel', init, (known, 4 * units))
    interface_CI = self.param('interface_kernel', init, (units, asks))
    wanted = wants_intermediates(self)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def step(
      state: DNCState, z_BG: jax.Array
    ) -> tuple[DNCState, tuple[jax.Array, tuple[jax.Array, ...]]]:
      before_BE = _beside(state.h_BC, state.reads_BHK)
      a_BG = z_BG.astype(before_BE.dtype) + product(before_BE, recurrent_EG)
      h_BC, c_BC = lstm.CELL.step((state.h_BC, state.c_BC), a_BG)
      interface = split(product(h_BC, interface_CI), heads, k)
      state = remember(state._replace(h_BC=h_BC, c_BC=c_BC), interface)
      output_BE = _beside(h_BC, state.reads_BHK).astype(recurrent_EG.dtype)
      weights = state.read_BHM, state.write_BM[:, None]
      gates = interface.allocation_gate_B1, interface.free_BH
      return state, (output_BE, (*weights, *gates) if wanted else ())

    fresh = self.initial_carry(x.shape[0])
    carry, (output_BTE, shown) = walk(step, fresh, carry, z_BTG, reset_BT)
    for name, what in zip(INTERMEDIATES, shown, strict=wanted):
      self.sow('intermediates', name, what)
    return carry, Dense(self.width, use_bias=False, name='output')(output_BTE)


def _sizes(heads: int, k: int) -> tuple[int, ...]:
  """How long each part of an interface vector is."""
  return heads * k, heads, k, 1, k, k, heads, 1, 1, 3 * heads


def split(interface_BI: jax.Array, heads: int, k: int) -> Interface:
  """Cuts an interface vector into its parts and bounds each."""
  ends = np.cumsum(_sizes(heads, k))[:-1]
  k_r, beta_r, k_w, beta_w, e, v, f, g_a, g_w, pi = jnp.split(
    interface_BI, ends, 1
  )
  return Interface(
    k_r.reshape(-1, heads, k),
    1 + nn.softplus(beta_r),
    k_w[:, None],
    1 + nn.softplus(beta_w),
    nn.sigmoid(e)[:, None],
    v[:, None],
    nn.sigmoid(f),
    nn.sigmoid(g_a),
    nn.sigmoid(g_w),
    nn.softmax(pi.reshape(-1, heads, 3)),
  )


def remember(state: DNCState, interface: Interface) -> DNCState:
  """The memory after one write and the reads that see it."""
  kept_BM = allocation.retention(interface.free_BH, state.read_BHM)
  usage_BM = allocation.usage(state.usage_BM, state.write_BM, kept_BM)
  content_B1M = addressing.content_weights(
    interface.write_key_B1K, interface.write_strength_B1, state.memory_BMK
  )
  write_BM = allocation.write_weights(
    interface.write_gate_B1[:, 0],
    interface.allocation_gate_B1[:, 0],
    allocation.allocation_weights(usage_BM),
    content_B1M[:, 0],
  )
  memory_BMK = addressing.write(
    state.memory_BMK, write_BM[:, None], interface.erase_B1K, interface.add_B1K
  )
  link_BMM = allocation.links(state.link_BMM, state.precedence_BM, write_BM)
  content_BHM = addressing.content_weights(
    interface.read_key_BHK, interface.read_strength_BH, memory_BMK
  )
  back_BH1, same_BH1, on_BH1 = jnp.split(interface.mode_BH3, 3, axis=2)
  read_BHM = (
    back_BH1 * allocation.backward_weights(link_BMM, state.read_BHM)
    + same_BH1 * content_BHM
    + on_BH1 * allocation.forward_weights(link_BMM, state.read_BHM)
  )
  return state._replace(
    memory_BMK=memory_BMK,
    usage_BM=usage_BM,
    link_BMM=link_BMM,
    precedence_BM=allocation.precedence(state.precedence_BM, write_BM),
    write_BM=write_BM,
    read_BHM=read_BHM,
    reads_BHK=addressing.read(read_BHM, memory_BMK),
  )


def _beside(h_BC: jax.Array, reads_BHK: jax.Array) -> jax.Array:
  return jnp.concatenate([h_BC, reads_BHK.reshape(h_BC.shape[0], -1)], axis=1)
