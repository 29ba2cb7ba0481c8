"""DeltaNet whose short convolution reads one step only: a factor a channel."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from memjax.models.linear.delta_net import DeltaNet
from memjax.models.mixing import ShortConvolution
from memjax.types import Carry, Inputs_BTF, Reset_BT, Sequence_BTD


class DeltaNetWithoutConvolution(DeltaNet):
  """It has the parameters, initialisation and state of DeltaNet."""

  def __call__(
    self,
    carry: Carry,
    x: Inputs_BTF,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    with nn.intercept_methods(forget_before_each_step):
      return super().__call__(carry, x, reset_BT, train=train)


def forget_before_each_step(
  method: Callable[..., Any], args: Any, options: Any, context: Any
) -> Any:
  """A short convolution is reset at every step."""
  if isinstance(context.module, ShortConvolution):
    tail_BWD, x, reset_BT = args
    args = tail_BWD, x, jnp.ones_like(reset_BT)
  return method(*args, **options)
