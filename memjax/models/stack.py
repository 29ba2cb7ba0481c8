"""The model that most memories are layers of: encoder, L blocks, readout.

    h^0 = encode(inputs)                      embedding, linear map, sentence
    h^l = h^(l-1) + memory(norm(h^(l-1)))     wiring 'pre_norm'
    h^l = norm(h^(l-1) + memory(h^(l-1)))     wiring 'post_norm'
    h^l = memory(h^(l-1))                     wiring 'plain'
    y   = readout(norm(h^L))                  norm: 'pre_norm' and `final_norm`

Carry: one entry per layer (and the position, where positions are added).
Cost per step: the layers', plus B D V of the readout.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from flax.core import FrozenDict
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.adaptive import AdaptiveSoftmax
from memjax.models.base import Memory, Model
from memjax.models.block import NORMS, REMAT
from memjax.models.clusters import Clusters, clusters_of
from memjax.models.dense import ExactDense
from memjax.models.encoder import Encoder
from memjax.models.pattern import (
  arranged,
  block_of,
  breaks_of,
  check_names,
  check_pattern,
  horizon_of,
  names,
  placed,
  scaled,
)
from memjax.models.positions import Positions, check_number, sinusoids
from memjax.models.stack_rules import check_values, check_vocabulary
from memjax.types import Carry, Inputs, Reset_BT, Sequence_BTD


class Stack(Model):
  """L layers of one or several memories between an encoder and a readout.

  A hybrid has `others`, memories by name, and a `pattern` of their names:
  'layer layer attention' is two layers of `layer`, one of
  `others['attention']`, and so on over the depth.

  Attributes:
    input_spec: what the inputs are; chooses the encoder.
    output_spec: what the outputs are; the readout's width.
    width: D, of every layer.
    layer: the memory of a layer.
    others: further memories, by name.
    pattern: names of the layers in turn, 'layer' or a name in `others`,
      separated by spaces; '' is 'layer'.
    depth: L, at least 1.
    share: all layers of one place in the pattern are one block, with a carry
      for each use.
    wiring: 'pre_norm', 'post_norm' or 'plain', the equations above.
    mlp: hidden units of each layer's MLP, as a multiple of the width; 0 for no
      MLP.
    mlp_after: names of the layers that have an MLP, as in `pattern`; '' is all.
    activation: of the MLP: 'gelu' (tanh approximation, GPT-2), 'gelu_exact'
      (BERT), 'relu' (Transformer-XL), 'swiglu' (Llama) or 'geglu' (Griffin).
    norm: 'layer', 'rms' or 'rms_offset', whose gains are 1 + w (Gemma).
    epsilon: of the norms.
    final_norm: with 'pre_norm', one more norm before the readout.
    bias: whether the MLPs and the readout have biases.
    tie: read out with the table of the encoder; a plain one without a bias.
    cutoffs: ids, separated by spaces, where the tails of an adaptive embedding
      and softmax begin (`adaptive.py`); '' for none. Outputs are then log p.
    shrink: each cluster's vectors are narrower than the last one's by this.
    embedding_width: E, of the table's vectors, which are projected; 0: D.
    tie_projections: which projections of the readout are the encoder's: those
      of 'none', of the 'tails' or of 'all' clusters.
    softcap: c, for outputs c tanh(y / c); 0 for none.
    embedding_scale: factor of the encoded inputs.
    embedding_norm: one more norm, of what the first layer reads (BERT, RWKV).
    token_types: rows of a table whose first row is added to every input: BERT's
      table of the two texts of a pair, where all is the first; 0 for none.
    positions: absolute positions: 'none', 'learned' or 'sinusoidal'. They start
      anew at each reset, and with each block of layers that have blocks.
    max_positions: number of positions before they start anew. 0: the block of
      the layers; without blocks, sinusoidal positions never start anew.
    timing: where positions are added: 'inputs', once, or 'layers', before each
      layer with the sinusoids of its number, from 1: with `share` the Universal
      Transformer, https://arxiv.org/abs/1807.03819, without adaptive halting.
    dropout: rate on the embeddings, on what a layer adds, and inside the MLP.
    readout_dropout: rate before the readout.
    adapter: hidden units of each adapter, small MLPs that change nothing at
      first and follow each memory and each MLP, as in `block`; 0 for none.
      `adapt.trainable='adapter'` trains them alone.
    remat: what backward computes again, of `REMAT`; set by `train.remat`.
    sentences: how a sentence becomes a vector, where the inputs are sentences:
      'bag', 'position', 'mask' or 'attention', see `sentences.py`.
  """

  width: int
  layer: Memory
  others: Mapping[str, Memory] = FrozenDict()
  pattern: str = ''
  depth: int = 1
  share: bool = False
  wiring: str = 'pre_norm'
  mlp: float = 0.0
  mlp_after: str = ''
  activation: str = 'gelu'
  norm: str = 'layer'
  epsilon: float = 1e-6
  final_norm: bool = True
  bias: bool = True
  tie: bool = False
  cutoffs: str = ''
  shrink: int = 1
  embedding_width: int = 0
  tie_projections: str = 'none'
  softcap: float = 0.0
  embedding_scale: float = 1.0
  embedding_norm: bool = False
  token_types: int = 0
  positions: str = 'none'
  max_positions: int = 0
  timing: str = 'inputs'
  dropout: float = 0.0
  readout_dropout: float = 0.0
  adapter: int = 0
  remat: str = 'none'
  sentences: str = 'position'

  def __post_init__(self) -> None:
    self.others = FrozenDict(self.others)  # a field must be hashable
    check_values(self)
    check_vocabulary(self, self._clusters)
    free = 'layer' not in self.others
    require(free, 'others.layer', '', 'is the field layer')
    check_pattern(self.pattern, self._memories(), self.width, self.depth)
    check_names('mlp_after', self.mlp_after, self._memories())
    check_number(self.positions, self.max_positions, self.block)
    rule = "must be 'plain': a residual would be that of another step"
    late = self.answer_delay and self.wiring != 'plain'
    require(not late, 'wiring', self.wiring, rule)
    super().__post_init__()

  @property
  def causal(self) -> bool:
    return all(layer.causal for layer in self._layers())

  @property
  def breaks(self) -> Mapping[str, str]:
    return breaks_of(self._layers())

  @property
  def horizon(self) -> int:
    return horizon_of(self._layers())

  @property
  def answer_delay(self) -> int:
    return sum(layer.answer_delay for layer in self._layers())

  @property
  def block(self) -> int:
    return block_of(self._layers())

  def with_horizon(self, horizon: int) -> Memory:
    """Each layer's horizon grows or shrinks by the same factor."""
    rule = 'learned positions exist for the trained block only'
    fits = not self.block or self.positions != 'learned'
    require(fits, 'horizon', horizon, rule)
    memories = scaled(self._memories(), self._layers(), horizon)
    layer = memories.pop('layer')
    number = 0 if self.block else self.max_positions
    return self.clone(layer=layer, others=memories, max_positions=number)

  def with_remat(self, remat: str) -> Model:
    return self.clone(remat=remat)

  def initial_carry(self, batch_size: int) -> Carry:
    carries = [layer.initial_carry(batch_size) for layer in self._layers()]
    if self.positions != 'none':
      carries.insert(0, jnp.zeros((batch_size,), jnp.int32))
    return tuple(carries)

  def setup(self) -> None:
    self._encoder = Encoder(
      self.input_spec,
      self.width,
      self.sentences,
      self.embedding_scale,
      self._clusters,
      name='encoder',
    )
    if self.positions != 'none':
      number = self.max_positions or self.block
      self._positions = Positions(
        self.width, self.positions, number, name='positions'
      )
    if self.token_types:
      self._types = nn.Embed(self.token_types, self.width, name='token_types')
    if self.embedding_norm:
      self._first_norm = self._make_norm('embedding_norm')
    self._dropout = nn.Dropout(self.dropout)
    self._blocks = self._make_blocks()
    self._last_dropout = nn.Dropout(self.readout_dropout)
    if self._ends_in_a_norm:
      self._norm = self._make_norm('norm')
    if self._clusters:
      self._softmax = AdaptiveSoftmax(
        self._clusters,
        self.tie,
        self.tie_projections,
        self.bias,
        name='readout',
      )
    elif not self.tie:
      self._readout = ExactDense(
        self.output_spec.size, self.bias, name='readout'
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
    after: list[Carry] = []
    shared: dict[str, jax.Array] = {}
    places = None
    if self.positions != 'none':
      position, places = self._positions(carries.pop(0), reset_BT)
      after.append(position)
    x = self._timed(x, places, 0)
    if self.token_types:
      x = x + self._types(jnp.zeros((1, 1), jnp.int32))
    if self.embedding_norm:
      x = self._first_norm(x)
    x = self._dropout(x, deterministic=not train)
    for i, layer_carry in enumerate(carries):
      x = self._timed(x, places, i + 1)
      read = layer_carry, x, reset_BT, shared, train
      layer_carry, x, shared = self._blocks[i % len(self._blocks)](*read)
      after.append(layer_carry)
    if self._ends_in_a_norm:
      x = self._norm(x)
    return tuple(after), self._last_dropout(x, deterministic=not train)

  def readout(self, h: jax.Array) -> jax.Array:
    if self._clusters:
      return self._softmax(h, self._encoder.shared())
    y = self._encoder.scores(h) if self.tie else self._readout(h)
    return self.softcap * jnp.tanh(y / self.softcap) if self.softcap else y

  @property
  def label_size(self) -> int:
    return self._clusters.head if self._clusters else 0

  def labels(
    self, h: jax.Array, targets: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    return self._softmax.labels(h, targets, self._encoder.shared())

  @property
  def _clusters(self) -> Clusters | None:
    """Of the ids, if the embedding and the softmax are adaptive."""
    if not (self.cutoffs or self.embedding_width):
      return None
    return clusters_of(
      self.cutoffs,
      self.output_spec.size,
      self.width,
      self.embedding_width,
      self.shrink,
    )

  def _timed(
    self, x: Sequence_BTD, places: Sequence_BTD | None, layer: int
  ) -> Sequence_BTD:
    """What a layer reads, from 1, or as layer 0 what the first one reads."""
    if (self.timing == 'layers') == (layer == 0):
      return x
    if layer:
      number = sinusoids(jnp.full((1, 1), layer), self.width)
      x = x + number[..., : self.width].astype(x.dtype)
    return x if places is None else x + places.astype(x.dtype)

  def _make_norm(self, name: str) -> Any:
    return NORMS[self.norm](epsilon=self.epsilon, name=name)

  @property
  def _ends_in_a_norm(self) -> bool:
    return self.wiring == 'pre_norm' and self.final_norm

  def _memories(self) -> dict[str, Memory]:
    return {**self.others, 'layer': self.layer}

  def _layers(self) -> list[Memory]:
    """The memory of each of the L layers."""
    return arranged(self.pattern, self._memories(), self.depth)

  def _make_blocks(self) -> list[Any]:
    """A block for each layer; with `share`, for each place in the pattern."""
    block = REMAT[self.remat]
    turn = names(self.pattern)
    thinking = self.mlp_after.split() or turn
    mlp = round(self.mlp * self.width)
    place: dict[str, Any] = {'depth': self.depth}
    if self.wiring == 'pre_norm':
      place |= {'norm': self.norm, 'epsilon': self.epsilon}
    number = len(turn) if self.share else self.depth
    return [
      block(
        placed(memory, index=index, **place),
        self.wiring,
        mlp if turn[index % len(turn)] in thinking else 0,
        self.activation,
        self.norm,
        self.epsilon,
        self.dropout,
        self.bias,
        self.adapter,
        name=f'layer_{index}',
      )
      for index, memory in enumerate(self._layers()[:number])
    ]
