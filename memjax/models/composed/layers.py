"""Layers of one memory, one on top of the other, without a readout."""

from typing import Any

from flax import linen as nn
import jax

from memjax.models.base import Memory
from memjax.models.block import NORMS, REMAT
from memjax.models.pattern import placed
from memjax.types import Carry, Reset_BT, Sequence_BTD


class Layers(nn.Module):
  """L blocks, and with pre-norm a norm after them; see `stack.py`.

  Attributes:
    memory: the memory of a block.
    depth: L.
    wiring: of a block.
    mlp_width: hidden units of a block's MLP; 0 for no MLP.
    activation: of the MLP.
    dropout: rate on what a block adds, and inside the MLP.
    remat: what backward computes again, of `REMAT`.
  """

  memory: Memory
  depth: int
  wiring: str
  mlp_width: int
  activation: str
  dropout: float
  remat: str

  @nn.compact
  def __call__(
    self,
    carries: tuple[Carry, ...],
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    train: bool = False,
  ) -> tuple[tuple[Carry, ...], Sequence_BTD]:
    block: Any = REMAT[self.remat]
    after, shared = [], dict[str, jax.Array]()
    for index, carry in enumerate(carries):
      layer = block(
        placed(self.memory, index=index, depth=self.depth),
        self.wiring,
        self.mlp_width,
        self.activation,
        'layer',
        1e-6,
        self.dropout,
        name=f'layer_{index}',
      )
      carry, x, shared = layer(carry, x, reset_BT, shared, train)
      after.append(carry)
    if self.wiring == 'pre_norm':
      x = NORMS['layer'](epsilon=1e-6, name='norm')(x)
    return tuple(after), x
