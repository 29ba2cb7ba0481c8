"""Whether a memory is used: what it costs to lose it, or to get another's.

Definition: where the memory is handed over (`borders.py`), a leaf of the carry,
or all of them, is

    removed    what it is when nothing has been read
    shuffled   that of the row before, the last one's for the first
    noised     itself plus normal noise, as large as the leaf's own standard
               deviation over the rows, number by number

and the batch after the border is read with it. The rise is its loss less the
loss with the memory as it was; the fall, accuracy as it was less the accuracy
then. Both are means over all labels that follow borders, those that could do
without the memory too. What is not used costs exactly 0. A leaf of integers or
truth values is not noised: no number of it; with all leaves the others are.

Paper: none.
Units: losses as the task has them, nats per label for classes; accuracy as a
share of labels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.segment_boundaries import borders, is_float, leaf_names
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Metrics, Params

WAYS = ('removed', 'shuffled', 'noised')
Read = Callable[[Params, Carry, Batch, jax.Array], Metrics]


class KnockOut(NamedTuple):
  """What the memory is worth, all of it and each of its K leaves.

  Attributes:
    leaves: 'all', and then the names of the leaves.
    loss: `(N,)` float64, with the memory as it was.
    accuracy: `(N,)` float64; no number where the task has none.
    loss_rise: {way: `(N, 1 + K)`}, ways being 'removed', 'shuffled', 'noised'.
    accuracy_fall: the same of accuracies.
  """

  leaves: tuple[str, ...]
  loss: np.ndarray
  accuracy: np.ndarray
  loss_rise: dict[str, np.ndarray]
  accuracy_fall: dict[str, np.ndarray]


def knock_out(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  cut: int = 0,
) -> KnockOut:
  """Reads what follows each border 1 + 3 (1 + K) times with every replica.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: of a text, the borders are those of its segments.
    batch_size: rows, at least 2.
    batches: how many borders, or all of the epoch if it has fewer.
    seed: of the rows and of the noise.
    cut: of an episode, the step that it is cut before; 0: the middle.

  Raises:
    ConfigError: the model has no carry, there is no other row, no label follows
      a border, or the cut is not within an episode.
  """
  require(batch_size >= 2, 'batch_size', batch_size, 'must be at least 2')
  leaves = ('all', *leaf_names(model))
  read = _reader(model, task)
  totals: Any = None
  for border, (carry_N, after) in enumerate(
    borders(model, params_N, task, cut, batch_size, batches, seed)
  ):
    key = jax.random.fold_in(jax.random.key(seed), border)
    sums = jax.device_get(read(params_N, carry_N, after, key))
    sums = jax.tree.map(np.float64, sums)
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
  labels = 0 if totals is None else totals['loss'].count.sum()
  require(labels > 0, 'cut', cut, 'no label follows a border')
  mean = {name: metric.value() for name, metric in totals.items()}
  loss, accuracy = mean['loss'], mean.get('accuracy', mean['loss'] * np.nan)
  return KnockOut(
    leaves,
    loss[:, 0],
    accuracy[:, 0],
    _by_way(loss[:, 1:] - loss[:, :1], model),
    _by_way(accuracy[:, :1] - accuracy[:, 1:], model),
  )


def _reader(model: Memory, task: Task) -> Read:
  """Sums and counts `(N, 1 + 3 (1 + K))`, of the memory as it was first."""
  leaves = len(leaf_names(model))
  none, every = np.zeros((1, leaves), bool), np.ones((1, leaves), bool)
  each = np.eye(leaves, dtype=bool)
  lost = np.concatenate([none, *[every, each] * len(WAYS)])
  ways = np.append(0, np.repeat(np.arange(len(WAYS)), 1 + leaves))

  @jax.jit
  def read(
    params_N: Params, carry_N: Carry, after: Batch, key: jax.Array
  ) -> Metrics:
    def one(params: Params, carry: Carry) -> Metrics:
      as_was, structure = jax.tree.flatten(carry)
      others = _others(model, as_was, key)

      def case(way: jax.Array, lost: jax.Array) -> Metrics:
        held = [
          jnp.where(lost[i], jax.lax.select_n(way, *others[i]), leaf)
          for i, leaf in enumerate(as_was)
        ]
        carry = jax.tree.unflatten(structure, held)
        _, y = apply(model, params, carry, after.inputs, after.reset_BT)
        metrics = task.measure(y, after)
        return {k: metrics[k] for k in ('loss', 'accuracy') if k in metrics}

      cases = jnp.asarray(ways, jnp.int32), jnp.asarray(lost)
      return jax.lax.map(lambda x: case(*x), cases)

    return jax.vmap(one)(params_N, carry_N)

  return read


def _others(
  model: Memory, leaves: list[jax.Array], key: jax.Array
) -> list[tuple[jax.Array, ...]]:
  """What stands in for each leaf, in the order of `WAYS`."""
  fresh = jax.tree.leaves(model.initial_carry(len(leaves[0])))
  found: list[tuple[jax.Array, ...]] = []
  for i, (leaf, first) in enumerate(zip(leaves, fresh, strict=True)):
    noised = leaf
    if is_float(leaf):
      noise = jax.random.normal(jax.random.fold_in(key, i), leaf.shape)
      noised += noise.astype(leaf.dtype) * leaf.std(axis=0, keepdims=True)
    found.append((first, jnp.roll(leaf, 1, axis=0), noised))
  return found


def _by_way(figures: np.ndarray, model: Memory) -> dict[str, np.ndarray]:
  """{way: `(N, 1 + K)`}, no number where nothing is noised."""
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  floats = [is_float(leaf) for leaf in jax.tree.leaves(carry)]
  found = dict(zip(WAYS, np.split(figures, len(WAYS), axis=1), strict=True))
  noisy = np.array([any(floats), *floats])
  return found | {'noised': np.where(noisy, found['noised'], np.nan)}
