"""Which part of a model is trained: low-rank changes of kernels, or a part.

    lora      W + (alpha / r) A B,            A ~ N(0, 1 / rows), B = 0
    adalora   W + (alpha / r) P diag(l) Q,    P, Q ~ N(0, 0.02^2), l = 0

Papers: Hu et al. 2021, LoRA, https://arxiv.org/abs/2106.09685; Zhang et al.
2023, AdaLoRA, https://arxiv.org/abs/2303.10512. A kernel of more than two axes
is a stack of matrices, each with factors of its own.

The models know nothing of it: `runs.frozen.materialise` makes their parameters
where they are applied, and the gradient is that of the factors. So a change at
step 0 is 0 and the first outputs are those of the base. The product W + A B is
made whole, and its gradient too: this saves the memory of the optimiser and of
the checkpoints, not that of the kernels.
"""

import math
import re
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from memjax.config.adapt import LORA, Adapt
from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, require
from memjax.runs.frozen import Frozen
from memjax.training.state import initial_params
from memjax.types import Params

SHOWN = 5  # parameter paths in an error
ADALORA_SPREAD = 0.02  # of the authors' program


def initial_parts(
  experiment: Experiment, key: jax.Array
) -> tuple[Frozen, Params]:
  """What is frozen and what is trained, at step 0; see `split`."""
  whole = initial_params(experiment.model, experiment.task, key)
  return split(experiment.adapt, whole, jax.random.fold_in(key, 0))


def split(
  adapt: Adapt, params: Params, key: jax.Array
) -> tuple[Frozen, Params]:
  """The frozen part of a model's parameters, and what is trained.

  Args:
    adapt: the section.
    params: the model's parameters.
    key: of the first factors.

  Raises:
    ConfigError: a pattern matches nothing, or the rank does not fit a kernel.
  """
  if not adapt.freezes:
    return (), params
  leaves = traverse_util.flatten_dict(params)
  found = _matching(adapt.trainable, leaves)
  whole = {path: leaves.pop(path) for path in found}
  low_rank = {
    path: _factors(adapt, path, leaves[path], jax.random.fold_in(key, number))
    for number, path in enumerate(_kernels(adapt, leaves))
  }
  rule = 'matches every parameter: leave it empty to train all of them'
  require(bool(leaves), 'adapt.trainable', adapt.trainable, rule)
  for field, paths in ((adapt.trainable, whole), (adapt.where, low_rank)):
    if field and not paths:
      raise _nothing(adapt, field, params)
  scale = jnp.float32(adapt.alpha / adapt.rank)
  trained = {'low_rank': low_rank, 'whole': whole}
  return (
    {'base': traverse_util.unflatten_dict(leaves), 'scale': scale},
    {
      name: traverse_util.unflatten_dict(tree)
      for name, tree in trained.items()
      if tree
    },
  )


def with_base(
  frozen: Frozen, params: Params, found: Params
) -> tuple[Frozen, Params]:
  """The two trees with a model's parameters in the place of their own.

  Args:
    frozen: of `split`.
    params: of `split`. What it trains whole may be missing in `found`, and
      stays as it is.
    found: the model's parameters.
  """
  if not frozen:
    return (), found
  leaves = traverse_util.flatten_dict(found)

  def put(tree: Params) -> Params:
    old = traverse_util.flatten_dict(tree)
    new = {path: leaves.get(path, leaf) for path, leaf in old.items()}
    return traverse_util.unflatten_dict(new)

  base = frozen | {'base': put(frozen['base'])}
  whole = {'whole': put(params['whole'])} if 'whole' in params else {}
  return base, params | whole


def _factors(
  adapt: Adapt, path: tuple[str, ...], kernel: jax.Array, key: jax.Array
) -> Params:
  """The first factors of a kernel's change, whose product is 0."""
  *stack, rows, columns = kernel.shape
  name, rank = '/'.join(path), adapt.rank
  rule = f'exceeds {name} {kernel.shape}, which adapt.where finds'
  require(rank <= min(rows, columns), 'adapt.rank', rank, rule)
  shapes = (*stack, rows, rank), (*stack, rank, columns)
  if adapt.method == LORA:
    first = jax.random.normal(key, shapes[0]) / math.sqrt(rows)
    return {'a': first, 'b': jnp.zeros(shapes[1])}
  p, q = (
    ADALORA_SPREAD * jax.random.normal(k, shape)
    for k, shape in zip(jax.random.split(key), shapes, strict=True)
  )
  return {'p': p, 'l': jnp.zeros((*stack, rank)), 'q': q}


def _matching(pattern: str, leaves: Any) -> list[tuple[str, ...]]:
  """The paths that contain a match, in alphabetical order; '': none."""
  return sorted(
    path for path in leaves if pattern and re.search(pattern, '/'.join(path))
  )


def _kernels(adapt: Adapt, leaves: Params) -> list[tuple[str, ...]]:
  """The paths of the kernels that the method changes."""
  found = _matching(adapt.where, leaves)
  return [path for path in found if leaves[path].ndim >= 2]


def _nothing(adapt: Adapt, pattern: str, params: Params) -> ConfigError:
  leaves = traverse_util.flatten_dict(params)
  kernels = pattern == adapt.where
  names = [
    '/'.join(path)
    for path, leaf in leaves.items()
    if not kernels or leaf.ndim >= 2
  ]
  what = 'kernel of two axes' if kernels else 'parameter'
  field = 'adapt.where' if kernels else 'adapt.trainable'
  rule = f'matches no {what}; some are {", ".join(names[:SHOWN])}'
  return ConfigError(field, pattern, rule)
