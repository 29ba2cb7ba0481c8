"""Seeds as a dimension: N runs of one experiment in one program.

Replica i of a run with seed s is the run with seed s + i: the same parameters
at the start, the same batches, the same noise. Floats of the optimiser may
differ too, replica i having the i-th value of each. Every array of its state,
but for the step that all share, is replica i of an array with a leading axis N;
the mesh cuts that axis, and nothing else. One replica has no such axis.
"""

from collections.abc import Callable, Mapping
import dataclasses
import math
from typing import Any

import jax
import numpy as np

from memjax.config.sections import Optim, flatten
from memjax.errors import nearest, require
from memjax.training.state import TrainState

_OWN: Any = 0  # axis
_SHARED: Any = None
NOT_DESCENT = ('ema', 'final_lr_ratio')
STATE = TrainState(_SHARED, _OWN, _OWN, _OWN, _OWN, _OWN, _OWN)


def each(
  function: Callable[..., Any],
  replicas: int,
  in_axes: Any = 0,
  out_axes: Any = 0,
) -> Callable[..., Any]:
  """The function of one replica as one of all; axes as those of `jax.vmap`."""
  return function if replicas == 1 else jax.vmap(function, in_axes, out_axes)


def seeds(seed: int, replicas: int) -> np.ndarray:
  """`(N,)` uint32, or one without an axis."""
  numbers = np.uint32(seed) + np.arange(replicas, dtype=np.uint32)
  return numbers if replicas > 1 else numbers[0]


def varied(optim: Optim, replicas: int) -> dict[str, np.ndarray]:
  """{field: `(N,)` float32} of what `optim.per_replica` says.

  Raises:
    ConfigError: a field that is no float of the section, a value that breaks
      its rule, or not as many values as replicas.
  """
  floats = {
    field: value
    for field, value in flatten(dataclasses.asdict(optim)).items()
    if isinstance(value, float) and field not in NOT_DESCENT
  }
  found = {}
  for part in optim.per_replica.split():
    field, _, text = part.partition('=')
    rule = f'no such float; {nearest(field, floats)}'
    require(field in floats, 'optim.per_replica', field, rule)
    rule = 'is 0, which is off: it cannot vary'
    require(floats[field] > 0, f'optim.{field}', floats[field], rule)
    values = [_above_0(field, value) for value in text.split(',')]
    rule = f'must have a value for each of {replicas} replicas'
    require(len(values) == replicas > 1, 'optim.per_replica', part, rule)
    found[field] = np.array(values, np.float32)
  return found


def _above_0(field: str, text: str) -> float:
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  rule = f'must be a number above 0 for {field}'
  require(0 < value < math.inf, 'optim.per_replica', text, rule)
  return value


def summary(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """What a row of `metrics.jsonl` says of figures `()` or `(N,)`.

  `metrics` are the medians over replicas, `quartiles` the first and third,
  `replicas` the figures themselves, in the order of the seeds. A replica whose
  loss is no number has none: it is left out of the medians and quartiles, and
  is NaN in `replicas`.
  """
  if not any(v.ndim for v in values.values()):
    return {'metrics': {name: float(v) for name, v in values.items()}}
  learns_N = np.isfinite(values['loss'])
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


def _quantile(values_N: np.ndarray, share: float) -> float:
  finite = values_N[np.isfinite(values_N)]
  return float(np.quantile(finite, share)) if finite.size else math.nan
