"""Sequence recall: read a list, wait, and recall it forward or backward.

Paper: Botvinick & Plaut 2006, https://doi.org/10.1037/0033-295X.113.2.201, for
immediate serial recall by a recurrent network; backward recall is that of the
digit span.
Specification: tokens 0..V-1 items, V blank, V + 1 forward, V + 2 backward. A
row: N uniform items of V; D blanks; a cue; then blanks. N is uniform in
shortest..longest, D in 0..delay, and both cues are equally likely if `cues` is
'both'. Rows are padded with blanks to longest + delay + 1 + longest.
Labels: the items, at the N steps after the cue, in the order of the cue. The
sequence length is N.
Metrics: `loss`, nats per item; `accuracy` over items; `exact_match`, the share
of lists without an error. Chance is 1/V.
Deviations: in the paper, lists are recalled forward only and at once, no item
is repeated, and the network reads each item it has recalled.
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
  """A list to recall in its order or in reverse.

  Attributes:
    symbols: V, number of different items.
    shortest: the fewest items of a list.
    longest: the most items of a list.
    delay: the longest delay, in steps.
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
    cue_step = count + between(of_delay, 0, self.delay)
    first, more = CUES[self.cues]
    cue = first + between(of_cue, 0, more)
    items_N = jax.random.randint(of_items, (self.longest,), 0, self.symbols)
    step_T = jnp.arange(self.length)
    item_T = items_N.take(step_T, mode='clip')
    inputs = jnp.where(step_T < count, item_T, self.symbols)
    place_T = step_T - cue_step - 1
    labelled_T = (place_T >= 0) & (place_T < count)
    recalled_T = jnp.where(cue == 1, place_T, count - 1 - place_T)
    return Example(
      inputs.at[cue_step].set(self.symbols + cue),
      jnp.where(labelled_T, items_N.take(recalled_T, mode='clip'), 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, count, 0),
    )
