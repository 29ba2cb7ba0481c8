"""The loss by the number of inputs that a model has read."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from memjax.analysis import recl, streams
from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import Instrument, Places, Result, metric_units, tidy
from memjax.analysis.programs import (
  forward,
  initial_carry,
  measure_last,
  replicas_of,
)
from memjax.analysis.score_by_distance import bin_edges
from memjax.analysis.section import Section
from memjax.errors import ConfigError, require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Carry, Metrics, Params

LABEL_DISTANCE = 'label_distance'  # a task's score axis


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

  One program of the task's length serves all contexts. It reads C x `labels` x
  `batches` windows, `batch_size` at once.

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
  stream = Stream(seed, streams.NUMBER, batch_size)
  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  places, parts = [], []
  for step in streams.steps(task, batch_size, segments - 1, batches):
    batch = streams.joined(task, stream, step, segments)
    seeds = seed, step
    drawn = streams.draw(batch, task.length, contexts[-1], labels, seeds)
    before = (segments - 1) * task.length
    step_P = np.full_like(drawn.rows, step)
    places.append(np.stack([step_P, drawn.rows, drawn.places - before], 1))
    for i, part in enumerate(drawn.chunks(batch_size)):
      found = _read(model, params_N, task, carry_N, batch, part, contexts)
      parts.append(_first(found, len(drawn.rows) - i * batch_size))
  rule = 'no label has this number of inputs behind it'
  require(bool(parts), 'contexts', contexts[-1], rule)
  metrics = jax.tree.map(lambda *xs: np.concatenate(xs, -1), *parts)
  totals = jax.tree.map(lambda x: x.sum(-1), metrics)
  mean = {name: metric.value() for name, metric in totals.items()}
  nothing = np.full_like(mean['loss'], np.nan)
  return ContextLosses(
    contexts=np.asarray(contexts),
    loss=mean['loss'],
    accuracy=mean.get('accuracy', nothing),
    losses=metrics['loss'].value(),
    labels=np.concatenate(places),
  )


def contexts(task: Task, batch_size: int = 32) -> np.ndarray:
  """1, 2, 4, ... and the longest, which the farthest label needs.

  The longest is one more than the largest label distance. Without distances it
  is the number of inputs that half of the rows have behind their last label.
  For a text, it is twice the length of a segment.
  """
  if task.carry_over:
    last = task.epoch_steps(batch_size)
    longest = (min(2, last - 1) if last else 2) * task.length
  elif task.score_axis == LABEL_DISTANCE:
    longest = int(bin_edges(task)[-1])
  else:
    batch = streams.batch_at(task, Stream(0, streams.NUMBER, batch_size), 0)
    row, place = np.nonzero(batch.loss_weights_BT)
    longest = int(np.median([place[row == r].max() for r in set(row)])) + 1
  doubled = 2 ** np.arange(longest.bit_length())
  return np.union1d(doubled, longest)


def _first(metrics: Metrics, labels: int) -> Metrics:
  """Without the labels that fill the last chunk."""
  return jax.tree.map(lambda x: x[..., :labels], metrics)


def _read(
  model: Memory,
  params_N: Params,
  task: Task,
  carry_N: Carry,
  batch: Batch,
  labels: streams.Labels,
  contexts: Sequence[int],
) -> Metrics:
  """Sums and counts `(N, C, B)` of labels, each read with every context.

  A window ends at its label. It is read in segments of the task's length, from
  the one with its first input on; a reset hides what stands before it.
  """
  row_B, place_B = labels
  length = task.length
  label = jax.tree.map(lambda x: x[row_B, place_B], batch)
  found = []
  for context in contexts:
    whole = -(-context // length) * length
    read_BT = place_B[:, None] - np.arange(whole)[::-1]
    inputs = batch.inputs[row_B[:, None], read_BT]
    reset_BT = np.zeros(inputs.shape[:2], bool)
    reset_BT[:, whole - context] = True
    carry = carry_N
    for first in range(0, whole, length):
      here = np.s_[:, first : first + length]
      carry, y_N = forward(model, params_N, carry, inputs[here], reset_BT[here])
    metrics = measure_last(task, y_N, label)
    found.append({k: metrics[k] for k in ('loss', 'accuracy') if k in metrics})
  return jax.tree.map(
    lambda *xs: np.stack(xs, 1, dtype=np.float64), *jax.device_get(found)
  )
