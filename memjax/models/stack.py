"""The house that most memories live in: encoder, L layers, readout.

    h^0 = encode(inputs)                      embedding, linear map, sentence
    h^l = h^(l-1) + memory(norm(h^(l-1)))     wiring 'pre_norm'
    h^l = norm(h^(l-1) + memory(h^(l-1)))     wiring 'post_norm'
    h^l = memory(h^(l-1))                     wiring 'plain'
    y   = readout(norm(h^L))                  the norm only with 'pre_norm'

Carry: one entry per layer (and the position, where positions are learned).
Cost per step: the layers', plus B T D V of the readout.
"""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, Model
from memjax.models.positions import LearnedPositions
from memjax.models.sentences import ENCODERS
from memjax.types import (
  Carry,
  Features,
  Inputs,
  Reset_BT,
  Sentences,
  Sequence_BTD,
  Spec,
  Tokens,
)

WIRINGS = ('pre_norm', 'post_norm', 'plain')
ACTIVATIONS = {'gelu': nn.gelu, 'relu': nn.relu}


class Encoder(nn.Module):
  """Reads raw inputs: a table for tokens, a linear map for features.

  Words have a table and `sentences`, a name of `ENCODERS`.
  """

  spec: Spec
  width: int
  sentences: str

  @nn.compact
  def __call__(self, inputs: Inputs) -> Sequence_BTD:
    if isinstance(self.spec, Features):
      return nn.Dense(self.width, name='linear')(inputs)
    x = nn.Embed(self.spec.size, self.width, name='embedding')(inputs)
    if isinstance(self.spec, Tokens):
      return x
    return ENCODERS[self.sentences](x, inputs != 0)


class Block(Memory):
  """One layer: a memory and, where `mlp_width` is not 0, an MLP after it."""

  memory: Memory
  wiring: str
  mlp_width: int
  activation: str
  dropout: float

  def initial_carry(self, batch_size: int) -> Carry:
    return self.memory.initial_carry(batch_size)

  @nn.compact
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    drop = nn.Dropout(self.dropout, deterministic=not train)

    def wired(name: str, layer: Any, x: jax.Array) -> jax.Array:
      if self.wiring == 'plain':
        return drop(layer(x))
      norm = nn.LayerNorm(name=f'{name}_norm')
      if self.wiring == 'pre_norm':
        return x + drop(layer(norm(x)))
      return norm(x + drop(layer(x)))

    def remember(x: jax.Array) -> jax.Array:
      nonlocal carry
      carry, y = self.memory(carry, x, reset_BT, train=train)
      return y

    def think(x: jax.Array) -> jax.Array:
      activate = ACTIVATIONS[self.activation]
      hidden = activate(nn.Dense(self.mlp_width, name='mlp_in')(x))
      return nn.Dense(x.shape[-1], name='mlp_out')(drop(hidden))

    x = wired('memory', remember, x)
    if self.mlp_width:
      x = wired('mlp', think, x)
    return carry, x


class Stack(Model):
  """L layers of one memory between an encoder and a readout.

  Attributes:
    input_spec: what the inputs are; chooses the encoder.
    output_spec: what the outputs are; the readout's width.
    memory: the layer, any Memory with a `width`.
    layers: L, at least 1.
    wiring: 'pre_norm', 'post_norm' or 'plain', the equations above.
    mlp_width: hidden units of each layer's MLP; 0 for no MLP.
    activation: of the MLP, 'gelu' (GPT-2) or 'relu' (Transformer-XL).
    positions: learned absolute positions that start anew every so many tokens
      and at each reset, added to the encoded inputs; 0 for none. Of a memory
      whose context starts anew they are as many as it holds.
    dropout: rate on the embeddings, on what each memory and MLP adds, and
      inside the MLP.
    remat: compute each layer again in the backward pass instead of keeping its
      activations.
    sentences: how a sentence becomes a vector, where the inputs are sentences:
      'bag', 'position', 'mask' or 'attention', as `sentences.py` tells.
  """

  memory: Memory
  layers: int = 1
  wiring: str = 'pre_norm'
  mlp_width: int = 0
  activation: str = 'gelu'
  positions: int = 0
  dropout: float = 0.0
  remat: bool = False
  sentences: str = 'position'

  def __post_init__(self) -> None:
    require(self.layers >= 1, 'layers', self.layers, 'must be at least 1')
    for field, known in (
      ('wiring', WIRINGS),
      ('activation', ACTIVATIONS),
      ('sentences', ENCODERS),
    ):
      value = getattr(self, field)
      rule = f'must be one of {", ".join(known)}'
      require(value in known, field, value, rule)
    if isinstance(self.input_spec, Sentences) and self.sentences == 'attention':
      width = self.memory.width
      rule = "must be even for sentences 'attention'"
      require(width % 2 == 0, 'memory.width', width, rule)
    require(0 <= self.dropout < 1, 'dropout', self.dropout, 'must be in [0, 1)')
    context = getattr(self.memory, 'context', self.positions)
    rule = f"must be 0 or the memory's context, {context}, and start with it"
    fits = self.positions in (0, context)
    require(fits, 'positions', self.positions, rule)
    super().__post_init__()

  def initial_carry(self, batch_size: int) -> Carry:
    carries = [
      self.memory.initial_carry(batch_size) for _ in range(self.layers)
    ]
    if self.positions:
      carries.insert(0, jnp.zeros((batch_size,), jnp.int32))
    return tuple(carries)

  def setup(self) -> None:
    width = self.memory.width
    self._encoder = Encoder(
      self.input_spec, width, self.sentences, name='encoder'
    )
    if self.positions:
      self._positions = LearnedPositions(
        width, self.positions, name='positions'
      )
    self._dropout = nn.Dropout(self.dropout)
    block = nn.remat(Block, static_argnums=(4,)) if self.remat else Block
    self._blocks = [
      block(
        self.memory.clone(parent=None),
        self.wiring,
        self.mlp_width,
        self.activation,
        self.dropout,
        name=f'layer_{i}',
      )
      for i in range(self.layers)
    ]
    if self.wiring == 'pre_norm':
      self._norm = nn.LayerNorm(name='norm')
    exact = functools.partial(
      jax.lax.dot_general, preferred_element_type=jnp.float32
    )
    self._readout = nn.Dense(
      self.output_spec.size, dot_general=exact, name='readout'
    )

  def body(
    self,
    carry: Carry,
    inputs: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    x = self._encoder(inputs)
    carries = list(carry)
    after = []
    if self.positions:
      position, x = self._positions(carries.pop(0), x, reset_BT)
      after.append(position)
    x = self._dropout(x, deterministic=not train)
    for block, layer_carry in zip(self._blocks, carries, strict=True):
      layer_carry, x = block(layer_carry, x, reset_BT, train)
      after.append(layer_carry)
    if self.wiring == 'pre_norm':
      x = self._norm(x)
    return tuple(after), x

  def readout(self, h: jax.Array) -> jax.Array:
    y: jax.Array = self._readout(h)
    return y
