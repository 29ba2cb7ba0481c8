"""ListOps: evaluate a nested list of operations on digits.

Paper: Nangia & Bowman 2018, https://arxiv.org/abs/1804.06028; in the long
version of Tay et al. 2020, Long Range Arena, https://arxiv.org/abs/2011.04006.
Specification: tokens 0 padding, 1..10 the digits 0..9, 11..14 the operators
MIN, MAX, MED and SM, which also open a list, 15 its end. A list is an operator,
2 to 10 arguments and an end. An argument is a list with probability 1/4, else a
digit; the arguments of a list at nesting depth 9 are digits only. Operators,
digits and numbers of arguments are uniform. MED is the median; for an even
number of arguments it is the mean of the middle two, rounded down. SM is the
sum modulo 10. A row is one such list, with a length uniform in
shortest..length, and padding.
Labels: the value of the whole list, 10 classes, at its last token. The sequence
length is that of the list.
Metrics: `loss`, nats per row, and `accuracy`. A random digit scores 1/10.
Values are not uniform, so the most frequent value scores more.
Deviations: Long Range Arena draws lists until one has 500 to 2000 tokens; here
the length is drawn first. Given its length, a list has the same distribution.
Its sets are fixed rows. Its brackets around pairs, which its models do not
read, are left out.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.data.list_sizes import LIST, SizeDistributions, size_distributions
from memjax.errors import require
from memjax.tasks.base import GeneratedTask
from memjax.tasks.draws import between, pick
from memjax.types import Example, RowKey, Tokens

DIGIT, OPERATOR, END = 1, 11, 15  # the first token of each kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOps(GeneratedTask):
  """A nested list to evaluate.

  Attributes:
    length: T, tokens of the longest list.
    shortest: tokens of the shortest list.
    depth: lists are nested at most depth - 1 deep.
    arguments: the most arguments of a list.
  """

  length: int = 512
  shortest: int = 128
  depth: int = 10
  arguments: int = 10
  score_axis = 'sequence_length'
  measures_positions = True

  def __post_init__(self) -> None:
    require(self.depth >= 2, 'depth', self.depth, 'must be at least 2')
    rule = 'must be at least 3'
    require(self.arguments >= 3, 'arguments', self.arguments, rule)
    require(self.shortest >= 4, 'shortest', self.shortest, 'must be at least 4')
    rule = f'must be at least shortest, {self.shortest}'
    require(self.length >= self.shortest, 'length', self.length, rule)

  def prepare(self) -> None:
    sizes = size_distributions(self.length, self.depth, self.arguments)
    impossible = np.flatnonzero(np.isneginf(sizes.log_list[1, self.shortest :]))
    rule = f'no list of depth {self.depth} has '
    rule += f'{self.shortest + min(impossible, default=0)} tokens'
    require(not impossible.size, 'length', self.length, rule)

  @property
  def input_spec(self) -> Tokens:
    return Tokens(END + 1)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(10)

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {'loss': {'chance': math.log(10)}, 'accuracy': {'chance': 1 / 10}}

  def example(self, key: RowKey) -> Example:
    of_length, of_shape, of_digits, of_operators = jax.random.split(key, 4)
    length = between(of_length, self.shortest, self.length)
    starts_N, ends_N = self._shape(of_shape, length).T
    step_T = jnp.arange(self.length)
    digits = jax.random.randint(of_digits, step_T.shape, 0, 10) + DIGIT
    tokens = jnp.where(step_T < length, digits, 0)
    operators = jax.random.randint(of_operators, starts_N.shape, OPERATOR, END)
    tokens = tokens.at[starts_N].set(operators, mode='drop')
    tokens = tokens.at[ends_N].set(END, mode='drop')
    last = length - 1
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      tokens,
      nothing.at[last].set(value_of(tokens, self.depth)),
      jnp.zeros(self.length).at[last].set(1.0),
      nothing.at[last].set(length),
    )

  def _shape(self, key: RowKey, length: jax.Array) -> jax.Array:
    """Start and end of each list of a row; T for unused entries."""
    law = jax.tree.map(
      lambda x: jnp.asarray(x, jnp.float32),
      size_distributions(self.length, self.depth, self.arguments),
    )

    def divide(drawn: Drawn) -> Drawn:
      level, count, room, place = drawn.pending[drawn.top]
      digits, size, within = self._first_list(
        keys[drawn.lists], law, level, count, room
      )
      rest, room = count - digits - 1, room - digits
      start = place + digits
      more = jnp.array(
        [
          [level, rest, room - size, start + size],
          [level + 1, within, size - 2, start + 1],
        ]
      )
      top, pending = drawn.top - 1, drawn.pending
      for entry in more:
        keep = entry[2] > entry[1]
        top += keep.astype(jnp.int32)
        pending = pending.at[top].set(jnp.where(keep, entry, pending[top]))
      return Drawn(
        top,
        pending,
        drawn.lists + 1,
        drawn.ends_N2.at[drawn.lists].set([start, start + size - 1]),
      )

    of_root, of_others = jax.random.split(key)
    log_A = law.log_arguments[2, :, length - 2]
    within = jax.random.categorical(of_root, log_A)
    whole = jnp.array([2, within, length - 2, 1])
    stack = jnp.zeros((self.depth + 2, 4), jnp.int32).at[1].set(whole)
    most = (self.length - 1) // 3 - 1
    keys = jax.random.split(of_others, max(most, 1))
    ends_N2 = jnp.full((most + 1, 2), self.length).at[-1].set([0, length - 1])
    top = (length - 2 > within).astype(jnp.int32)
    begun = Drawn(top, stack, jnp.zeros((), jnp.int32), ends_N2)
    return jax.lax.while_loop(lambda d: d.top > 0, divide, begun).ends_N2

  def _first_list(
    self,
    key: RowKey,
    law: SizeDistributions,
    level: jax.Array,
    count: jax.Array,
    room: jax.Array,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The first list among `count` arguments that fill `room` tokens.

    Returns:
      The number of digits before it, of its tokens, and of its arguments.
    """
    of_digits, of_size, of_count = jax.random.split(key, 3)
    count_A = jnp.arange(self.arguments + 1)
    log_A = law.log_first[level, count - count_A, room - count_A]
    log_A += count_A.astype(jnp.float32) * math.log(1 - LIST)
    digits = jax.random.categorical(
      of_digits, jnp.where(count_A < count, log_A, -jnp.inf)
    )
    others_T = jax.lax.dynamic_slice(
      law.others[level, count - digits - 1],
      [self.length - room + digits],
      [self.length + 1],
    )
    size = pick(of_size, law.lists[level] * others_T)
    within = jax.random.categorical(
      of_count, law.log_arguments[level + 1, :, size - 2]
    )
    return digits, size, within


