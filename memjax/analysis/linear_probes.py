"""Linear probes: can what was read a while ago be told from the carry?

Definition: rows are read up to some step t, and a ridge regression from the
carry after it, one for each lag, says the input of step t - lag: a token as a
one-hot vector, the largest answer counting, or a vector of features (of a
sentence, how often it has each word). The states are cut in the order of
reading: three fifths to fit, one to choose the strength of the penalty, one to
score. Every leaf of the carry has its probes, and so have all together, each
leaf with the same variance. Floats are read as they are, integers and truths as
one-hot codes, which is how an embedding reads them.

Unit: of tokens, `accuracy`, the share told right, beside the share of the
commonest token; of features, `R2`, the share of their variance explained,
beside 0. It is a lower bound of what the carry holds: what is there need not be
linear, and fewer states than numbers in the carry make a weak probe.

Rows that begin with a reset are probed at steps spread evenly from the farthest
lag to the end; others, segments of a corpus, at their end. Where a row has more
resets, a lag may ask for what was forgotten.

Paper: Alain & Bengio 2016, https://arxiv.org/abs/1610.01644.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis import ridge
from memjax.analysis.reading import readings
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Batch, Carry, Params, Sentences, Spec, Tokens

ALL = 'all'


class Probes(NamedTuple):
  """What can be told, by lag.

  Attributes:
    metric: 'accuracy' of tokens, 'R2' of features.
    lags: `(L,)` int steps back; 0 is the last step read.
    score: {'all', or one of several leaves, '1/k_BMHK': `(N, L)`}; no number
      where the input is always the same.
    chance: `(L,)`, without looking at the carry.
    bits: `(L,)`, the entropy of the token; no numbers of features.
    classes: V of tokens, 0 of features.
    states: how many the score is of.
  """

  metric: str
  lags: np.ndarray
  score: dict[str, np.ndarray]
  chance: np.ndarray
  bits: np.ndarray
  classes: int
  states: int


def probe(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: np.ndarray,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> Probes:
  """Probes every leaf of the carry for what was read `lags` steps ago.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    lags: `(L,)` rising ints, at least 0 and below the task's length.
    batch_size: states of a batch.
    batches: so many; at least 10 states in all.
    seed: of the rows.

  Raises:
    ConfigError: the carry is empty, a lag is out of bounds, or the states are
      too few.
  """
  lags = np.asarray(lags)
  fits = lags.size > 0 and lags[0] >= 0 and lags[-1] < task.length
  rule = f'must rise from at least 0 to at most {task.length - 1}'
  fits = fits and bool((np.diff(lags) > 0).all())
  require(bool(fits), 'lags', lags.tolist(), rule)
  total = batch_size * batches
  require(total >= 10, 'batches', batches, f'{total} states, 10 needed')
  names = _names(model)
  rule = 'carries nothing to probe'
  require(bool(names), 'model', type(model).__name__, rule)
  leaves, said = _states(model, params_N, task, lags, batch_size, batches, seed)
  target_SLO = _targets(task.input_spec, said)
  score: dict[str, list[np.ndarray]] = {name: [] for name in names}
  for replica in range(len(leaves[0])):
    kernels = [ridge.kernel(leaf[replica]) for leaf in leaves]
    if len(kernels) > 1:
      kernels.append(np.sum(kernels, axis=0))
    for name, kernel_SS in zip(score, kernels, strict=True):
      said_SLO = ridge.answers(kernel_SS, target_SLO)
      score[name].append(_scores(task.input_spec, said_SLO, target_SLO))
  blind_SLO = ridge.blind(target_SLO)
  metric, classes, bits_L = 'R2', 0, np.full(lags.shape, np.nan)
  if isinstance(task.input_spec, Tokens):
    metric, classes = 'accuracy', task.input_spec.vocab
    share_LV = target_SLO.mean(0)
    bits_L = -(share_LV * np.log2(np.where(share_LV > 0, share_LV, 1))).sum(1)
  return Probes(
    metric,
    lags,
    {name: np.stack(rows) for name, rows in score.items()},
    _scores(task.input_spec, blind_SLO, target_SLO),
    bits_L,
    classes,
    len(blind_SLO),
  )


def _states(
  model: Memory,
  params_N: Params,
  task: Task,
  lags: np.ndarray,
  batch_size: int,
  batches: int,
  seed: int,
) -> tuple[list[np.ndarray], np.ndarray]:
  """The carry's leaves, `(N, S, X)`, and the inputs by lag, `(S, L, ...)`."""
  spread = np.linspace(lags[-1], task.length - 1, batch_size)
  spread_B = jnp.asarray(spread.round(), jnp.int32)

  def states(params: Params, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
    at_B = jnp.where(batch.reset_BT[:, 0], spread_B, task.length - 1)
    asked_BL = at_B[:, None] - lags[None]
    said = jax.vmap(lambda x, at: x[at])(batch.inputs, asked_BL)
    # Each row is pushed to the right until it ends where it is probed. What
    # comes round to its front is forgotten where the row begins.
    push = jax.vmap(lambda x, by: jnp.roll(x, by, axis=0))
    inputs, reset_BT = (
      push(x, task.length - 1 - at_B) for x in (batch.inputs, batch.reset_BT)
    )
    carry, _ = apply(model, params, carry, inputs, reset_BT)
    leaves = jax.tree.leaves(carry)
    return carry, ([x.reshape(batch_size, -1) for x in leaves], said)

  found = readings(model, params_N, task, states, batch_size, batches, seed)
  leaves, said = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *found)
  return leaves, said[0]  # all replicas read the same


def _names(model: Memory) -> list[str]:
  """The paths of the carry's leaves, if there are several, and 'all'."""
  carry = jax.eval_shape(lambda: model.initial_carry(1))
  paths = [path for path, _ in jax.tree.leaves_with_path(carry)]
  if len(paths) < 2:
    return [ALL] * len(paths)
  keystr = functools.partial(jax.tree_util.keystr, simple=True, separator='/')
  return [*map(keystr, paths), ALL]


def _targets(spec: Spec, said: np.ndarray) -> np.ndarray:
  """`(S, L, O)` float64 of the inputs `(S, L, ...)` that were read."""
  if isinstance(spec, Tokens):
    return np.eye(spec.vocab)[said]
  if isinstance(spec, Sentences):
    return np.eye(spec.vocab)[said].sum(2)[..., 1:]  # 0 is padding
  return said.astype(np.float64)


def _scores(
  spec: Spec, said_SLO: np.ndarray, target_SLO: np.ndarray
) -> np.ndarray:
  """`(L,)` accuracies, or shares of the variance explained."""
  right_SLO = target_SLO[-len(said_SLO) :]
  if isinstance(spec, Tokens):
    return (said_SLO.argmax(2) == right_SLO.argmax(2)).mean(0)
  wrong_L, blind_L = (
    np.square(answers - right_SLO).sum((0, 2))
    for answers in (said_SLO, ridge.blind(target_SLO))
  )
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(blind_L > 0, 1 - wrong_L / blind_L, np.nan)
