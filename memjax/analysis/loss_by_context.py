"""The loss by how much context a memory is given.

Definition: l(c, t) is the loss on label t when the model has read exactly the
last c inputs, that of the label's own step among them, from an empty memory. In
language modelling these are the c tokens before the one to be said. The figures
are means of l(c, t) over the same labels for every c: those labels that have
the longest of the contexts whole behind them, with no reset within. The loss
stops falling where more context is of no use to the model. RECL, in `recl.py`,
makes a length of it.

Paper: the same labels with ever longer contexts are how Khandelwal et al. 2018,
https://arxiv.org/abs/1805.04623, define effective context.
Units: contexts in inputs (tokens, steps); losses as the task has them, nats per
label for classes; accuracy as a share of labels.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Stream, Task
from memjax.types import HostBatch, Metrics, Params

Read = Callable[..., tuple[Metrics, jax.Array, jax.Array]]


class LossByContext(NamedTuple):
  """What P labels cost, given C contexts.

  Attributes:
    contexts: `(C,)` int, rising.
    loss: `(N, C)` float64, the mean over the labels.
    accuracy: `(N, C)` float64; no number where the task has none.
    losses: `(N, C, P)` float64, label by label.
    labels: `(P, 3)` int, which: step, row and place in the row.
  """

  contexts: np.ndarray
  loss: np.ndarray
  accuracy: np.ndarray
  losses: np.ndarray
  labels: np.ndarray


def loss_by_context(
  model: Memory,
  params_N: Params,
  task: Task,
  contexts: Sequence[int],
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  labels: int = 64,
) -> LossByContext:
  """Reads a window for each label, with every context and every replica.

  One program serves all contexts: windows are as long as the longest, and a
  reset cuts the shorter ones. It reads C x `labels` x `batches` windows, of
  which `labels` x N are in memory at once.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: any; a text is read over the borders of its segments.
    contexts: `(C,)` rising ints of at least 1.
    batch_size: rows of a batch, lanes of a text.
    batches: how many, or all of the epoch if it has fewer.
    seed: of the rows, and of the labels drawn.
    labels: how many are drawn of a batch, or all that it has.

  Raises:
    ConfigError: the contexts do not rise, or no label has the longest.
  """
  rising = len(contexts) > 0 and bool(np.all(np.diff([0, *contexts]) > 0))
  rule = 'must be rising, from 1 or more on'
  require(rising, 'contexts', list(contexts), rule)
  segments = 1
  if streams.goes_on(task, batch_size):
    segments += -(-(contexts[-1] - 1) // task.length)
  labels = min(labels, batch_size * task.length)
  read = _reader(model, task, contexts, labels)
  stream = Stream(seed, streams.NUMBER, batch_size)
  parts = []
  for step in streams.steps(task, batch_size, segments - 1, batches):
    key = jax.random.fold_in(jax.random.key(seed), step)
    feeds = streams.feeds(task, stream, step, segments)
    found, there_P, label_P = jax.device_get(read(params_N, feeds, key))
    label_P = np.insert(label_P, 0, step, axis=1)
    label_P[:, 2] -= (segments - 1) * task.length
    parts.append(_kept(there_P, found, label_P))
  rule = 'no label has so many inputs behind it'
  require(any(len(x) for _, x in parts), 'contexts', contexts[-1], rule)
  found = jax.tree.map(_joined, *(found for found, _ in parts))
  totals = jax.tree.map(lambda x: x.sum(-1), found)
  mean = {name: metric.value() for name, metric in totals.items()}
  nothing = np.full_like(mean['loss'], np.nan)
  return LossByContext(
    contexts=np.asarray(contexts),
    loss=mean['loss'],
    accuracy=mean.get('accuracy', nothing),
    losses=found['loss'].value(),
    labels=np.concatenate([x for _, x in parts]),
  )


def contexts(task: Task, batch_size: int = 64) -> np.ndarray:
  """1, 2, 4 and so on: as many inputs as half of the labels have behind them.

  Of a text, up to twice the length of a segment.
  """
  if streams.goes_on(task, batch_size):
    last = task.epoch_steps(batch_size)
    most = (min(2, last - 1) if last else 2) * task.length
  else:
    stream = Stream(0, streams.NUMBER, batch_size)
    feed = task.rows(stream, 0, np.arange(batch_size))
    _, place = np.nonzero(jax.jit(task.batch)(feed).loss_weights_BT)
    most = int(np.median(place)) + 1
  return 2 ** np.arange(most.bit_length())


def _reader(
  model: Memory, task: Task, contexts: Sequence[int], labels: int
) -> Read:
  """Sums and counts `(C, N, P)`, which labels there are, and their places."""
  window = int(contexts[-1])

  @jax.jit
  def read(
    params_N: Params, feeds: tuple[HostBatch, ...], key: jax.Array
  ) -> tuple[Metrics, jax.Array, jax.Array]:
    lane = streams.lane(task, feeds)
    there_P, row_P, place_P = streams.draw(
      lane, task.length, window, labels, key
    )
    read_PT = place_P[:, None] - jnp.arange(window)[None, ::-1]
    inputs = lane.inputs[row_P[:, None], read_PT]
    asked = jax.tree.map(lambda x: x[row_P, place_P][:, None, None], lane)

    def given(context: jax.Array) -> Metrics:
      reset_T = jnp.arange(window) == window - context
      reset_PT = jnp.broadcast_to(reset_T, (labels, window))
      carry = model.initial_carry(labels)

      def one(params: Params) -> Metrics:
        _, y = apply(model, params, carry, inputs, reset_PT)
        metrics = jax.vmap(task.measure)(y[:, None, -1:], asked)
        return {k: metrics[k] for k in ('loss', 'accuracy') if k in metrics}

      return jax.vmap(one)(params_N)

    found = jax.lax.map(given, jnp.asarray(contexts))
    return found, there_P, jnp.stack([row_P, place_P], axis=1)

  return read


def _kept(
  there_P: np.ndarray, found: Any, label_P: np.ndarray
) -> tuple[Any, np.ndarray]:
  return jax.tree.map(lambda x: x[..., there_P], found), label_P[there_P]


def _joined(*xs_CNP: np.ndarray) -> np.ndarray:
  return np.concatenate(xs_CNP, -1, dtype=np.float64).swapaxes(0, 1)
