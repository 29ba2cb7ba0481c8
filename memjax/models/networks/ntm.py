"""Neural Turing machine: a controller whose heads move over a memory of slots.

    h_t = controller(x_t, r_(t-1))                an LSTM, or tanh(linear map)
    k, beta, g, gamma, s, e, a = W h_t + b        for each head, squashed below
    w_t = focus(k, beta, g, gamma, s, w_(t-1), M)           eqs. 5-9
    M_t = M_(t-1) prod_heads (1 - w_t e_t) + sum_heads w_t a_t    eqs. 3, 4
    r_t = w_t · M_t                                         eq. 2
    y_t = linear map of h_t and r_t

beta passes a softplus, g and e a logistic function, s a softmax, a a tanh, k
nothing; gamma is 1 + softplus. Only write heads have e and a.

Paper: Graves, Wayne & Danihelka 2014, https://arxiv.org/abs/1410.5401. A step
writes before it reads: in the paper's indices r_t reads M_t, which is what the
write makes of M_(t-1). So write heads focus on M_(t-1), read heads on M_t.
Carry: the memory, `(B, M, K)`; where the heads are, `(B, H, M)` for read and
write heads each; what was read, `(B, H, K)`; an LSTM's h and c, `(B, C)` each;
all float32.
Cost per step: B C (4 (F + H K + C) + H (3 K + 6)) products, F the width of the
inputs and C that of the controller, and 6 B H M K for the memory. The backward
pass keeps the carry of every step and computes the rest again: a fifth of the
space and a third of the time on a CPU (B 16, T 50, M 128, K 20).
Deviations: the paper gives the ranges of what heads emit, not their functions;
those are above. The paper learns the initial state; a carry has no parameters,
so the memory starts at 1e-6 in all elements, which Collier & Beel 2018,
https://arxiv.org/abs/1807.08518, found to train best, and all heads start on
slot 0. With equal weights on equal slots no gradient would separate them.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.recurrent import lstm
from memjax.ops import addressing
from memjax.ops.steps import product, walk
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD

EMPTY = 1e-6  # what stands in a memory that nothing was written to
CONTROLLERS = ('lstm', 'feedforward')


class NTMState(NamedTuple):
  """What a neural Turing machine remembers.

  Attributes:
    memory_BMK: the slots.
    read_weights_BHM: where the read heads are.
    write_weights_BHM: where the write heads are.
    reads_BHK: what the read heads saw last.
    controller: an LSTM's h and c, `(B, C)` each; of a feedforward one, nothing.
  """

  memory_BMK: jax.Array
  read_weights_BHM: jax.Array
  write_weights_BHM: jax.Array
  reads_BHK: jax.Array
  controller: tuple[jax.Array, ...]


class NTM(Memory):
  """A controller with heads over a memory.

  Intermediates: where the heads were at each step, `read_weights` and
  `write_weights`, `(B, T, H, M)` each.

  Attributes:
    width: D.
    slots: M.
    slot_width: K.
    read_heads: at least 1.
    write_heads: at least 1.
    shifts: the largest distance that a head moves in a step, in both
      directions; at most (M - 1) / 2.
    controller: 'lstm' or 'feedforward'.
    controller_width: C, its hidden units.
  """

  width: int
  slots: int
  slot_width: int
  read_heads: int = 1
  write_heads: int = 1
  shifts: int = 1
  controller: str = 'lstm'
  controller_width: int = 100

  def __post_init__(self) -> None:
    sizes = 'width slots slot_width read_heads write_heads controller_width'
    for field in sizes.split():
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    most = (self.slots - 1) // 2
    rule = f'must be in [0, {most}] for {self.slots} slots'
    require(0 <= self.shifts <= most, 'shifts', self.shifts, rule)
    rule = f'must be one of {", ".join(CONTROLLERS)}'
    require(self.controller in CONTROLLERS, 'controller', self.controller, rule)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> NTMState:
    def on_slot_0(heads: int) -> jax.Array:
      return jnp.zeros((batch_size, heads, self.slots)).at[:, :, 0].set(1)

    shape = batch_size, self.slots, self.slot_width
    states = 2 if self.controller == 'lstm' else 0
    return NTMState(
      jnp.full(shape, EMPTY, jnp.float32),
      on_slot_0(self.read_heads),
      on_slot_0(self.write_heads),
      jnp.zeros((batch_size, self.read_heads, self.slot_width)),
      tuple(
        jnp.zeros((batch_size, self.controller_width)) for _ in range(states)
      ),
    )

  @nn.compact
  def __call__(
    self,
    carry: NTMState,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[NTMState, Sequence_BTD]:
    del train
    hidden, kept = self.controller_width, self.read_heads * self.slot_width
    if self.controller == 'lstm':
      hidden, kept = 4 * hidden, kept + hidden
    inputs = Dense(hidden, bias_init=self._bias, name='input')
    focus = self.slot_width + 3 + 2 * self.shifts + 1
    emitted = self.read_heads * focus
    emitted += self.write_heads * (focus + 2 * self.slot_width)
    draw = nn.initializers.lecun_normal()
    back = self.param('recurrent_kernel', draw, (kept, hidden))
    out = self.param('heads_kernel', draw, (self.controller_width, emitted))
    bias = self.param('heads_bias', nn.initializers.zeros, (emitted,))

    wanted = wants_intermediates(self)

    def step(
      state: NTMState, inputs_BG: jax.Array
    ) -> tuple[NTMState, tuple[jax.Array, jax.Array, dict[str, jax.Array]]]:
      h_BC, controller = _control(state, inputs_BG, back)
      emitted_BE = product(h_BC, out) + bias.astype(h_BC.dtype)[None]
      state = _act(state, emitted_BE)._replace(controller=controller)
      where = {
        'read_weights': state.read_weights_BHM,
        'write_weights': state.write_weights_BHM,
      }
      return state, (h_BC, state.reads_BHK, where if wanted else {})

    fresh = self.initial_carry(x.shape[0])
    again = jax.checkpoint(step, prevent_cse=False)  # a scan has nothing to CSE
    carry, (h_BTC, reads_BTHK, shown) = walk(
      again, fresh, carry, inputs(x), reset_BT
    )
    for name, weights_BTHM in shown.items():
      self.sow('intermediates', name, weights_BTHM)
    seen_BTF = reads_BTHK.reshape(*x.shape[:2], -1)
    known_BTF = jnp.concatenate([h_BTC, seen_BTF], axis=2)
    return carry, Dense(self.width, name='output')(known_BTF.astype(back.dtype))

  def _bias(self, key: jax.Array, shape: tuple[int], dtype: type) -> jax.Array:
    """0, but 1 for the LSTM's forget gate, the second of four."""
    del key
    bias_G = jnp.zeros(shape, dtype)
    if self.controller == 'feedforward':
      return bias_G
    return bias_G.at[self.controller_width : 2 * self.controller_width].set(1)


