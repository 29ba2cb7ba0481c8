"""End-to-end memory network: attends to stored steps in several hops.

Paper: Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895. With x_s the
stored steps that t sees and a = age(t, s), for the hops k = 1 ... K:

    m_s = A^k x_s + T_A^k[a],   c_s = C^k x_s + T_C^k[a]
    p_s = softmax_s(u^k · m_s)              or, for a linear start, u^k · m_s
    o^k = sum_s p_s c_s,   u^(k+1) = u^k + o^k,   y_t = W u^(K+1)

Answering (Sentences, Features): u^1 = B x_t, and t sees the last M stored steps
before it. A question is not stored. A sentence is embedded with position
encoding or as a bag of words; features are embedded by linear maps.
Language modelling (Tokens): u^1 = 0.1, t sees the last M tokens up to x_t, and
half of the units of each u^(k+1) pass through a ReLU.

Ages count what was stored, 0 the newest. With training noise an empty cell
follows a stored one with probability `noise`, which ages all before it by one.
Adjacent tying: A^(k+1) = C^k, B = A^1, W' = C^K, the same for T_A and T_C.
Layer-wise: A and C are the same for all hops, and u^(k+1) = H u^k + o^k.

Carry: the last M cells, raw inputs, `(B, M)` or `(B, M, W)` int32 or
`(B, M, F)` float32, and which are filled, `(B, M)` bool. All are embedded anew
at each call. Cost per step: 6 K B M D to read, (K + 2) B W D to embed what is
new, and (K + 1) B M W D a call for what is stored. Parameters: normal, standard
deviation 0.1.
Deviations: W' = C^K only where inputs and outputs are of one vocabulary, else W
is a matrix of its own; the position encoding is that of `sentences`, J being
each sentence's own length; padding is left out of the sums, where the paper
keeps the null word's embedding at 0; the noise is drawn anew for each reading,
not once for a story.
"""

import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.errors import ConfigError, require
from memjax.models.base import Memory, Model, wants_intermediates
from memjax.models.sentences import ENCODERS
from memjax.ops import tape
from memjax.ops.tiled_attention import UNSEEN
from memjax.types import Inputs, Reset_BT

TYINGS = ('adjacent', 'layerwise')
SENTENCES = ('position', 'bag')
QUERY = 0.1  # of the language model, in each unit

normal = nn.initializers.normal(0.1)
product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


class Stored(NamedTuple):
  """The last M cells, the newest in the last slot.

  Attributes:
    inputs: `(B, M, ...)`, as they were read.
    filled_BM: bool, which cells hold something.
  """

  inputs: jax.Array
  filled_BM: jax.Array


