"""Parameter groups: `optim.groups` by the paths of parameters.

A group gives its parameters a factor of the learning rate and a weight decay of
their own, or freezes them.
"""

from collections.abc import Mapping
import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from memjax.config.build import construct
from memjax.config.sections import Optim
from memjax.errors import ConfigError, require
from memjax.types import Params

DEFAULT = ''  # the label of parameters that belong to no group
SHOWN = 5  # parameter paths in an error


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterGroup:
  """Parameters that are trained in another way, or not at all.

  Attributes:
    match: a regular expression; a parameter whose path contains a match, such
      as `layer_0/memory/qkv/kernel`, belongs to the group. If several groups
      match, it belongs to the first in alphabetical order of their names.
    learning_rate_factor: multiplies the learning rate.
    weight_decay: of every array of the group; -1: as for all parameters,
      `optim.weight_decay` on arrays of two or more axes.
    frozen: whether the parameters stay as they are. They have no optimiser
      state then.
  """

  match: str
  learning_rate_factor: float = 1.0
  weight_decay: float = -1.0
  frozen: bool = False

  def __post_init__(self) -> None:
    try:
      re.compile(self.match)
    except re.error as error:
      rule = f'is not a regular expression: {error}'
      raise ConfigError('match', self.match, rule) from None
    factor = self.learning_rate_factor
    rule = 'must be above 0; frozen=True stops training'
    require(factor > 0, 'learning_rate_factor', factor, rule)
    alone = not self.frozen or (factor == 1 and self.weight_decay < 0)
    rule = 'leaves no use for learning_rate_factor and weight_decay'
    require(alone, 'frozen', self.frozen, rule)


def parameter_groups(optim: Optim) -> dict[str, ParameterGroup]:
  """The groups of the section by name, in alphabetical order."""
  return {
    name: construct(ParameterGroup, fields, f'optim.groups.{name}')
    for name, fields in sorted(optim.groups.items())
  }


def group_labels(params: Params, groups: Mapping[str, ParameterGroup]) -> Any:
  """The name of each parameter's group, DEFAULT if none matches.

  Raises:
    ConfigError: a group has no parameter.
  """
  paths = [
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
  ]
  labels = [
    next((n for n, g in groups.items() if re.search(g.match, path)), DEFAULT)
    for path in paths
  ]
  for name, group in groups.items():
    if name in labels:
      continue
    rule = f'matches no parameter; some are {", ".join(paths[:SHOWN])}'
    if any(re.search(group.match, path) for path in paths):
      rule = 'matches only parameters of groups before it in the alphabet'
    raise ConfigError(f'optim.groups.{name}.match', group.match, rule)
  return jax.tree.unflatten(jax.tree.structure(params), labels)


def zero_frozen(optim: Optim, grads: Params) -> Params:
  """The gradient with zeros for parameters of frozen groups.

  They count in no norm, and XLA computes no gradient that nobody reads.
  """
  groups = parameter_groups(optim)
  frozen = {name for name, group in groups.items() if group.frozen}
  if not frozen:
    return grads
  return jax.tree.map(
    lambda grad, label: jnp.zeros_like(grad) if label in frozen else grad,
    grads,
    group_labels(grads, groups),
  )
