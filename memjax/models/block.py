"""One layer of a stack: a memory, and perhaps an MLP, each with its wiring.

    MLP(x) = W_2 act(W_1 x + b_1) + b_2                       gelu, relu
    MLP(x) = W_2 (silu(g) * a) + b_2,   [g, a] = W_1 x + b_1  swiglu
                                        with gelu for silu    geglu
    adapter(y) = y + U gelu(V y + c) + d,    U and d are 0 at first

Papers: pre-norm, Radford et al. 2019, GPT-2; post-norm, Vaswani et al. 2017,
https://arxiv.org/abs/1706.03762; swiglu and geglu, Shazeer 2020,
https://arxiv.org/abs/2002.05202, who have no biases, here those of `bias`; RMS
norm, Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467; adapters, Houlsby
et al. 2019, https://arxiv.org/abs/1902.00751.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import Memory
from memjax.models.dense import Dense
from memjax.types import Carry, Reset_BT, Sequence_BTD


def swiglu(x: jax.Array) -> jax.Array:
  """Half of the units, each times the silu of one of the other half."""
  gate, value = jnp.split(x, 2, axis=-1)
  return nn.silu(gate) * value


def geglu(x: jax.Array) -> jax.Array:
  """Half of the units, each times the gelu of one of the other half."""
  gate, value = jnp.split(x, 2, axis=-1)
  return nn.gelu(gate) * value


class OffsetRMSNorm(nn.Module):
  """RMS norm with gains 1 + w, w 0 at first: decay leads to a gain of 1.

  Attributes:
    epsilon: added to the mean square.
  """

  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    w_D = self.param('scale', nn.initializers.zeros_init(), x.shape[-1:])
    y = nn.RMSNorm(self.epsilon, use_scale=False)(x)
    return y * (1 + w_D.reshape((1,) * (x.ndim - 1) + (-1,)))


WIRINGS = ('pre_norm', 'post_norm', 'plain')
NORMS: dict[str, Callable[..., nn.Module]] = {
  'layer': nn.LayerNorm,
  'rms': nn.RMSNorm,
  'rms_offset': OffsetRMSNorm,
}
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'gelu': nn.gelu,
  'gelu_exact': functools.partial(nn.gelu, approximate=False),
  'relu': nn.relu,
  'swiglu': swiglu,
  'geglu': geglu,
}
GATED = ('swiglu', 'geglu')  # they halve what the MLP's first map gives


class Block(nn.Module):
  """A memory and, where `mlp_width` is not 0, an MLP after it.

  Attributes:
    memory: what remembers.
    wiring: 'pre_norm', 'post_norm' or 'plain', as in `stack`.
    mlp_width: hidden units of the MLP; 0 for no MLP.
    activation: of the MLP, a name of `ACTIVATIONS`.
    norm: a name of `NORMS`.
    epsilon: of the norms.
    dropout: rate on what memory and MLP add, and on the MLP's hidden units.
    bias: whether the MLP has b_1 and b_2.
    adapter: hidden units of an adapter of what the memory gives, and of another
      one of what the MLP gives; 0 for none.
  """

  memory: Memory
  wiring: str
  mlp_width: int
  activation: str
  norm: str
  epsilon: float
  dropout: float
  bias: bool = True
  adapter: int = 0

  @nn.compact
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD, dict[str, jax.Array]]:
    drop = nn.Dropout(self.dropout, deterministic=not train)

    def wired(name: str, layer: Any, x: jax.Array) -> jax.Array:
      if self.wiring == 'plain':
        return drop(layer(x))
      if name == 'memory' and self._memory_norms:
        return x + drop(layer(x))
      norm: Any = NORMS[self.norm](epsilon=self.epsilon, name=f'{name}_norm')
      if self.wiring == 'pre_norm':
        return x + drop(layer(norm(x)))
      return norm(x + drop(layer(x)))

    def remember(x: jax.Array) -> jax.Array:
      nonlocal carry, shared
      read = carry, x, reset_BT, shared
      carry, y, shared = self.memory.as_layer(*read, train=train)
      return adapt('memory', y)

    def think(x: jax.Array) -> jax.Array:
      units = self.mlp_width * (2 if self.activation in GATED else 1)
      hidden = Dense(units, self.bias, name='mlp_in')(x)
      hidden = ACTIVATIONS[self.activation](hidden)
      out = Dense(x.shape[-1], self.bias, name='mlp_out')(drop(hidden))
      return adapt('mlp', out)

    def adapt(name: str, y: jax.Array) -> jax.Array:
      if not self.adapter:
        return y
      hidden = nn.gelu(Dense(self.adapter, name=f'{name}_adapter_in')(y))
      zeros, out = nn.initializers.zeros, f'{name}_adapter_out'
      return y + Dense(y.shape[-1], kernel_init=zeros, name=out)(hidden)

    x = wired('memory', remember, x)
    if self.mlp_width:
      x = wired('mlp', think, x)
    return carry, x, shared

  @property
  def _memory_norms(self) -> bool:
    return self.wiring == 'pre_norm' and self.memory.norms_inputs


_POLICIES = jax.checkpoint_policies
_remat = functools.partial(nn.remat, Block, static_argnums=(5,))
# What the backward pass keeps of a block; it computes the rest again.
REMAT: dict[str, Any] = {
  'none': Block,  # keeps everything
  'full': _remat(policy=_POLICIES.nothing_saveable),
  'dots': _remat(policy=_POLICIES.dots_with_no_batch_dims_saveable),
}
