"""Automata: strings of a random automaton, which differs from row to row.

Paper: Akyurek et al. 2024, In-Context Language Learning,
https://arxiv.org/abs/2401.12973, its RegBench.
Specification: each row has an automaton of n states, n uniform in
fewest_states..states. Every state has m edges, m uniform in 1..edges, with
different symbols, uniform in 0..V-1, to uniformly drawn states. Strings are
walks from state 0 that take each edge of a state equally often, and have L
symbols, L uniform in shortest..longest. A row is such strings, each after the
start token V, cut at T + 1 tokens; the model reads T of them.
Labels: every symbol of a string, at the token before it. The distance is the
number of steps back to the first token.
Metrics: `loss`, nats per label; `accuracy`; `allowed`, the paper's measure, the
share of labels at which the most likely token is a symbol of an edge of the
state (a tie with one that is none does not count). Answering with any symbol
scores 1/V, and m/V allowed. With the automaton known, a label costs ln m, is
right with probability 1/m, and is allowed always, where m is the number of
edges of its state.
Deviations: the paper draws a subset of the symbols for each automaton, and
keeps 1000 minimal automata of 4 to 12 states; here every row has its own,
minimal or not.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered
from memjax.tasks.draws import between
from memjax.types import Batch, Example, Metric, Metrics, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Automata(TokenTask):
  """Strings of one random automaton in each row.

  Attributes:
    length: T.
    symbols: V.
    fewest_states: the fewest states of an automaton.
    states: the most states of an automaton.
    edges: the most edges of a state, at most V.
    shortest: symbols of the shortest string.
    longest: symbols of the longest string.
  """

  length: int = 256
  symbols: int = 18
  fewest_states: int = 4
  states: int = 12
  edges: int = 4
  shortest: int = 5
  longest: int = 30
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    ordered(self, 'shortest', 'longest')
    ordered(self, 'fewest_states', 'states')
    require(self.length >= 2, 'length', self.length, 'must be at least 2')
    require(self.symbols >= 2, 'symbols', self.symbols, 'must be at least 2')
    rule = f'must be from 1 to symbols, {self.symbols}'
    require(1 <= self.edges <= self.symbols, 'edges', self.edges, rule)

  @property
  def vocab(self) -> int:
    return self.symbols + 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'any symbol': math.log(self.symbols)},
      'accuracy': {'any symbol': 1 / self.symbols},
    }

  def example(self, key: RowKey) -> Example:
    of_automaton, of_walk = jax.random.split(key)
    symbol_SE, next_SE, edges_S = self.automaton(of_automaton)
    of_edges, of_lengths = jax.random.split(of_walk)
    uniform_T = jax.random.uniform(of_edges, (self.length + 1,))
    size_T = jax.random.randint(
      of_lengths, (self.length + 1,), self.shortest, self.longest + 1
    )

    def walk(
      now: tuple[jax.Array, jax.Array], draw: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
      state, left = now
      uniform, size = draw
      starts = left == 0
      edge = (uniform * edges_S[state].astype(jnp.float32)).astype(jnp.int32)
      token = jnp.where(starts, self.symbols, symbol_SE[state, edge])
      exists_E = jnp.arange(self.edges) < edges_S[state]
      symbol_E = jnp.where(exists_E, symbol_SE[state], self.vocab)
      allowed_V = (
        jnp.zeros(self.vocab, bool).at[symbol_E].set(True, mode='drop')
      )
      state = jnp.where(starts, 0, next_SE[state, edge])
      return (state, jnp.where(starts, size, left - 1)), (
        token,
        starts,
        allowed_V,
      )

    first = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    _, (tokens, starts, allowed_TV) = jax.lax.scan(
      walk, first, (uniform_T, size_T)
    )
    labelled_T = ~starts[1:]
    return Example(
      tokens[:-1],
      jnp.where(labelled_T, tokens[1:], 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, jnp.arange(self.length), 0),
      allowed_TV[1:] & labelled_T[:, None],
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    allowed_BTV, least = batch.allowed_BTV, jnp.finfo(y.dtype).min
    best_BT = jnp.where(allowed_BTV, y, least).max(axis=-1)
    other_BT = jnp.where(allowed_BTV, least, y).max(axis=-1)
    weights_BT = batch.loss_weights_BT
    right = jnp.where(best_BT > other_BT, weights_BT, 0.0).sum()
    allowed = Metric(right, weights_BT.sum())
    return super().measure(y, batch) | {'allowed': allowed}

  def automaton(self, key: RowKey) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Symbols `(S, E)` and next states `(S, E)` of edges, and their number."""
    of_count, of_edges, of_symbols, of_states = jax.random.split(key, 4)
    count = between(of_count, self.fewest_states, self.states)
    keys_S = jax.random.split(of_symbols, self.states)
    symbol_SE = jax.vmap(
      lambda key: jax.random.permutation(key, self.symbols)[: self.edges]
    )(keys_S)
    shape = self.states, self.edges
    next_SE = jax.random.randint(of_states, shape, 0, count)
    edges_S = jax.random.randint(of_edges, shape[:1], 1, self.edges + 1)
    return symbol_SE, next_SE, edges_S
