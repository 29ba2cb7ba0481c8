"""The loss by the number of inputs that a model has read."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from memjax.analysis import recl
from memjax.analysis.across_runs import (
  SPACE,
  format_median,
  line_plots,
  panels,
  run_table,
)
from memjax.analysis.base import (
  Finding,
  Instrument,
  Places,
  Result,
  metric_units,
  tidy,
)
from memjax.analysis.programs import (
  forward,
  initial_carry,
  measure_last,
  replicas_of,
)
from memjax.analysis.section import Section
from memjax.analysis.windows import Windows, collect_windows, contexts
from memjax.errors import ConfigError, require
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Carry, Metrics, Params


class ContextLosses(NamedTuple):
  """The loss on P labels for each of C context lengths.

  Attributes:
    contexts: `(C,)` int, increasing.
    loss: `(N, C)` float64, the mean over the labels.
    accuracy: `(N, C)` float64; NaN where the task has no accuracy.
    losses: `(N, C, P)` float64, of each label.
    labels: `(P, 3)` int, of each label the step, the row and the position.
    episodes: whether rows are independent, so that no context exceeds a row.
  """

  contexts: np.ndarray
  loss: np.ndarray
  accuracy: np.ndarray
  losses: np.ndarray
  labels: np.ndarray
  episodes: bool = False


FLAT = 0.01  # nats, about 1% of the perplexity
USEFUL, AT_LEAST = 'useful context', f'≥{SPACE}'
NO_RECL = (
  'RECL does not apply to episodes: a label needs the one input that answers'
  ' it, and every step to a longer context without this input gains nothing.'
)


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
    does not help the model. The longest context of an episode is the whole row
    up to the label, so that the farthest input a label needs is in it.

    Useful context: the shortest context whose loss is at most 0.01 above the
    lowest loss of any context.

    Paper: Khandelwal et al. 2018, https://arxiv.org/abs/1805.04623, who measure
    the same labels with longer and longer contexts.

    Units: contexts in inputs; losses in nats per label for classes, otherwise
    as the task defines them.
    {recl.DEFINITION}"""

  batch_size: int = 32
  batches: int = 32
  labels: int = 8
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
    found = {run: result.arrays for run, result in results.items()}
    cells = {run: {USEFUL: _useful(of)} for run, of in found.items()}
    tables = [run_table(cells, 'Useful context, in inputs')]
    labels = min(len(of.labels) for of in found.values())
    notes = [f'Each figure is a mean over {labels} labels.']
    if any(of.episodes for of in found.values()):
      notes.append(NO_RECL)
      return Section(self.title, self.definition, plots, (), tables, notes)
    try:
      tables.append(recl.table(found))
    except ConfigError as error:  # the runs have different texts
      notes.append(f'RECL: {error}')
    return Section(self.title, self.definition, plots, (), tables, notes)

  def findings(
    self, results: Mapping[str, Result[ContextLosses]]
  ) -> dict[str, Finding]:
    return {run: _finding(result.arrays) for run, result in results.items()}


def _finding(found: ContextLosses) -> Finding:
  useful = _useful(found)
  clause = f'it gains from context up to {useful.lstrip(AT_LEAST)} inputs'
  if useful.startswith('≥'):
    clause += ', the longest tried'
  cells = {'useful context, inputs': useful}
  return Finding(cells, '' if found.episodes else clause)


def _useful(found: ContextLosses) -> str:
  """The useful context, the median over replicas."""
  near_NC = found.loss <= found.loss.min(1, keepdims=True) + FLAT
  shortest_N = found.contexts[near_NC.argmax(1)]
  return format_median(shortest_N, found.contexts[-1])


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
  carry_N = initial_carry(model, replicas_of(params_N), batch_size)
  windows = collect_windows(
    task, contexts[-1], batch_size, batches, seed, labels
  )
  parts = []
  for part, count in windows.chunks(batch_size):
    found = _read(model, params_N, task, carry_N, part, contexts)
    parts.append(jax.tree.map(lambda x, c=count: x[..., :c], found))
  metrics = jax.tree.map(lambda *xs: np.concatenate(xs, -1), *parts)
  totals = jax.tree.map(lambda x: x.sum(-1), metrics)
  mean = {name: metric.value() for name, metric in totals.items()}
  nothing = np.full_like(mean['loss'], np.nan)
  return ContextLosses(
    contexts=np.asarray(contexts),
    loss=mean['loss'],
    accuracy=mean.get('accuracy', nothing),
    losses=metrics['loss'].value(),
    labels=windows.places,
    episodes=not task.carry_over,
  )


def _read(
  model: Memory,
  params_N: Params,
  task: Task,
  carry_N: Carry,
  windows: Windows,
  contexts: Sequence[int],
) -> Metrics:
  """Sums and counts `(N, C, B)` of labels, each read with every context.

  A window is read in segments of the task's length, from the one with its first
  input on; a reset hides what stands before it.
  """
  length, steps = task.length, windows.inputs.shape[1]
  found = []
  for context in contexts:
    reset_BT = np.zeros(windows.inputs.shape[:2], bool)
    reset_BT[:, steps - context] = True
    carry = carry_N
    for first in range((steps - context) // length * length, steps, length):
      here = np.s_[:, first : first + length]
      carry, y_N = forward(
        model, params_N, carry, windows.inputs[here], reset_BT[here]
      )
    metrics = measure_last(task, y_N, windows.label)
    found.append({k: metrics[k] for k in ('loss', 'accuracy') if k in metrics})
  return jax.tree.map(
    lambda *xs: np.stack(xs, 1, dtype=np.float64), *jax.device_get(found)
  )
