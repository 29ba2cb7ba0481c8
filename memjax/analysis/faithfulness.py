"""Whether the entries that a memory says it reads are those that it uses."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import (
  Finding,
  Instrument,
  Places,
  Result,
  loss_unit,
  tidy,
)
from memjax.analysis.intermediates import look, shown_paths
from memjax.analysis.programs import (
  forward,
  initial_carry,
  measure_last,
  replicas_of,
)
from memjax.analysis.section import Section
from memjax.analysis.segment_boundaries import last_labels
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Params

READS, LAGS = 'read_weights', 'lag_weights'
NOT_SHOWN = 'the model shows no weights of entries that its carry holds'
ORDERS = ('by weight', 'at random')


class DeletionLosses(NamedTuple):
  """The loss at a label once entries of the carry are deleted.

  Attributes:
    deleted: `(K,)`, numbers of entries.
    loss: {order: `(N, K)`} for each of ORDERS.
  """

  deleted: np.ndarray
  loss: dict[str, np.ndarray]

  @property
  def faithfulness(self) -> np.ndarray:
    """`(N,)`, the mean over K of the loss by weight minus that at random."""
    by_weight, random = (self.loss[order] for order in ORDERS)
    return (by_weight - random).mean(axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faithfulness(Instrument[DeletionLosses]):
  """What it costs to delete the entries that are read most, or random ones.

  Attributes:
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows and of the random orders.
  """

  title = 'Faithfulness of reads'
  order = 95
  in_report = False
  definition = """
    Each row is read up to its last label. The weights that the memory shows at
    the label's step, a mean over heads and layers, put the entries of its carry
    in an order: slots, or the steps of a window. The first k of them are set to
    their initial value in every layer, and the label's step is read again. The
    same is done in a random order. Faithfulness is the area between the two:

        mean over k of loss(k by weight) - loss(k at random),  k = 1, 2, 4 ... M

    It is above 0 if the shown weights say which entries the answer depends on,
    and about 0 if they say nothing. A deleted entry of a window keeps its
    place, and its key is 0.

    Paper: the comprehensiveness of DeYoung et al. 2020, ERASER,
    https://arxiv.org/abs/1911.03429, with entries of a memory for words, beside
    random deletion.

    Units: loss in nats per label for classes, otherwise the task's.
    """

  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if entries(model, shown_paths(model, task)) else NOT_SHOWN

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[DeletionLosses]:
    sizes = self.batch_size, self.batches, self.seed
    found = deletion_losses(model, params_N, task, *sizes)
    axes: dict[str, Places] = {
      'replica': range(len(found.faithfulness)),
      'deleted': found.deleted,
    }
    figures = {
      f'loss_{order.replace(" ", "_")}': loss
      for order, loss in found.loss.items()
    }
    units = {'replica': '', 'deleted': 'entries'}
    units |= dict.fromkeys(figures, loss_unit(task))
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[DeletionLosses]]) -> Section:
    curves = panels(
      results,
      lambda found: {
        f'loss, deleted {order}': (found.deleted, loss)
        for order, loss in found.loss.items()
      },
    )
    return Section(
      self.title, self.definition, line_plots(curves, 'deleted entries')
    )

  def findings(
    self, results: Mapping[str, Result[DeletionLosses]]
  ) -> dict[str, Finding]:
    return {
      run: Finding({'faithfulness': f'{np.median(r.arrays.faithfulness):+.3g}'})
      for run, r in results.items()
    }


def entries(model: Memory, paths: list[str]) -> int:
  """M, the number of entries with shown weights; 0 if there are none."""
  if not any(path.endswith((READS, LAGS)) for path in paths):
    return 0
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  sizes = [leaf.shape[1] for leaf in jax.tree.leaves(carry) if leaf.ndim > 2]
  return max(sizes, default=0)


def weights_of(shown: Mapping[str, jax.Array], number: int) -> jax.Array:
  """`(B, M)`, the weight of each entry at the last step.

  Args:
    shown: what the model shows, {path: `(B, T, H, ...)`}.
    number: M.
  """
  found = [jnp.zeros(())]
  for path, weights in shown.items():
    last_BH = weights[:, -1]
    if path.endswith(READS) and last_BH.shape[-1] == number:
      found.append(last_BH.mean(axis=1))
    # The newest entry is the last one: lag 1.
    elif path.endswith(LAGS) and last_BH.shape[-1] > number:
      found.append(last_BH.mean(axis=1)[:, number:0:-1])
  require(len(found) > 1, 'model', '', NOT_SHOWN)
  return sum(found[1:], found[1] * 0)


def deletion_losses(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 32,
  batches: int = 4,
  seed: int = 0,
) -> DeletionLosses:
  """Deletes entries in both orders at the last label of each row.

  Args:
    model: a memory that shows weights of the entries of its carry.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows and of the random orders.

  Raises:
    ConfigError: the model shows no such weights, or a row has no label.
  """
  number = entries(model, shown_paths(model, task))
  require(number > 0, 'model', type(model).__name__, NOT_SHOWN)
  deleted = np.unique([*(2 ** np.arange(number.bit_length())), number])

  stream = Stream(seed, streams.NUMBER, batch_size)
  random, replicas = np.random.default_rng(seed), replicas_of(params_N)
  empty_N = initial_carry(model, replicas, batch_size)
  losses: list[Any] = []
  for step in range(batches):
    before, now = last_labels(streams.batch_at(task, stream, step))
    carry_N, _ = forward(
      model, params_N, empty_N, before.inputs, before.reset_BT
    )
    shuffled = random.random((replicas, batch_size, number)).argsort(-1)
    shown = by_weight(model, params_N, carry_N, now, number)
    label = jax.tree.map(lambda x: x[:, 0], now)
    for places_NBM in (shown, jnp.asarray(shuffled)):
      for k in deleted:
        left_N = without(empty_N, carry_N, places_NBM < k, number)
        _, y_N = forward(model, params_N, left_N, now.inputs, now.reset_BT)
        losses.append(measure_last(task, y_N, label)['loss'])
  sums, counts = (
    np.stack([np.float64(part).sum(-1) for part in parts])
    for parts in zip(*((m.sum, m.count) for m in losses), strict=True)
  )
  shape = batches, len(ORDERS), len(deleted), replicas
  mean = sums.reshape(shape).sum(0) / counts.reshape(shape).sum(0)
  by_order = {name: mean[i].T for i, name in enumerate(ORDERS)}
  return DeletionLosses(deleted, by_order)


@functools.partial(jax.jit, static_argnums=(0, 4))
def by_weight(
  model: Memory, params_N: Params, carry_N: Carry, now: Batch, number: int
) -> jax.Array:
  """`(N, B, M)`, the place of each entry by its weight, from 0."""

  def one(params: Params, carry: Carry) -> jax.Array:
    *_, shown = look(model, params, carry, now.inputs, now.reset_BT)
    weights_BM = weights_of(shown, number)
    return jnp.argsort(jnp.argsort(-weights_BM, axis=1), axis=1)

  return jax.vmap(one)(params_N, carry_N)


def without(
  empty_N: Carry, carry_N: Carry, gone_NBM: jax.Array, number: int
) -> Carry:
  """The carry with entries at their initial value."""

  def one(empty: jax.Array, leaf: jax.Array) -> jax.Array:
    if leaf.ndim <= 3 or leaf.shape[2] != number:
      return leaf
    gone = gone_NBM.reshape(gone_NBM.shape + (1,) * (leaf.ndim - 3))
    return jnp.where(gone, empty, leaf)

  return jax.tree.map(one, empty_N, carry_N)
