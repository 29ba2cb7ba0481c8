"""What a memory reads of its past, and how long its units keep what they have.

Attention by lag: the mean of the weights that a model gives to what lies d
steps back, over the steps that have a label. A query has one weight to give
away; what the shares lack to 1 went to nothing, or to what cannot be told
apart by its distance. Unit: share of a query's weight.
Paper: Bahdanau, Cho & Bengio 2015, https://arxiv.org/abs/1409.0473, whose
weights show what is aligned with what; by distance, Dai et al. 2019,
https://arxiv.org/abs/1901.02860.

Time constants: a unit that keeps the share f of its value in a step has exp(-n
/ tau) of it after n steps, tau = -1 / ln f, with f the mean of its gate over
rows and steps. Half is left after tau ln 2 steps. Unit: steps.
Paper: Tallec & Ollivier 2018, https://arxiv.org/abs/1804.11188, section 2: a
gate's value is the inverse of the time that a unit remembers. Their 1 / (1 - f)
is tau + 1/2 up to terms in 1 / tau.
"""

from collections.abc import Iterable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.intermediates import Shown, look
from memjax.analysis.reading import readings
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params

KEPT = ('forget_gate', 'update_gate')  # of its last value, by each unit


class ByLag(NamedTuple):
  """Where attention lies.

  Attributes:
    share: {path: `(N, H, R)`}, entry d what lies d steps back; no number where
      no step had a label.
    steps: how many had one.
  """

  share: dict[str, np.ndarray]
  steps: int


class TimeConstants(NamedTuple):
  """How long units remember.

  Attributes:
    kept: {path: `(N, D)`}, f, the mean of each gate.
    steps: {path: `(N, D)`}, tau; infinite where f is 1.
  """

  kept: dict[str, np.ndarray]
  steps: dict[str, np.ndarray]


def read_by_lag(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> ByLag:
  """Attention of every head to what lies 0, 1, 2, ... steps back.

  Args:
    model: any memory that shows `lag_weights`.
    params_N: its parameters, `(N, ...)`.
    task: which rows, and which of their steps have labels.
    batch_size: rows read at once.
    batches: so many times.
    seed: of the rows.

  Raises:
    ConfigError: the model attends to no past of its own.
  """

  def sums(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
    carry, _, shown = look(model, params, carry, batch.inputs, batch.reset_BT)
    labels_BT = jnp.where(batch.loss_weights_BT > 0, 1.0, 0.0)
    by_lag = {
      path: jnp.einsum('bt,bthr->hr', labels_BT, weights)
      for path, weights in shown.items()
      if path.endswith('lag_weights')
    }
    rule = 'shows no attention to its own past'
    require(bool(by_lag), 'model', type(model).__name__, rule)
    return carry, (by_lag, labels_BT.sum())

  found = readings(model, params_N, task, sums, batch_size, batches, seed)
  total, steps_N = _summed(found)
  with np.errstate(invalid='ignore'):
    share = {path: sums / steps_N[0] for path, sums in total.items()}
  return ByLag(share, int(steps_N[0]))


def time_constants(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> TimeConstants:
  """For how many steps each unit keeps what it has.

  Args:
    model: any memory that shows a gate named in `KEPT`.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    batch_size: rows read at once.
    batches: so many times.
    seed: of the rows.

  Raises:
    ConfigError: the model has no gate that keeps its units' values.
  """

  def means(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Shown]:
    carry, _, shown = look(model, params, carry, batch.inputs, batch.reset_BT)
    kept = {
      path: gate_BTD.mean((0, 1)) / batches
      for path, gate_BTD in shown.items()
      if path.rpartition('/')[2] in KEPT
    }
    rule = 'shows no gate that keeps the values of its units'
    require(bool(kept), 'model', type(model).__name__, rule)
    return carry, kept

  found = readings(model, params_N, task, means, batch_size, batches, seed)
  kept = _summed(found)
  with np.errstate(divide='ignore'):
    steps = {path: 1 / np.abs(np.log(f)) for path, f in kept.items()}
  return TimeConstants(kept, steps)


def _summed(found: Iterable[Any]) -> Any:
  """The sum of trees of arrays, in float64."""
  exact = (jax.tree.map(np.float64, tree) for tree in found)
  return functools.reduce(lambda a, b: jax.tree.map(np.add, a, b), exact)
