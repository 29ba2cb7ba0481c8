"""Seeds as a dimension: N runs of one experiment in one program.

Replica i of a run with seed s is the run with seed s + i: it has the same
initial parameters, the same batches and the same noise. Floats of the optimiser
may differ as well: replica i takes the i-th value of each.

One convention holds everywhere outside the training step: the first axis of an
array is N, also if N is 1. Only the fields of the state that `state.SHARED`
names lack it. `each` is the one place that takes the axis off and puts it back.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.config.sections import Optim, flatten
from memjax.errors import nearest, require
from memjax.training.state import SHARED, TrainState

SAME_FOR_ALL = ('ema', 'final_lr_ratio', 'row_clip_norm', 'row_noise')
# Where a state has the axis N, in the notation of `jax.vmap`.
STATE_AXES = TrainState._make(
  None if name in SHARED else 0 for name in TrainState._fields
)


def each(
  function: Callable[..., Any],
  replicas: int,
  mesh: Mesh,
  in_axes: Any,
  out_axes: Any,
) -> Callable[..., Any]:
  """The function of one replica, applied to each of N.

  On one CPU the replicas take turns: a core has no idle units to fill, and the
  arrays of one replica stay in its cache where those of sixteen do not
  (experiments/bench). On other devices, and on several, it is `jax.vmap`. For
  N = 1 the axis is removed and added again, so that the compiled program is
  that of the function.

  Args:
    function: takes and returns pytrees without the axis N.
    replicas: N.
    mesh: where the program runs.
    in_axes: a tuple with an entry for each argument: 0, None if it is shared,
      or a pytree of them such as STATE_AXES.
    out_axes: the same for the result.
  """

  def single(*arguments: Any) -> Any:
    result = function(*_map_axes(jnp.squeeze, in_axes, arguments))
    return _map_axes(jnp.expand_dims, out_axes, result)

  def in_turn(*arguments: Any) -> Any:
    def one(i: jax.Array) -> Any:
      own = functools.partial(
        jax.lax.dynamic_index_in_dim, index=i, keepdims=False
      )
      return function(*_map_axes(own, in_axes, arguments))

    results = jax.lax.map(one, jnp.arange(replicas))
    return jax.tree.map(
      lambda axis, part: (
        jax.tree.map(lambda x: x[0], part) if axis is None else part
      ),
      out_axes,
      results,
      is_leaf=lambda axis: axis is None,
    )

  if replicas == 1:
    return single
  if mesh.size == 1 and mesh.devices.item().platform == 'cpu':
    return in_turn
  return jax.vmap(function, in_axes, out_axes)


def _map_axes(change: Callable[..., Any], axes: Any, tree: Any) -> Any:
  """change(array, axis) for every array that has an axis N."""
  return jax.tree.map(
    lambda axis, part: (
      part
      if axis is None
      else jax.tree.map(lambda array: change(array, axis=axis), part)
    ),
    axes,
    tree,
    is_leaf=lambda axis: axis is None,
  )


def seeds(seed: int, replicas: int) -> np.ndarray:
  """The seed of each replica, `(N,)` uint32."""
  return np.uint32(seed) + np.arange(replicas, dtype=np.uint32)


def per_replica_overrides(optim: Optim, replicas: int) -> dict[str, np.ndarray]:
  """The values of `optim.per_replica`, {field: `(N,)` float32}.

  Raises:
    ConfigError: a field is not a float of the section, a value is not above 0,
      or a field does not have N values.
  """
  floats = {
    field: value
    for field, value in flatten(dataclasses.asdict(optim)).items()
    if isinstance(value, float) and field not in SAME_FOR_ALL
  }
  overrides = {}
  for part in optim.per_replica.split():
    field, _, text = part.partition('=')
    rule = f'is not a float of optim; {nearest(field, floats)}'
    require(field in floats, 'optim.per_replica', field, rule)
    rule = 'is 0, which turns it off: replicas cannot differ in it'
    require(floats[field] > 0, f'optim.{field}', floats[field], rule)
    values = [_above_0(field, value) for value in text.split(',')]
    rule = f'must have one value for each of {replicas} replicas'
    require(len(values) == replicas > 1, 'optim.per_replica', part, rule)
    overrides[field] = np.array(values, np.float32)
  return overrides


def settings(optim: Optim, replicas: int) -> np.ndarray:
  """The number of each replica's setting of `optim.per_replica`, `(N,)`."""
  overrides = per_replica_overrides(optim, replicas)
  values_NF = np.stack([np.zeros(replicas), *overrides.values()], axis=1)
  return np.unique(values_NF, axis=0, return_inverse=True)[1].reshape(-1)


def _above_0(field: str, text: str) -> float:
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  rule = f'must be a number above 0 for {field}'
  require(0 < value < math.inf, 'optim.per_replica', text, rule)
  return value


def summary(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The part of a row of `metrics.jsonl` that holds figures `(N,)`.

  With one replica `metrics` are its figures. With several, `metrics` are the
  medians over replicas, `quartiles` the first and third quartile, and
  `replicas` the figures themselves in the order of the seeds. A replica whose
  loss, if it is among the figures, is not finite is left out of the medians and
  quartiles, and is NaN in `replicas`.
  """
  if all(v.size == 1 for v in values.values()):
    return {'metrics': {name: v.item() for name, v in values.items()}}
  learns_N = np.isfinite(values.get('loss', 0.0))
  values = {name: np.where(learns_N, v, np.nan) for name, v in values.items()}
  low, middle, high = (
    {name: _quantile(v, share) for name, v in values.items()}
    for share in (0.25, 0.5, 0.75)
  )
  return {
    'metrics': middle,
    'quartiles': {name: [low[name], high[name]] for name in values},
    'replicas': {name: v.tolist() for name, v in values.items()},
  }


def without(
  values: Mapping[str, np.ndarray], gone: Sequence[int]
) -> dict[str, np.ndarray]:
  """The figures, NaN for the replicas of these numbers."""
  if not gone:
    return dict(values)
  kept = {name: np.array(v, float) for name, v in values.items()}
  for value in kept.values():
    value[..., list(gone)] = np.nan
  return kept


def _quantile(values_N: np.ndarray, share: float) -> float:
  finite = values_N[np.isfinite(values_N)]
  return float(np.quantile(finite, share)) if finite.size else math.nan
