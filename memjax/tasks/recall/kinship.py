"""Kinship: who is one person to another, by a chain of facts about a family.

Paper: Sinha et al. 2019, CLUTRR, https://arxiv.org/abs/1908.06177: trained on
short chains of relations, tested on longer ones.
Specification: persons 0 to k, k from `shortest` to `longest`; each is the
parent, child, sibling or spouse of the one before, man or woman with equal
probability. The relation of person k to person 0 is one of twelve, by the rules
of RULES. Of all chains whose relations RULES knows, one is drawn: first its
last relation, uniform over those that k steps reach, then a chain, uniform over
those that end so. `facts` sentences of three tokens, `name word name`, say that
the first is the word of the second: one for each step, and further ones about
other persons, all in random order. Then `name ? name` asks what person k is to
person 0. Names are drawn anew for each row. Tokens: `?`, eight words (parent,
child, sibling, spouse, each of a woman and of a man), then names.
Labels: at the last position the relation, and whether the person is a man; its
place on the axis is k, the length of the chain.
Metrics: `loss`, nats per label; `accuracy`; `exact_match`. A random answer is
right with probability 1/24.
Deviations: sentences of three words, not prose of crowd workers. A chain is
drawn by rules, not from one family tree, so that a long one may name a third
parent. All further facts are unconnected.
"""

import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import (
  GeneratedTask,
  classification,
  exact_match,
  ordered,
  positive,
)
from memjax.tasks.draws import between, distinct
from memjax.types import Batch, Example, Metrics, RowKey, Tokens

STEPS = ('parent', 'child', 'sibling', 'spouse')
# {relation: those that a parent, child, sibling, spouse of such a person has}
RULES: dict[str, tuple[str, str, str, str]] = {
  'self': ('parent', 'child', 'sibling', 'spouse'),
  'parent': ('grandparent', 'sibling', 'uncle', 'parent'),
  'child': ('spouse', 'grandchild', 'child', 'child_in_law'),
  'sibling': ('parent', 'nephew', 'sibling', 'sibling_in_law'),
  'spouse': ('parent_in_law', 'child', 'sibling_in_law', ''),
  'grandparent': ('', 'uncle', '', 'grandparent'),
  'grandchild': ('', '', 'grandchild', ''),
  'uncle': ('grandparent', 'cousin', '', ''),
  'nephew': ('', '', 'nephew', ''),
  'cousin': ('', '', 'cousin', ''),
  'parent_in_law': ('', 'sibling_in_law', '', 'parent_in_law'),
  'child_in_law': ('', 'grandchild', '', ''),
  'sibling_in_law': ('', 'nephew', '', ''),
}
KNOWN = tuple(RULES)
RELATIONS = KNOWN[1:]
QUESTION, WORDS = 0, 2 * len(STEPS)