class Drawn(NamedTuple):
  """Lists that are placed, and arguments still to be divided into lists.

  Attributes:
    top: index of the top entry of `pending`, 0 if it is empty.
    pending: a stack whose first entry is unused. An entry holds the depth, the
      number of arguments, the number of their tokens, which is larger, and
      their first position.
    lists: number of lists placed, without the whole.
    ends_N2: start and end of each list; the whole is the last.
  """

  top: jax.Array
  pending: jax.Array
  lists: jax.Array
  ends_N2: jax.Array


def value_of(tokens_T: jax.Array, depth: int) -> jax.Array:
  """The value of a list, computed token by token with a stack."""
  place_M, digit_N = jnp.arange(depth), jnp.arange(10)

  def read(
    state: tuple[jax.Array, jax.Array, jax.Array, jax.Array], token: jax.Array
  ) -> tuple[tuple[jax.Array, jax.Array, jax.Array, jax.Array], None]:
    count, operators_M, seen_MN, value = state
    opens = (token >= OPERATOR) & (token < END)
    closes, digit = token == END, (token >= DIGIT) & (token < OPERATOR)
    done = applied(operators_M[count - 1], seen_MN[count - 1])
    value = jnp.where(digit, token - DIGIT, jnp.where(closes, done, value))
    count = count - closes.astype(jnp.int32)
    here_M1 = (place_M == count - 1)[:, None] & (digit | closes)
    seen_MN += (here_M1 & (digit_N == value)[None]).astype(jnp.int32)
    new_M = opens & (place_M == count)
    operators_M = jnp.where(new_M, token, operators_M)
    seen_MN = jnp.where(new_M[:, None], 0, seen_MN)
    count = count + opens.astype(jnp.int32)
    return (count, operators_M, seen_MN, value), None

  nought = jnp.zeros((), jnp.int32)
  nothing_MN = jnp.zeros((depth, 10), jnp.int32)
  begun = (nought, nothing_MN[:, 0], nothing_MN, nought)
  return jax.lax.scan(read, begun, tokens_T)[0][3]


def applied(operator: jax.Array, seen_N: jax.Array) -> jax.Array:
  """The value of an operator, given how often each digit is an argument."""
  up_to_N, count = jnp.cumsum(seen_N), seen_N.sum()

  def ranked(rank: jax.Array) -> jax.Array:
    return (up_to_N <= rank).sum(dtype=jnp.int32)

  middle = (ranked((count - 1) // 2) + ranked(count // 2)) // 2
  total = (jnp.arange(10) * seen_N).sum() % 10
  values = jnp.stack([ranked(count * 0), ranked(count - 1), middle, total])
  return values[operator - OPERATOR]
