"""BaseConv: a short convolution, gated by the step that reads it.

    y_t = (W_g x_t + b_g) * (sum_j kernel_(W-1-j) x_(t-j) + b)

Paper: Arora et al. 2023, Zoology, https://arxiv.org/abs/2312.04927; with few
taps in the layers of Based, Arora et al. 2024,
https://arxiv.org/abs/2402.18668.
Carry: the last W - 1 inputs, `(B, W - 1, D)` float32.
Cost per step: D D + W D.
Parameters: W_g normal of variance 1 / D, the convolution's kernel uniform in
±1/sqrt(W), biases 0.
Deviations: the paper's kernel is as long as the sequence.
"""

from flax import linen as nn
import jax

from memjax.errors import require
from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.models.mixing import ShortConvolution, check_taps, no_inputs
from memjax.types import Inputs_BTF, Reset_BT, Sequence_BTD


class BaseConv(Memory):
  """Compares each step with the few before it.

  Attributes:
    width: D.
    taps: W, of the convolution, at least 2.
  """

  width: int
  taps: int = 3

  def __post_init__(self) -> None:
    require(self.width >= 1, 'width', self.width, 'must be at least 1')
    check_taps(self.taps)
    super().__post_init__()

  @property
  def horizon(self) -> int:
    return self.taps - 1

  def initial_carry(self, batch_size: int) -> jax.Array:
    return no_inputs(batch_size, self.taps, self.width)

  @nn.compact
  def __call__(
    self,
    carry: jax.Array,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[jax.Array, Sequence_BTD]:
    del train
    gate = Dense(self.width, name='gate')(x)
    convolution = ShortConvolution(self.taps, bias=True, name='convolution')
    tail, u = convolution(carry, x, reset_BT)
    return tail, gate * u
