"""Sequence recall: hear a list, wait, and say it forwards or backwards.

Paper: Botvinick & Plaut 2006, https://doi.org/10.1037/0033-295X.113.2.201, for
immediate serial recall by a recurrent network; the backward list is that of the
digit span.
Specification: tokens 0..V-1 items, V nothing, V + 1 forwards, V + 2 backwards.
A row: N items, each a fair draw of the V; D times nothing; a cue; then nothing.
N is uniform in shortest..longest, D in 0..delay, and either cue as likely if
`cues` is 'both'. Rows are padded with nothing to longest + delay + 1 + longest.
Labels: the items, at the N steps behind the cue, in the order it asks for. The
length is N.
Metrics: `loss`, nats per item; `accuracy` over items; `exact_match`, the share
of lists without a mistake. Chance is 1/V.
Deviations: in the paper lists are recalled forwards only and at once, none of
their items comes twice, and a network that has said an item hears it.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import nearest, require
from memjax.tasks.base import (
  TokenTask,
  ordered,
  positive,
)
from memjax.tasks.draws import between
from memjax.types import Example, RowKey, Tokens

CUES = {'forward': (1, 0), 'backward': (2, 0), 'both': (1, 1)}  # first, more


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceRecall(TokenTask):
  """A list to say in its order or in reverse.

  Attributes:
    symbols: V, different items.
    shortest: the fewest items of a list.
    longest: the most.
    delay: the longest wait.
    cues: 'forward', 'backward' or 'both'.
  """

  symbols: int = 10
  shortest: int = 1
  longest: int = 9
  delay: int = 10
  cues: str = 'both'
  score_axis = 'sequence_length'

  def __post_init__(self) -> None:
    positive(self, 'symbols')
    ordered(self, 'shortest', 'longest')
    require(self.delay >= 0, 'delay', self.delay, 'must not be negative')
    rule = f'unknown; {nearest(self.cues, CUES)}'
    require(self.cues in CUES, 'cues', self.cues, rule)

  @property
  def vocab(self) -> int:
    return self.symbols + 3

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.symbols)

  @property
  def length(self) -> int:
    return 2 * self.longest + self.delay + 1

  @property
  def labels(self) -> int:
    return self.longest

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    counts = range(self.shortest, self.longest + 1)
    lists = sum(self.symbols**-count for count in counts) / len(counts)
    return {
      'loss': {'chance': math.log(self.symbols)},
      'accuracy': {'chance': 1 / self.symbols},
      'exact_match': {'chance': lists},
    }

  def example(self, key: RowKey) -> Example:
    of_count, of_delay, of_cue, of_items = jax.random.split(key, 4)
    count = between(of_count, self.shortest, self.longest)
    told = count + between(of_delay, 0, self.delay)
    first, more = CUES[self.cues]
    cue = first + between(of_cue, 0, more)
    items_N = jax.random.randint(of_items, (self.longest,), 0, self.symbols)
    step_T = jnp.arange(self.length)
    heard_T = items_N.take(step_T, mode='clip')
    inputs = jnp.where(step_T < count, heard_T, self.symbols)
    said_T = step_T - told - 1
    asked_T = (said_T >= 0) & (said_T < count)
    item_T = jnp.where(cue == 1, said_T, count - 1 - said_T)
    return Example(
      inputs.at[told].set(self.symbols + cue),
      jnp.where(asked_T, items_N.take(item_T, mode='clip'), 0),
      asked_T.astype(jnp.float32),
      jnp.where(asked_T, count, 0),
    )