def _control(
  state: NTMState, inputs_BG: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  """The controller's output and its state after the step."""
  seen_BF = state.reads_BHK.reshape(len(inputs_BG), -1)
  known_BF = jnp.concatenate([seen_BF, *state.controller[:1]], axis=1)
  a_BG = inputs_BG.astype(known_BF.dtype) + product(known_BF, kernel)
  if not state.controller:
    return jnp.tanh(a_BG), ()
  controller = lstm.CELL.step(state.controller, a_BG)
  return controller[0], controller


def _act(state: NTMState, emitted_BE: jax.Array) -> NTMState:
  """The write heads move and write, then the read heads move and read."""
  memory_BMK, read_BHM, write_BHM, reads_BHK, _ = state
  batch, read_heads, slot_width = reads_BHK.shape
  write_heads = write_BHM.shape[1]
  changes = 2 * write_heads * slot_width
  change_BE, focus_BE = jnp.split(emitted_BE, [changes], axis=1)
  change_BHE = change_BE.reshape(batch, write_heads, -1)
  erase_BHK, add_BHK = jnp.split(change_BHE, 2, axis=2)
  focus_BHE = focus_BE.reshape(batch, write_heads + read_heads, -1)
  write_BHM = _focus(focus_BHE[:, :write_heads], write_BHM, memory_BMK)
  memory_BMK = addressing.write(
    memory_BMK, write_BHM, nn.sigmoid(erase_BHK), jnp.tanh(add_BHK)
  )
  read_BHM = _focus(focus_BHE[:, write_heads:], read_BHM, memory_BMK)
  reads_BHK = addressing.read(read_BHM, memory_BMK)
  return NTMState(memory_BMK, read_BHM, write_BHM, reads_BHK, ())


def _focus(
  emitted_BHE: jax.Array, before_BHM: jax.Array, memory_BMK: jax.Array
) -> jax.Array:
  """Where each head is now: by content, then by its place before."""
  slot_width = memory_BMK.shape[2]
  key_BHK, rest_BHE = jnp.split(emitted_BHE, [slot_width], axis=2)
  strength_BH, gate_BH, power_BH = (rest_BHE[:, :, i] for i in range(3))
  content_BHM = addressing.content_weights(
    key_BHK, nn.softplus(strength_BH), memory_BMK
  )
  gated_BHM = addressing.interpolate(
    nn.sigmoid(gate_BH), content_BHM, before_BHM
  )
  shifts_BHR = nn.softmax(rest_BHE[:, :, 3:], axis=2)
  moved_BHM = addressing.shift(gated_BHM, shifts_BHR)
  return addressing.sharpen(moved_BHM, 1 + nn.softplus(power_BH))