class Chains(NamedTuple):
  """How many chains there are; a state is a relation and its last step.

  Attributes:
    paths_LS: float32, the number of chains of each length that end in a state.
    moves_SP: float32, 1 where a step leads from state P to state S.
  """

  paths_LS: np.ndarray
  moves_SP: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kinship(GeneratedTask):
  """The relation of two persons that a chain of facts connects.

  Attributes:
    shortest: the least number of steps of a chain.
    longest: the largest.
    facts: F, sentences before the question; at least `longest`.
    names: number of names.
  """

  shortest: int = 2
  longest: int = 4
  facts: int = 10
  names: int = 64
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')
    positive(self, 'facts')
    rule = f'must be at least longest, {self.longest}'
    require(self.facts >= self.longest, 'facts', self.facts, rule)
    require(self.longest <= 30, 'longest', self.longest, 'must be at most 30')
    rule = f'must be at least {self._persons} for these facts'
    require(self.names >= self._persons, 'names', self.names, rule)

  @property
  def _persons(self) -> int:
    return self.longest + 1 + 2 * (self.facts - self.shortest)

  @property
  def length(self) -> int:
    return 3 * self.facts + 3

  @property
  def input_spec(self) -> Tokens:
    return Tokens(1 + WORDS + self.names)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(2 * len(RELATIONS))

  @property
  def labels(self) -> int:
    return 1

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    classes = self.output_spec.size
    return {
      'loss': {'chance': math.log(classes)},
      'accuracy': {'chance': 1 / classes},
    }

  def example(self, key: RowKey) -> Example:
    of_length, of_chain, of_names, of_people, of_words, of_order = (
      jax.random.split(key, 6)
    )
    count = between(of_length, self.shortest, self.longest)
    relation, step_L = self._chain(of_chain, count)
    name_P = distinct(of_names, self._persons, self.names) + 1 + WORDS
    man_F = jax.random.bernoulli(of_people, 0.5, (self.facts,)).astype(int)
    any_F = jax.random.randint(of_words, (self.facts,), 0, len(STEPS))
    # Facts 0 to k - 1 are the chain's; the others name persons of their own.
    fact_F = jnp.arange(self.facts)
    chain_F = fact_F < count
    other_F = self.longest + 1 + 2 * (fact_F - self.shortest)
    step_F = jnp.pad(step_L, (0, self.facts - self.longest))
    step_F = jnp.where(chain_F, step_F, any_F)
    subject_F = name_P[jnp.where(chain_F, fact_F + 1, other_F)]
    object_F = name_P[jnp.where(chain_F, fact_F, other_F + 1)]
    word_F = 1 + 2 * step_F + man_F
    fact_F3 = jnp.stack([subject_F, word_F, object_F], axis=1)
    fact_F3 = jax.random.permutation(of_order, fact_F3)
    question_3 = jnp.stack([name_P[count], jnp.array(QUESTION), name_P[0]])
    label = 2 * (relation - 1) + man_F[count - 1]
    zeros_T = jnp.zeros(self.length, jnp.int32)
    return Example(
      jnp.concatenate([fact_F3.reshape(-1), question_3]).astype(jnp.int32),
      zeros_T.at[-1].set(label),
      jnp.zeros(self.length).at[-1].set(1.0),
      zeros_T.at[-1].set(count),
    )

  def _chain(
    self, key: RowKey, count: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The last relation, a number of KNOWN, and `(L,)` steps; drawn backwards.

    Steps from `count` on are no part of the chain.
    """
    paths_LS, moves_SP = map(jnp.asarray, self._chains)
    of_end, of_state, of_steps = jax.random.split(key, 3)
    paths_RM = paths_LS[count].reshape(len(KNOWN), len(STEPS))
    reached_R = (paths_RM.sum(axis=1) > 0).at[0].set(False)
    relation = jax.random.categorical(
      of_end, jnp.log(reached_R.astype(jnp.float32))
    )
    last = jax.random.categorical(of_state, jnp.log(paths_RM[relation]))
    state = relation * len(STEPS) + last

    def back(state: jax.Array, at: tuple) -> tuple[jax.Array, jax.Array]:
      length, key = at
      way_P = paths_LS[length] * moves_SP[state]
      before = jax.random.categorical(key, jnp.log(way_P))
      inside = length < count
      step = jnp.where(inside, state % len(STEPS), 0)
      return jnp.where(inside, before, state), step

    lengths = jnp.arange(self.longest)
    keys = jax.random.split(of_steps, self.longest)
    _, step_L = jax.lax.scan(back, state, (lengths, keys), reverse=True)
    return relation, step_L

  @functools.cached_property
  def _chains(self) -> Chains:
    steps = len(STEPS)
    states = len(KNOWN) * steps
    moves_SP = np.zeros((states, states), np.float32)
    ways = itertools.product(RULES, range(steps), range(steps))
    for relation, last, step in ways:
      result = RULES[relation][step]
      # The spouse's spouse is not another person.
      again = relation != 'self' and STEPS[last] == 'spouse' == STEPS[step]
      if result and not again:
        start = KNOWN.index(relation) * steps + last
        moves_SP[KNOWN.index(result) * steps + step, start] = 1
    paths_LS = np.zeros((self.longest + 1, states), np.float32)
    paths_LS[0, 0] = 1
    for length in range(self.longest):
      paths_LS[length + 1] = moves_SP @ paths_LS[length]
    return Chains(paths_LS, moves_SP)

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}
