"""minGRU and minLSTM: gates that read the input only, so steps are linear in h.

With W taps of a short convolution (`conv`) and u_t = conv(x)_t:

    g(a) = a + 1/2 where a >= 0, sigma(a) elsewhere           never below 0
    minGRU:   z = sigma(W_z u_t + b_z)
              h_t = (1 - z) h_(t-1) + z g(W_h u_t + b_h)
    minLSTM:  f = sigma(W_f u_t + b_f),   i = sigma(W_i u_t + b_i)
              h_t = (f h_(t-1) + i g(W_h u_t + b_h)) / (f + i)

and y_t = h_t. Nothing of h_(t-1) enters a gate, so all products are made before
the recurrence (`ops/diagonal.py`).

Paper: Feng et al. 2024, https://arxiv.org/abs/2410.01201.
Carry: h `(B, D)` and the tail of the convolution `(B, W - 1, F)`, float32.
Cost per step: 2 F D (minGRU) or 3 F D (minLSTM) + W F, inputs of width F.
Parameters: kernels normal of variance 1 / rows, biases 0.
Deviations: the code of the paper computes h in logarithms, which a reset cannot
clear; here h is computed directly, with the same result. The convolution is a
part of the memory, where the paper's block has it before. Norms, residuals and
the MLP are the Stack's.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, wants_intermediates
from memjax.models.dense import Dense
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs
from memjax.ops.diagonal import diagonal
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class Units(NamedTuple):
  """What linear units behind a short convolution remember.

  Attributes:
    h_BD: float32 units.
    tail_BWF: float32, the last inputs of the convolution.
  """

  h_BD: jax.Array
  tail_BWF: jax.Array


class MinGRU(Memory):
  """One gate mixes the old state and a value.

  Intermediates: 1 - z as `forget_gate`, `(B, T, D)`.

  Attributes:
    width: D, of the inputs too.
    taps: W, of the short convolution, at least 2.
  """

  width: int
  taps: int = 4
  gates: ClassVar[int] = 1

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    check_taps(self.taps)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Units:
    return Units(
      jnp.zeros((batch_size, self.width)),
      no_inputs(batch_size, self.taps, self.width),
    )

  @nn.compact
  def __call__(
    self,
    carry: Units,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Units, Sequence_BTD]:
    del train
    convolution = ShortConvolution(self.taps, name='convolution')
    tail, u = convolution(carry.tail_BWF, x, reset_BT)
    columns = Dense((1 + self.gates) * self.width, name='input')(u)
    value, *gates = jnp.split(
      columns.astype(jnp.float32), 1 + self.gates, axis=-1
    )
    kept_BTD = self.kept(gates)
    if wants_intermediates(self):
      self.sow('intermediates', 'forget_gate', kept_BTD)
    added_BTD = (1 - kept_BTD) * positive(value)
    h_BD, h_BTD = diagonal(carry.h_BD, kept_BTD, added_BTD, reset_BT)
    return Units(h_BD, tail), h_BTD.astype(x.dtype)

  @staticmethod
  def kept(gates: Sequence[jax.Array]) -> jax.Array:
    """The share of the old state, from the gates before their sigmoid."""
    (z_BTD,) = gates
    return nn.sigmoid(-z_BTD)


class MinLSTM(MinGRU):
  """Two gates whose shares are divided by their sum.

  Intermediates: f / (f + i) as `forget_gate`, `(B, T, D)`.
  """

  gates = 2

  @staticmethod
  def kept(gates: Sequence[jax.Array]) -> jax.Array:
    f_BTD, i_BTD = gates
    # f / (f + i) = 1 / (1 + exp(log i - log f)), which cannot divide by 0.
    return nn.sigmoid(nn.log_sigmoid(f_BTD) - nn.log_sigmoid(i_BTD))


def positive(a: jax.Array) -> jax.Array:
  """g: continuous and never negative."""
  return jnp.where(a >= 0, a + 0.5, nn.sigmoid(a))