class MemN2N(Model):
  """A whole model: K hops over M stored steps.

  Intermediates: `hop_0_lag_weights` of hop 0, and so on, `(B, T, 1, M)`; with
  M + 1 lags and 0 at lag 0 where it answers questions. Lags count stored steps.
  None without the softmax.

  Attributes:
    input_spec: what the inputs are; tokens are modelled as language.
    output_spec: what the outputs are.
    width: D.
    slots: M.
    hops: K.
    tying: 'adjacent' or 'layerwise'.
    noise: probability that an empty cell follows a stored one, in training.
    linear: leaves out the hops' softmax.
    sentences: how sentences are embedded, 'position' or 'bag'.
  """

  width: int = 20
  slots: int = 50
  hops: int = 3
  tying: str = 'adjacent'
  noise: float = 0.1
  linear: bool = False
  sentences: str = 'position'

  def __post_init__(self) -> None:
    for field in ('width', 'slots', 'hops'):
      value = getattr(self, field)
      require(value >= 1, field, value, 'must be at least 1')
    for field, known in (('tying', TYINGS), ('sentences', SENTENCES)):
      name = getattr(self, field)
      rule = f'must be one of {", ".join(known)}'
      require(name in known, field, name, rule)
    require(0 <= self.noise <= 1, 'noise', self.noise, 'must be in [0, 1]')
    super().__post_init__()

  @property
  def horizon(self) -> int:
    if self.input_spec.question_id:  # questions are not stored
      return 0
    return self.slots - 1 if self.input_spec.classes else self.slots

  def with_horizon(self, horizon: int) -> Memory:
    rule = 'the age embeddings of MemN2N are learned for its slots only'
    raise ConfigError('horizon', horizon, rule)

  def initial_carry(self, batch_size: int) -> Stored:
    return Stored(
      self.input_spec.zeros(batch_size, self.slots),
      jnp.zeros((batch_size, self.slots), bool),
    )

  def setup(self) -> None:
    def table(name: str) -> jax.Array:
      rows = self.input_spec.size  # a vocabulary, or the width of features
      return self.param(f'embedding_{name}', normal, (rows, self.width))

    of_m, of_c = self._names()
    names = list(dict.fromkeys(of_m + of_c))
    self._tables = {name: table(name) for name in names}
    self._times = {
      name: self.param(f'time_{name}', normal, (self.slots, self.width))
      for name in names
    }
    if self.tying == 'adjacent':
      self._query = self._tables[of_m[0]]
    elif not self.input_spec.classes:
      self._query = table('B')
    if self.tying == 'layerwise':
      self._turn = self.param('H', normal, (self.width, self.width))
    inputs, outputs = self.input_spec, self.output_spec
    one_vocabulary = inputs.discrete and outputs.classes == inputs.size
    if self.tying == 'adjacent' and one_vocabulary:
      self._answers = self._tables[of_c[-1]]
    else:
      self._answers = self.param('W', normal, (outputs.size, self.width))

  def body(
    self,
    carry: Stored,
    x: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Stored, jax.Array]:
    language = self.input_spec.classes > 0
    of_m, of_c = self._names()
    # Row a of a time table belongs to age a; windows begin with the oldest.
    time = {name: table[::-1] for name, table in self._times.items()}
    takes_BT, most = self._takes(x, train)
    written = tape.write(
      *carry, x.astype(carry.inputs.dtype), takes_BT, reset_BT, most
    )
    seen = tape.windows(written, self.slots, most, language)
    spans = {
      name: tape.slices(self._embed(t, written.cells), seen.start_BN, seen.span)
      for name, t in self._tables.items()
    }
    if language:
      u_BTD = jnp.full((*reset_BT.shape, self.width), QUERY)
    else:
      u_BTD = self._embed(self._query, x).astype(jnp.float32)
    u = tape.chunked(u_BTD, seen.lag_BNC.shape[2])
    for k, (m, c) in enumerate(zip(of_m, of_c, strict=True)):
      o, p_BNCM = self._hop(u, (spans[m], spans[c]), (time[m], time[c]), seen)
      if wants_intermediates(self) and not self.linear:
        p_BTM = p_BNCM.reshape(len(x), -1, self.slots)[:, : x.shape[1]]
        by_lag_BTR = jnp.pad(
          p_BTM[..., ::-1], [(0, 0), (0, 0), (not language, 0)]
        )
        self.sow(
          'intermediates', f'hop_{k}_lag_weights', by_lag_BTR[:, :, None]
        )
      u = self._keep(u) + o
      if language:
        straight, bent = jnp.split(u, [self.width // 2], axis=-1)
        u = jnp.concatenate([straight, nn.relu(bent)], axis=-1)
    u_BTD = u.reshape(u.shape[0], -1, self.width)[:, : reset_BT.shape[1]]
    return Stored(*tape.last_cells(written, self.slots)), u_BTD

  def readout(self, h: jax.Array) -> jax.Array:
    w_VD = self._answers
    return product('...d,vd->...v', h.astype(w_VD.dtype), w_VD)

  def _names(self) -> tuple[list[str], list[str]]:
    """The names of the tables for m and c of each hop."""
    if self.tying == 'layerwise':
      return ['A'] * self.hops, ['C'] * self.hops
    names = [str(k) for k in range(self.hops + 1)]
    return names[:-1], names[1:]

  def _embed(self, table: jax.Array, x: jax.Array) -> jax.Array:
    if not self.input_spec.discrete:
      return x.astype(table.dtype) @ table
    embedded = jnp.take(table, x, axis=0)
    if self.input_spec.classes:
      return embedded
    return ENCODERS[self.sentences](embedded, x != 0)

  def _takes(self, x: jax.Array, train: bool) -> tuple[jax.Array, int]:
    """The number of cells that each step takes, and the largest possible."""
    takes_BT = jnp.ones(x.shape[:2], jnp.int32)
    if self.input_spec.question_id:
      question_BT = (x == self.input_spec.question_id).any(-1)
      takes_BT = (~question_BT).astype(jnp.int32)
    if not (train and self.noise):
      return takes_BT, 1
    key = self.make_rng('dropout')
    empty_BT = jax.random.bernoulli(key, self.noise, x.shape[:2])
    return takes_BT * (1 + empty_BT.astype(jnp.int32)), 2

  def _keep(self, u: jax.Array) -> jax.Array:
    """What a hop does to u^k before o^k is added."""
    if self.tying == 'adjacent':
      return u
    h_DD = self._turn
    return product('bncd,ed->bnce', u.astype(h_DD.dtype), h_DD)

  def _hop(
    self,
    u_BNCD: jax.Array,
    spans: tuple[jax.Array, jax.Array],
    times: tuple[jax.Array, jax.Array],
    seen: tape.Windows,
  ) -> tuple[jax.Array, jax.Array]:
    """o^k and p of every query, float32."""
    (m_BNRD, c_BNRD), (of_m_MD, of_c_MD) = spans, times
    dtype = m_BNRD.dtype
    u = u_BNCD.astype(dtype)
    by_cell = product('bncd,bnrd->bncr', u, m_BNRD)
    scores = tape.shift(by_cell, seen.lag_BNC, self.slots)
    scores += product('bncd,md->bncm', u, of_m_MD)
    if not self.linear:
      scores = jax.nn.softmax(jnp.where(seen.seen_BNCM, scores, UNSEEN))
    p_BNCM = jnp.where(seen.seen_BNCM, scores, 0.0)
    by_cell = tape.shift(p_BNCM, -seen.lag_BNC, seen.span).astype(dtype)
    o = product('bncr,bnrd->bncd', by_cell, c_BNRD)
    o += product('bncm,md->bncd', p_BNCM.astype(dtype), of_c_MD)
    return o, p_BNCM
