"""How far back the gradient of the loss reaches, by inputs."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.across_runs import (
  format_median,
  line_plots,
  panels,
  run_table,
)
from memjax.analysis.base import Instrument, Places, Result, loss_unit, tidy
from memjax.analysis.half_life import HALF_LIVES, half_life, longest, norms
from memjax.analysis.input_embeddings import embed_inputs, why_not_embedded
from memjax.analysis.section import Section
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Batch, Params

Read = Callable[..., jax.Array]


class InputGradientNorms(NamedTuple):
  """Norms at G lags.

  Attributes:
    lags: `(G,)` int: 0, 1, ... G - 1.
    norm: `(N, G)` float64.
    half_life: `(N,)`, in steps; the last lag if it is at least that; NaN if
      there is none.
    labels: number of labels that each figure is a mean of.
  """

  lags: np.ndarray
  norm: np.ndarray
  half_life: np.ndarray
  labels: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputGradients(Instrument[InputGradientNorms]):
  """The norm of the gradient of the loss by an input, by lag.

  Attributes:
    lags: the number of lags, at most half of a row.
    batch_size: rows in a batch.
    batches: number of batches.
    labels: labels drawn from a batch.
    seed: of the rows and of the labels.
  """

  title = 'Input gradients'
  order = 50
  definition = """
    With l_t the loss on a label at step t and e_s the embedded input of step s
    (features as they are; for a token, the rows of its embeddings), the figure
    at a lag is the mean over labels of |dl_t / de_(t - lag)|. The norm is
    Euclidean, over all numbers of an input. Only labels count that have all the
    lags behind them with no reset in between, so every lag is a mean over the
    same labels.

    Half-life: the lag at which the norm has fallen to half of its value at lag
    0, with linear interpolation of the logarithm of the norm between two lags.
    If each lag keeps the share d of the norm, it is ln 2 / -ln d. If the norm
    falls, but not that far, the half-life is at least the last lag. If the norm
    does not fall, or lag 0 has no gradient, there is no half-life.

    Paper: Bengio, Simard & Frasconi 1994, https://doi.org/10.1109/72.279181:
    such norms fall or grow exponentially. The figures here are means of them.

    Units: loss (nats per label for classes, otherwise as the task defines it)
    per unit of the embedded input; lags and half-lives in steps.
    """

  lags: int = 32
  batch_size: int = 32
  batches: int = 4
  labels: int = 64
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return why_not_embedded(model, task)

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[InputGradientNorms]:
    found = input_gradients(
      model,
      params_N,
      task,
      min(max(task.length // 2, 1), self.lags),
      self.batch_size,
      self.batches,
      self.seed,
      self.labels,
    )
    axes: dict[str, Places] = {
      'replica': range(len(found.norm)),
      'lag': found.lags,
    }
    figures = {
      'gradient_norm': found.norm,
      'half_life': found.half_life[:, None],
    }
    units = {'replica': '', 'lag': 'steps'}
    units |= {'gradient_norm': f'{loss_unit(task)} per unit of the input'}
    return Result(tidy(axes, figures), units | {'half_life': 'steps'}, found)

  def show(self, results: Mapping[str, Result[InputGradientNorms]]) -> Section:
    curves = panels(results, lambda f: {'gradient norm': (f.lags, f.norm)})
    cells = {
      run: {
        'half-life': format_median(r.arrays.half_life, longest(r.arrays.lags))
      }
      for run, r in results.items()
    }
    plots = line_plots(curves, 'lag, steps')
    table = run_table(cells, HALF_LIVES)
    return Section(self.title, self.definition, plots, tables=[table])


def input_gradients(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: int = 32,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  labels: int = 64,
) -> InputGradientNorms:
  """One backward pass for `batch_size` labels and all replicas at once.

  The row of a label is read from its start. For a text, it is read from the
  first segment that the lags reach into.

  Args:
    model: any memory that fits the task; tokens need an embedding table.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: any.
    lags: G, at least 1.
    batch_size: rows of a batch, streams of a text.
    batches: number of batches, at most; an epoch may have fewer.
    seed: of the rows and of the labels.
    labels: labels drawn from a batch, at most; a batch may have fewer.

  Raises:
    ConfigError: no label has this number of inputs behind it, or the model has
      no embedding table.
  """
  require(lags >= 1, 'lags', lags, 'must be at least 1')
  reason = why_not_embedded(model, task)
  require(not reason, 'model', type(model).__name__, reason)
  segments = 1
  if task.carry_over:
    segments += -(-(lags - 1) // task.length)
  read = _reader(model, task, lags)
  stream = Stream(seed, streams.NUMBER, batch_size)
  total, count = np.zeros(()), 0
  for step in streams.steps(task, batch_size, segments - 1, batches):
    batch = streams.joined(task, stream, step, segments)
    drawn = streams.draw(batch, task.length, lags, labels, (seed, step))
    for index, left in streams.chunks(len(drawn.rows), batch_size):
      place = drawn.rows[index], drawn.places[index]
      norm_NBG = jax.device_get(read(params_N, batch, *place))
      total = total + norm_NBG[:, :left].astype(np.float64).sum(1)
    count += len(drawn.rows)
  rule = 'no label has this number of inputs behind it'
  require(count > 0, 'lags', lags, rule)
  lag, norm = np.arange(lags), total / count
  return InputGradientNorms(lag, norm, half_life(norm, lag), count)


def _reader(model: Memory, task: Task, lags: int) -> Read:
  """The norms of labels in rows of their own, `(N, B, G)`."""

  @jax.jit
  def read(
    params_N: Params, batch: Batch, row_B: jax.Array, place_B: jax.Array
  ) -> jax.Array:
    own = jax.tree.map(lambda x: x[row_B], batch)
    each_B = jnp.arange(len(row_B))
    label = jax.tree.map(lambda x: x[each_B, place_B][:, None], own)

    def norms_of(params: Params) -> jax.Array:
      e, outputs = embed_inputs(
        model, task.input_spec, params, own.inputs, own.reset_BT
      )

      def loss(e: Any) -> jax.Array:
        y = outputs(e)[each_B, place_B][:, None]
        return streams.label_losses(task, y, label).sum()

      by_input_BT = jax.vmap(norms)(jax.grad(loss)(e))
      return by_input_BT[
        each_B[:, None], place_B[:, None] - jnp.arange(lags)[None]
      ]

    return jax.vmap(norms_of)(params_N)

  return read
