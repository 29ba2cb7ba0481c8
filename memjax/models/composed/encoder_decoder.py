"""Encoder and decoder: one memory reads the source, another one answers.

A run is a source s_1 ... s_n, a separator, and an answer, as in `pairs.Pairs`.
With x the embedded inputs,

    e_1 ... e_n, c_n = encoder(s_1 ... s_n)    once, at the separator
    h_t = decoder(x_t, carry)                  from the separator on
    'none'      the decoder's first carry is c_n; y_t = R h_t
    'additive'  a_ts = v · tanh(W h_t + U e_s)
    'dot'       a_ts = h_t · e_s
    o_t = sum_s softmax_s(a_t) e_s
    y_t = R tanh(W_c [o_t, h_t])               'additive' and 'dot'

With 'none' all of the source must fit into the carry. With 'additive' and 'dot'
the decoder starts without a memory, and reads the source by attention alone; so
the encoder may be any memory, also one that reads both ways. Encoder and
decoder are L layers each, as in `stack.py`. R is the readout.

Paper: 'none', Cho et al. 2014, https://arxiv.org/abs/1406.1078, and Sutskever
et al. 2014, https://arxiv.org/abs/1409.3215; 'additive', Bahdanau et al. 2015,
https://arxiv.org/abs/1409.0473; 'dot' and the last equation, Luong et al. 2015,
https://arxiv.org/abs/1508.04025.
Carry: with 'none' that of the L layers, which is the encoder's until the
separator and then the decoder's, and whether the separator was read, `(B,)`
bool. Else the last S ids of the source, `(B, S)` int32, the encoded states,
`(B, S, D)` float32, the number of slots in use, `(B,)` int32, whether the
separator was read, and the carry of the decoder. The slots have ids until the
separator, and states after it.
Cost per step: with 'none' that of both memories; a segment is read step by
step. Else that of the decoder, 4 B D D, and B (S + T) D for attention, with a
tanh of each for 'additive'; a segment of T steps in which an answer starts
encodes S + T steps, and any other none.
Deviations: Cho et al. show c to every step of the decoder. Bahdanau et al.
score with the state before a step and feed o into the step. Here the step is
read first, as in Luong et al., without their input feeding: so the decoder may
be any memory, and all of its steps are read at once. It starts from 0, not from
a map of the encoder's state. Attention is on top of all layers. Of a source of
more than S steps the last S are read.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.models.base import Memory, Model
from memjax.models.block import ACTIVATIONS, WIRINGS
from memjax.models.composed import source
from memjax.models.composed.hand_over import HandOver
from memjax.models.composed.layers import Layers
from memjax.models.composed.source import Places
from memjax.models.composed.source_attention import SourceAttention
from memjax.models.dense import ExactDense
from memjax.models.encoder import Encoder
from memjax.ops.cross_attention import ADDITIVE, DOT
from memjax.types import Carry, Inputs, Reset_BT, Sequence_BTD

NONE = 'none'
KINDS = (NONE, ADDITIVE, DOT)


class EncoderDecoder(Model):
  """A memory that reads sources and one that answers.

  Intermediates: `read_weights`, `(B, T, 1, S)`, of the slots of the source, the
  last step of which is in the last slot.

  Attributes:
    input_spec: tokens with a separator.
    output_spec: what the outputs are; the readout's width.
    width: D, of every layer.
    encoder_layer: the memory of the encoder, which reads the source.
    layer: the memory of the decoder; with attention 'none' its carry must have
      the form of the encoder's.
    attention: what the decoder gets of the source: 'none', the encoder's last
      carry; 'additive' or 'dot', the encoder's states.
    source_length: S, the longest source; not used with attention 'none'.
    depth: L, number of layers of the encoder, and of the decoder.
    wiring: 'pre_norm', 'post_norm' or 'plain', as in `stack.Stack`.
    mlp: hidden units of each layer's MLP, as a multiple of the width; 0 for no
      MLP.
    activation: of the MLP, as in `stack.Stack`.
    dropout: rate on the embeddings, on what a layer adds, and inside the MLP.
    remat: what backward computes again, of `REMAT`; set by `train.remat`.
  """

  width: int
  encoder_layer: Memory
  layer: Memory
  attention: str = ADDITIVE
  source_length: int = 64
  depth: int = 1
  wiring: str = 'plain'
  mlp: float = 0.0
  activation: str = 'gelu'
  dropout: float = 0.0
  remat: str = NONE

  def __post_init__(self) -> None:
    for field in ('width', 'source_length', 'depth'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    choices: dict[str, Any] = {'attention': KINDS, 'wiring': WIRINGS}
    for field, known in (choices | {'activation': ACTIVATIONS}).items():
      value, rule = getattr(self, field), f'must be one of {", ".join(known)}'
      require(value in known, field, value, rule)
    require(self.mlp >= 0, 'mlp', self.mlp, 'must be at least 0')
    rule = 'must be in [0, 1)'
    require(0 <= self.dropout < 1, 'dropout', self.dropout, rule)
    rule = 'needs a task whose inputs have a separator, such as pairs.Pairs '
    rule += 'without tags'
    fits = self.input_spec.separator_id > 0
    require(fits, 'name', type(self).__name__, rule)
    if self.attention == NONE:
      self._check_carries()
    super().__post_init__()

  def _check_carries(self) -> None:
    """Requires an encoder whose carry can become the decoder's."""
    name = type(self.encoder_layer).__name__
    rule = "reads ahead: with attention 'none' it must read forwards"
    forwards = (
      self.encoder_layer.causal and 'segments' not in self.encoder_layer.breaks
    )
    require(forwards, 'encoder_layer.name', name, rule)
    forms = [_form(memory) for memory in (self.encoder_layer, self.layer)]
    rule = f'has another carry than layer, {type(self.layer).__name__}, which '
    rule += "takes it over with attention 'none'"
    require(forms[0] == forms[1], 'encoder_layer.name', name, rule)

  @property
  def causal(self) -> bool:
    return self.layer.causal

  @property
  def breaks(self) -> Mapping[str, str]:
    # No horizon is declared, so none can be wrong.
    return {k: v for k, v in self.layer.breaks.items() if k != 'horizon'}

  @property
  def answer_delay(self) -> int:
    return self.depth * self.layer.answer_delay

  @property
  def longest_source(self) -> int:
    return 0 if self.attention == NONE else self.source_length

  def with_remat(self, remat: str) -> Model:
    return self.clone(remat=remat)

  def initial_carry(self, batch_size: int) -> Carry:
    layers = tuple(
      self.layer.initial_carry(batch_size) for _ in range(self.depth)
    )
    if self.attention == NONE:
      return jnp.zeros((batch_size,), bool), layers
    return source.empty(batch_size, self.source_length, self.width), layers

  def setup(self) -> None:
    self._embedding = Encoder(self.input_spec, self.width, name='encoder')
    self._dropout = nn.Dropout(self.dropout)
    layers: dict[str, Any] = {
      'depth': self.depth,
      'wiring': self.wiring,
      'mlp_width': round(self.mlp * self.width),
      'activation': self.activation,
      'dropout': self.dropout,
      'remat': self.remat,
    }
    if self.attention == NONE:
      self._both = nn.scan(
        HandOver,
        variable_broadcast='params',
        split_rngs={'params': False, 'dropout': True},
        in_axes=(1, nn.broadcast),
        out_axes=1,
      )(self.encoder_layer, self.layer, layers, name='both')
    else:
      self._source = Layers(self.encoder_layer, **layers, name='source')
      self._decoder = Layers(self.layer, **layers, name='decoder')
      self._attention = SourceAttention(
        self.width, self.attention, name='attention'
      )
    self._readout = ExactDense(self.output_spec.size, name='readout')

  def body(
    self,
    carry: Carry,
    inputs: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    first, layers = carry
    separator_BT = inputs == self.input_spec.separator_id
    if self.attention == NONE:
      x_BTD = self._embed(inputs, train)
      answer_BT, _ = source.find_answers(first, reset_BT, separator_BT)
      layers, y_BTD = self._both(layers, (x_BTD, reset_BT, answer_BT), train)
      return (answer_BT[:, -1], layers), y_BTD
    places = source.find_places(first, reset_BT, separator_BT)
    ids_BE = jnp.concatenate([first.ids_BS, inputs.astype(jnp.int32)], axis=1)
    x_BED = self._embed(ids_BE, train)
    states_BED = source.join(first, self._encode(places, x_BED, train))
    layers, h_BTD = self._decoder(
      layers,
      x_BED[:, self.source_length :],
      reset_BT | places.starts_BT,
      train,
    )
    after = source.keep(places, ids_BE, states_BED)
    return (after, layers), self._attention(places, h_BTD, states_BED)

  def readout(self, h: jax.Array) -> jax.Array:
    return self._readout(h)

  def _embed(self, ids: jax.Array, train: bool) -> jax.Array:
    return self._dropout(self._embedding(ids), deterministic=not train)

  def _encode(
    self, places: Places, x_BED: jax.Array, train: bool
  ) -> Sequence_BTD:
    """The states of the sources that end in the segment; of others any."""

    def encode(layers: Any, x_BED: jax.Array) -> jax.Array:
      rows = x_BED.shape[0]
      fresh = (*(self.encoder_layer.initial_carry(rows),) * self.depth,)
      states_BED: jax.Array = layers(fresh, x_BED, places.first_BE, train)[1]
      return states_BED.astype(x_BED.dtype)

    def skip(layers: Any, x_BED: jax.Array) -> jax.Array:
      del layers
      return jnp.zeros_like(x_BED)

    if self.is_initializing():
      return encode(self._source, x_BED)
    some, rngs = places.starts_BT.any(), ['dropout'] if train else []
    return nn.cond(
      some, encode, skip, self._source, x_BED, variables='params', rngs=rngs
    )


def _form(memory: Memory) -> Any:
  """The structure of a memory's carry, its shapes and its types."""
  carry = jax.eval_shape(lambda: memory.initial_carry(1))
  leaves, tree = jax.tree.flatten(carry)
  return tree, [(leaf.shape, leaf.dtype) for leaf in leaves]
