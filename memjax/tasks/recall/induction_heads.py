"""Induction heads: a special token appears again; answer what followed it.

Paper: Fu et al. 2023, H3, https://arxiv.org/abs/2212.14052; sizes as in Gu &
Dao 2023, Mamba, https://arxiv.org/abs/2312.00752, section 4.1.
Specification: T - 1 ordinary tokens, uniform in 0..V-2, then the special token
V - 1. The special token also replaces one of the first T - 3 ordinary tokens,
uniformly drawn, and the token after it is the answer.
Labels: the answer, at the last position. The distance is the number of steps
back to the answer.
Metrics: `loss`, nats per label; `accuracy`, and `exact_match`, the same with
one label per row. Chance is 1/(V - 1): the special token is never the answer.
Deviations: H3's lengths exclude the special token at the end; T includes it;
Mamba does not specify it. H3 trains on all next tokens; here only the answer
counts.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask
from memjax.types import Example, RowKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class InductionHeads(TokenTask):
  """The token that followed the special one.

  Attributes:
    length: T, including the special token at the end.
    vocab: V, including the special token.
  """

  length: int = 256
  vocab: int = 16
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    require(self.length >= 4, 'length', self.length, 'must be at least 4')
    require(self.vocab >= 3, 'vocab', self.vocab, 'must be at least 3')

  @property
  def labels(self) -> int:
    return 1

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    tokens = self.vocab - 1
    return {
      'loss': {'any token': math.log(tokens)},
      'accuracy': {'any token': 1 / tokens},
    }

  def example(self, key: RowKey) -> Example:
    of_place, of_tokens = jax.random.split(key)
    special, last = self.vocab - 1, self.length - 1
    place = jax.random.randint(of_place, (), 0, self.length - 3)
    tokens = jax.random.randint(of_tokens, (self.length,), 0, special)
    nothing = jnp.zeros(self.length, jnp.int32)
    return Example(
      tokens.at[place].set(special).at[last].set(special),
      nothing.at[last].set(tokens[place + 1]),
      jnp.zeros(self.length).at[last].set(1.0),
      nothing.at[last].set(last - (place + 1)),
    )
