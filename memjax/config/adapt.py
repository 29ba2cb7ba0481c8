"""The section `adapt` of a config: which part of a model is trained."""

import dataclasses
import re

from memjax.errors import ConfigError, require, require_at_least_one

LORA, ADALORA = 'lora', 'adalora'
METHODS = ('', LORA, ADALORA)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapt:
  """Which part of a model is trained; all else is frozen, and saved once.

  Attributes:
    method: how the kernels that `where` finds are changed. lora: by a product
      of two factors of rank r; adalora: by three, whose rank falls where it
      matters least; empty: not at all.
    where: a regular expression over parameter paths such as
      'layer_0/memory/qkv/kernel'; the kernels that contain a match are changed.
    rank: r.
    alpha: the product of the factors is multiplied by alpha / r.
    trainable: a regular expression over parameter paths; these parameters are
      trained themselves, also if `where` finds them. Empty: none is, or all
      are if there is no method.
    target_rank: of adalora, the mean rank of the changes at the end.
    start_steps: of adalora, steps before the rank begins to fall.
    final_steps: of adalora, steps at the end in which the ranks are fixed.
    allocate_every: of adalora, steps between two choices of what keeps its
      rank.
    orthogonality: of adalora, the weight of the penalty that keeps the outer
      factors orthogonal.
  """

  method: str
  where: str
  rank: int
  alpha: float
  trainable: str
  target_rank: float
  start_steps: int
  final_steps: int
  allocate_every: int
  orthogonality: float

  def __post_init__(self) -> None:
    rule = f'must be empty or one of {", ".join(METHODS[1:])}'
    require(self.method in METHODS, 'method', self.method, rule)
    rule = 'must say which kernels the method changes: attn|qkv, or kernel$'
    require(not self.method or bool(self.where), 'where', self.where, rule)
    rule = f'needs adapt.method, one of {", ".join(METHODS[1:])}'
    require(bool(self.method) or not self.where, 'where', self.where, rule)
    require_at_least_one(self, 'rank', 'allocate_every')
    require(self.alpha > 0, 'alpha', self.alpha, 'must be above 0')
    rule = f'must be above 0, and at most adapt.rank {self.rank}'
    fits = self.method != ADALORA or 0 < self.target_rank <= self.rank
    require(fits, 'target_rank', self.target_rank, rule)
    for field in ('where', 'trainable'):
      pattern = getattr(self, field)
      try:
        re.compile(pattern)
      except re.error as error:
        rule = f'is not a regular expression: {error}'
        raise ConfigError(field, pattern, rule) from None

  @property
  def freezes(self) -> bool:
    """Whether a part of the model is frozen."""
    return bool(self.method or self.trainable)
