"""Stack manipulation: a stack, pushes and pops; the final stack.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098.
Specification: a stack of 1..L - 1 fair bits from bottom to top, its height
uniform, then actions up to L symbols, uniform among pop, push 0 and push 1. A
pop of the empty stack does nothing. A single symbol is a stack of one. The
answer is the final stack from top to bottom, then a terminator, 2. Symbols: the
bits 0 and 1, then pop, push 0, push 1. Rows and lengths are those of
`episode.py`.
Labels: the answer with its terminator; at most L + 1.
Metrics: those of `episode.py`; a random class scores 1/3.
Deviations: those of `episode.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from memjax.tasks.chomsky.episode import SequenceTask
from memjax.types import Example, RowKey

POP, PUSH = 2, 3
TERMINATOR = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackManipulation(SequenceTask):
  """A stack to update. Attributes: those of `SequenceTask`."""

  @property
  def alphabet(self) -> int:
    return 5

  @property
  def answers(self) -> int:
    return 3

  def most(self, length: int) -> int:
    return length + 1

  def example(self, key: RowKey) -> Example:
    of_length, of_stack, of_bits, of_actions = jax.random.split(key, 4)
    length = self.draw_length(of_length)
    height = jax.random.randint(of_stack, (), 1, jnp.maximum(length, 2))
    place_S = jnp.arange(self.longest)
    actions_S = POP + self.string(of_actions, 3)
    bits_S = self.string(of_bits, 2)
    symbols_S = jnp.where(place_S < height, bits_S, actions_S)
    stack_S, depth = self._left(symbols_S, length)
    place_A = jnp.arange(self.longest + 1)
    popped_A = stack_S.take(depth - 1 - place_A, mode='clip')
    answer_A = jnp.where(place_A < depth, popped_A, TERMINATOR)
    return self.row(symbols_S, length, answer_A, depth + 1)

  def _left(
    self, symbols_S: jax.Array, length: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The stack after `length` symbols, bottom first, and its depth."""

    def act(
      state: tuple[jax.Array, jax.Array], step: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
      stack_S, depth = state
      symbol, acts = step
      # A pop writes above the stack, where nothing is read.
      stack_S = stack_S.at[depth].set(symbol % PUSH, mode='drop')
      popped = jnp.maximum(depth - 1, 0)
      after = jnp.where(symbol == POP, popped, depth + 1)
      return (stack_S, jnp.where(acts, after, depth)), None

    acts_S = jnp.arange(self.longest) < length
    start = jnp.zeros_like(symbols_S), jnp.zeros_like(length)
    left, _ = jax.lax.scan(act, start, (symbols_S, acts_S))
    return left
