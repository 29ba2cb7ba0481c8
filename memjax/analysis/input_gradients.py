"""How far back the gradient of a loss reaches, by inputs.

Definition: with l_t the loss on a label at step t and e_s the input of step s
as it is embedded (features as they are, tokens see `embedded.py`), the mean
over labels of |dl_t / de_(t - lag)|, by lag. The norm is Euclidean, over all
that an input is made of. Only labels count that have all the lags behind them
with no reset between, so that every lag is a mean over the same labels.
Half-life: the lag at which the norm has fallen to half of what it is at lag 0,
on a straight line in ln norm between two lags; so where each lag leaves d of
the norm, ln 2 / -ln d. Infinite where it never falls so far, no number where
lag 0 has no gradient.

Paper: Bengio, Simard & Frasconi 1994, https://doi.org/10.1109/72.279181, that
such norms fall or grow exponentially; the figures here are means of them.
Units: loss, as the task has it (nats per label for classes), per unit of the
embedded input; lags and half-lives in steps.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import streams
from memjax.analysis.input_embeddings import embedded
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import HostBatch, Params

AT_ONCE = 8  # labels: each has tables of its own
Read = Callable[..., tuple[jax.Array, jax.Array]]


class InputGradients(NamedTuple):
  """Norms of G lags.

  Attributes:
    lags: `(G,)` int: 0, 1, ... G - 1.
    norm: `(N, G)` float64.
    half_life: `(N,)`, in steps.
    labels: how many each figure is a mean of.
  """

  lags: np.ndarray
  norm: np.ndarray
  half_life: np.ndarray
  labels: int


def input_gradients(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: int = 32,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
  labels: int = 64,
) -> InputGradients:
  """One backward pass for each label, some labels and all replicas at once.

  A label's row is read from its start; of a text, from as many segments before
  the label's own as the lags reach into.

  Args:
    model: any memory that fits the task; if it reads tokens, by a table.
    params_N: its parameters, `(N, ...)`: one replica is `(1, ...)`.
    task: any.
    lags: G, at least 1.
    batch_size: rows of a batch, lanes of a text.
    batches: how many, or all of the epoch if it has fewer.
    seed: of the rows, and of the labels drawn.
    labels: how many are drawn of a batch, or all that it has.

  Raises:
    ConfigError: no label has so many inputs behind it, or the model has no
      table of its tokens.
  """
  require(lags >= 1, 'lags', lags, 'must be at least 1')
  segments = 1
  if streams.goes_on(task, batch_size):
    segments += -(-(lags - 1) // task.length)
  labels = min(labels, batch_size * task.length)
  read = _reader(model, task, lags, labels)
  stream = Stream(seed, streams.NUMBER, batch_size)
  total, count = np.zeros(()), 0
  for step in streams.steps(task, batch_size, segments - 1, batches):
    key = jax.random.fold_in(jax.random.key(seed), step)
    feeds = streams.feeds(task, stream, step, segments)
    norm, there = jax.device_get(read(params_N, feeds, key))
    total, count = total + norm.astype(np.float64), count + int(there)
  require(count > 0, 'lags', lags, 'no label has so many inputs behind it')
  lag, norm = np.arange(lags), total / count
  return InputGradients(lag, norm, half_life(norm, lag), count)


def _reader(model: Memory, task: Task, lags: int, labels: int) -> Read:
  """Sums over labels of the norms, `(N, G)`, and how many labels."""

  @jax.jit
  def read(
    params_N: Params, feeds: tuple[HostBatch, ...], key: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    lane = streams.lane(task, feeds)
    there_P, row_P, place_P = streams.draw(lane, task.length, lags, labels, key)

    def by_lag(params: Params, label: tuple[jax.Array, jax.Array]) -> jax.Array:
      row, place = label
      inputs, reset_1T = lane.inputs[row][None], lane.reset_BT[row][None]
      e, answer = embedded(model, task.input_spec, params, inputs, reset_1T)
      asked = jax.tree.map(lambda x: x[row, place][None, None], lane)

      def loss(e: Any) -> jax.Array:
        said = answer(e)[:, place][:, None]
        return streams.label_losses(task, said, asked)[0, 0]

      return norms(jax.grad(loss)(e))[place - jnp.arange(lags)]

    def of_labels(params: Params) -> jax.Array:
      each = functools.partial(by_lag, params)
      return jax.lax.map(each, (row_P, place_P), batch_size=AT_ONCE)

    norm_NPG = jax.vmap(of_labels)(params_N)
    norm_NPG = jnp.where(there_P[None, :, None], norm_NPG, 0.0)
    return norm_NPG.sum(1), there_P.sum()

  return read


def norms(tree: Any) -> jax.Array:
  """`(A,)`, Euclidean, of a tree of `(A, ...)` arrays."""
  squares = [
    jnp.square(x).reshape(len(x), -1).sum(-1) for x in jax.tree.leaves(tree)
  ]
  return jnp.sqrt(jnp.stack(squares).sum(0))


def half_life(norm: np.ndarray, lags: np.ndarray) -> np.ndarray:
  """In steps from the first lag on, of norms `(..., G)` at G rising lags."""
  with np.errstate(invalid='ignore', divide='ignore'):
    halvings = -np.log2(norm / norm[..., :1])
    fallen = halvings >= 1
    after = fallen.argmax(-1)
    before = np.maximum(after - 1, 0)
    above, below = (
      np.take_along_axis(halvings, i[..., None], -1)[..., 0]
      for i in (before, after)
    )
    share = (1 - above) / (below - above)
    life = lags[before] + share * (lags[after] - lags[before]) - lags[0]
  life = np.where(fallen.any(-1), life, np.inf)
  return np.where(np.isnan(halvings[..., 0]), np.nan, life)
