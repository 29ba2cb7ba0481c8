"""The loss by the number of inputs that a model has read."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import recl, streams
from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import Instrument, Places, Result, metric_units, tidy
from memjax.analysis.section import Section
from memjax.errors import ConfigError, require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Stream, Task
from memjax.types import HostBatch, Metrics, Params

Read = Callable[..., tuple[Metrics, jax.Array, jax.Array]]


class ContextLosses(NamedTuple):
  """The loss on P labels for each of C context lengths.

  Attributes:
    contexts: `(C,)` int, increasing.
    loss: `(N, C)` float64, the mean over the labels.
    accuracy: `(N, C)` float64; NaN where the task has no accuracy.
    losses: `(N, C, P)` float64, of each label.
    labels: `(P, 3)` int, of each label the step, the row and the position.
  """

  contexts: np.ndarray
  loss: np.ndarray
  accuracy: np.ndarray
  losses: np.ndarray
  labels: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossByContext(Instrument[ContextLosses]):
  """The loss by context length, and the length beyond which it stops falling.

  Attributes:
    batch_size: rows in a batch.
    batches: number of batches.
    labels: labels drawn from a batch.
    seed: of the rows and of the labels.
  """

  title = 'Loss by context'
  order = 20
  definition = f"""
    The loss l(c, t) on label t when the model has read exactly the last c
    inputs, the input of the label's own step included, from an empty memory. In
    language modelling these are the c tokens before the predicted one. Every
    figure is a mean over the same labels: those that have the longest context
    behind them with no reset inside. Where the curve becomes flat, more context
    does not help the model.

    Paper: Khandelwal et al. 2018, https://arxiv.org/abs/1805.04623, who measure
    the same labels with longer and longer contexts.

    Units: contexts in inputs; losses in nats per label for classes, otherwise
    as the task defines them.
    {recl.DEFINITION}"""

  batch_size: int = 32
  batches: int = 4
  labels: int = 64
  seed: int = 0

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[ContextLosses]:
    found = loss_by_context(
      model,
      params_N,
      task,
      contexts(task, self.batch_size).tolist(),
      self.batch_size,
      self.batches,
      self.seed,
      self.labels,
    )
    axes: dict[str, Places] = {
      'replica': range(len(found.loss)),
      'context': found.contexts,
    }
    figures = {'loss': found.loss, 'accuracy': found.accuracy}
    units = {'replica': '', 'context': 'inputs'} | metric_units(task, figures)
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[ContextLosses]]) -> Section:
    curves = panels(results, lambda f: {'loss': (f.contexts, f.loss)})
    plots = line_plots(curves, 'context, inputs', xscale='log')
    try:
      table = recl.table({run: r.arrays for run, r in results.items()})
    except ConfigError as error:  # the runs have different tasks
      notes = [f'RECL: {error}']
      return Section(self.title, self.definition, plots, notes=notes)
    return Section(self.title, self.definition, plots, tables=[table])


def loss_by_context(
  model: Memory,
  params_N: Params,
  task: Task,
  contexts: Sequence[int],
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  labels: int = 64,
) -> ContextLosses:
  """Reads a window for each label, with every context and every replica.

  One program serves all contexts: all windows have the longest length, and a
  reset shortens them. It reads C x `labels` x `batches` windows and has
  `labels` x N of them in memory at once.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: any; the windows of a text cross its segment boundaries.
    contexts: `(C,)` increasing ints of at least 1.
    batch_size: rows of a batch, streams of a text.
    batches: number of batches, at most; an epoch may have fewer.
    seed: of the rows and of the labels.
    labels: labels drawn from a batch, at most; a batch may have fewer.

  Raises:
    ConfigError: the contexts do not increase, or no label has the longest.
  """
  increasing = len(contexts) > 0 and bool(np.all(np.diff([0, *contexts]) > 0))
  rule = 'must increase and start at 1 or more'
  require(increasing, 'contexts', list(contexts), rule)
  segments = 1
  if task.carry_over:
    segments += -(-(contexts[-1] - 1) // task.length)
  labels = min(labels, batch_size * task.length)
  read = _reader(model, task, contexts, labels)
  stream = Stream(seed, streams.NUMBER, batch_size)
  parts = []
  for step in streams.steps(task, batch_size, segments - 1, batches):
    key = jax.random.fold_in(jax.random.key(seed), step)
    feeds = streams.feeds(task, stream, step, segments)
    found, drawn_P, label_P = jax.device_get(read(params_N, feeds, key))
    label_P = np.insert(label_P, 0, step, axis=1)
    label_P[:, 2] -= (segments - 1) * task.length
    parts.append(_select(drawn_P, found, label_P))
  rule = 'no label has this number of inputs behind it'
  require(any(len(x) for _, x in parts), 'contexts', contexts[-1], rule)
  found = jax.tree.map(_join, *(found for found, _ in parts))
  totals = jax.tree.map(lambda x: x.sum(-1), found)
  mean = {name: metric.value() for name, metric in totals.items()}
  nothing = np.full_like(mean['loss'], np.nan)
  return ContextLosses(
    contexts=np.asarray(contexts),
    loss=mean['loss'],
    accuracy=mean.get('accuracy', nothing),
    losses=found['loss'].value(),
    labels=np.concatenate([x for _, x in parts]),
  )


def contexts(task: Task, batch_size: int = 64) -> np.ndarray:
  """1, 2, 4, ... up to the number of inputs that half of the labels have.

  For a text, up to twice the length of a segment.
  """
  if task.carry_over:
    last = task.epoch_steps(batch_size)
    longest = (min(2, last - 1) if last else 2) * task.length
  else:
    stream = Stream(0, streams.NUMBER, batch_size)
    feed = task.rows(stream, 0, np.arange(batch_size))
    _, place = np.nonzero(jax.jit(task.batch)(feed).loss_weights_BT)
    longest = int(np.median(place)) + 1
  return 2 ** np.arange(longest.bit_length())


def _reader(
  model: Memory, task: Task, contexts: Sequence[int], labels: int
) -> Read:
  """Sums and counts `(C, N, P)`, which labels were drawn, and their places."""
  window = int(contexts[-1])

  @jax.jit
  def read(
    params_N: Params, feeds: tuple[HostBatch, ...], key: jax.Array
  ) -> tuple[Metrics, jax.Array, jax.Array]:
    joined = streams.join(task, feeds)
    drawn_P, row_P, place_P = streams.draw(
      joined, task.length, window, labels, key
    )
    read_PT = place_P[:, None] - jnp.arange(window)[None, ::-1]
    inputs = joined.inputs[row_P[:, None], read_PT]
    label = jax.tree.map(lambda x: x[row_P, place_P][:, None, None], joined)

    def given(context: jax.Array) -> Metrics:
      reset_T = jnp.arange(window) == window - context
      reset_PT = jnp.broadcast_to(reset_T, (labels, window))
      carry = model.initial_carry(labels)

      def one(params: Params) -> Metrics:
        _, y = apply(model, params, carry, inputs, reset_PT)
        metrics = jax.vmap(task.measure)(y[:, None, -1:], label)
        return {k: metrics[k] for k in ('loss', 'accuracy') if k in metrics}

      return jax.vmap(one)(params_N)

    found = jax.lax.map(given, jnp.asarray(contexts))
    return found, drawn_P, jnp.stack([row_P, place_P], axis=1)

  return read


def _select(
  drawn_P: np.ndarray, found: Any, label_P: np.ndarray
) -> tuple[Any, np.ndarray]:
  return jax.tree.map(lambda x: x[..., drawn_P], found), label_P[drawn_P]


def _join(*xs_CNP: np.ndarray) -> np.ndarray:
  return np.concatenate(xs_CNP, -1, dtype=np.float64).swapaxes(0, 1)
