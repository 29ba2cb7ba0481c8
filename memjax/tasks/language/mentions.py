"""Mentions: whose name it is was said once, with a word that tells the type.

"Dr. Ames ... Lake Orta ... Ames": entity recognition as a matter of memory. The
name alone says nothing of its type; the word before its first mention did.
Source: made for memjax, after coreferent mentions in entity recognition
(Tjong Kim Sang & De Meulder 2003, https://aclanthology.org/W03-0419).
Specification: T/2 places of two words. A place is a mention with probability
`density`, the first and the last place always are; at other places both words
are fillers. Each mention is one of E entities, equally likely, the last mention
the entity of the first. An entity has a type and a name of its own, drawn anew
for each row: types may repeat, names do not. Its first mention is a cue word of
its type, then the name; each later one a filler, then the name. Tokens: `cues`
words for each of the C types, then N names, then the fillers.
Labels: the type, at the name of every later mention. The distance is the number
of steps back to the cue word.
Metrics: `loss`, nats per label; `accuracy` over labels; `exact_match`, the
share of rows with every label right. A random type is right with probability
1/C. With every cue remembered all labels are known.
Deviations: none.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  GeneratedTask,
  classification,
  exact_match,
  positive,
)
from memjax.tasks.draws import distinct
from memjax.types import Batch, Example, Metrics, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mentions(GeneratedTask):
  """The type of an entity that was introduced before.

  Attributes:
    length: T, even.
    entities: E, of a row.
    types: C, the classes.
    cues: number of words that tell a type.
    names: N, number of names; at least E.
    fillers: number of words that tell nothing.
    density: probability that a place is a mention.
  """

  length: int = 256
  entities: int = 8
  types: int = 4
  cues: int = 4
  names: int = 128
  fillers: int = 64
  density: float = 0.3
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'entities', 'cues', 'fillers')
    fits = self.length >= 4 and self.length % 2 == 0
    require(fits, 'length', self.length, 'must be even, and at least 4')
    require(self.types > 1, 'types', self.types, 'must be at least 2')
    rule = f'must be at least entities, {self.entities}'
    require(self.names >= self.entities, 'names', self.names, rule)
    rule = 'must be in (0, 1]'
    require(0 < self.density <= 1, 'density', self.density, rule)

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.types * self.cues + self.names + self.fillers)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.types)

  @property
  def labels(self) -> int:
    return self.length // 2 - 1

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.types)},
      'accuracy': {'chance': 1 / self.types},
    }

  def example(self, key: RowKey) -> Example:
    of_places, of_entities, of_names, of_types, of_words = jax.random.split(
      key, 5
    )
    count = self.length // 2
    place_I = jnp.arange(count)
    mention_I = jax.random.bernoulli(of_places, self.density, (count,))
    mention_I = mention_I.at[jnp.array([0, -1])].set(True)
    entity_I = jax.random.randint(of_entities, (count,), 0, self.entities)
    entity_I = entity_I.at[-1].set(entity_I[0])
    name_E = distinct(of_names, self.entities, self.names)
    type_E = jax.random.randint(of_types, (self.entities,), 0, self.types)
    word_I2 = jax.random.randint(of_words, (count, 2), 0, 1 << 30)

    same_II = mention_I[None] & (entity_I[:, None] == entity_I[None])
    first_I = jnp.argmax(same_II, axis=1)
    introduced_I = mention_I & (first_I == place_I)
    later_I = mention_I & ~introduced_I
    type_I = type_E[entity_I]
    first_name = self.types * self.cues
    filler_I2 = first_name + self.names + word_I2 % self.fillers
    cue_I = type_I * self.cues + word_I2[:, 0] % self.cues
    before_I = jnp.where(introduced_I, cue_I, filler_I2[:, 0])
    name_I = jnp.where(
      mention_I, first_name + name_E[entity_I], filler_I2[:, 1]
    )
    distance_I = 2 * (place_I - first_I) + 1

    def row(at_word: jax.Array, at_name: jax.Array) -> jax.Array:
      return jnp.stack([at_word, at_name], -1).reshape(-1)

    nothing_I = jnp.zeros_like(place_I)
    return Example(
      row(before_I, name_I),
      row(nothing_I, jnp.where(later_I, type_I, 0)),
      row(jnp.zeros(count), later_I.astype(jnp.float32)),
      row(nothing_I, jnp.where(later_I, distance_I, 0)),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}
