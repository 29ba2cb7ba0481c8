"""The gradient of a batch that is read in parts, or row by row.

DP-SGD reads row by row, so that no row changes the parameters by much:

    g_b = gradient of the mean loss over the labels of row b
    g   = (1 / B) (sum over b of g_b min(1, C / |g_b|) + sigma C noise)

Paper: Abadi et al. 2016, https://arxiv.org/abs/1607.00133, with
`optax.contrib.differentially_private_aggregate`. C is `optim.row_clip_norm` and
sigma `optim.row_noise`. A row is what is protected; see docs/privacy.md.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from optax import contrib

from memjax.config.experiment import Experiment
from memjax.runs.frozen import Frozen
from memjax.training.parallel import join_rows, split_rows
from memjax.types import Batch, Carry, Metrics, Params

# `step.gradient`: of the summed loss, the carry after the batch, metrics.
Gradient: TypeAlias = Callable[..., tuple[Params, Carry, Metrics]]


def gradient_in_parts(
  gradient: Gradient,
  experiment: Experiment,
  frozen: Frozen,
  params: Params,
  carry: Carry,
  batch: Batch,
  key: jax.Array,
) -> tuple[Params, Carry, Metrics]:
  """As `gradient`, reading the rows in `grad_accum_steps` parts in turn."""
  parts = experiment.train.grad_accum_steps

  def part(index: jax.Array, carry: Carry, batch: Batch) -> Any:
    noise = jax.random.fold_in(key, index)
    return gradient(experiment, frozen, params, carry, batch, noise)

  def add(total: Any, xs: Any) -> tuple[Any, Carry]:
    grads, after, metrics = part(*xs)
    return jax.tree.map(jnp.add, total, (grads, metrics)), after

  xs = jnp.arange(parts), split_rows(carry, parts), split_rows(batch, parts)
  grads, _, metrics = jax.eval_shape(part, *jax.tree.map(lambda x: x[0], xs))
  zeros = jax.tree.map(jnp.zeros_like, (grads, metrics))
  (grads, metrics), after = jax.lax.scan(add, zeros, xs)
  return grads, join_rows(after), metrics


def gradient_by_row(
  gradient: Gradient,
  experiment: Experiment,
  frozen: Frozen,
  params: Params,
  carry: Carry,
  batch: Batch,
  key: jax.Array,
) -> tuple[Params, Carry, Metrics]:
  """As `gradient`, with each row's part clipped, and noise.

  It is multiplied by the number of labels, by which the step divides.
  """
  rows = batch.reset_BT.shape[0]

  def one(index: jax.Array, row: Any) -> Any:
    alone = jax.tree.map(lambda x: x[None], row)
    noise = jax.random.fold_in(key, index)
    grads, after, metrics = gradient(experiment, frozen, params, *alone, noise)
    count = jnp.maximum(metrics['loss'].count, 1)
    grads = jax.tree.map(lambda g: g / count, grads)
    return grads, jax.tree.map(lambda x: x[0], after), metrics

  grads_B, after, metrics_B = jax.vmap(one)(jnp.arange(rows), (carry, batch))
  aggregate = contrib.differentially_private_aggregate(
    experiment.optim.row_clip_norm,
    experiment.optim.row_noise,
    key=jax.random.fold_in(key, rows),
  )
  mean, _ = aggregate.update(grads_B, aggregate.init(params))
  metrics = jax.tree.map(lambda x: x.sum(axis=0), metrics_B)
  count = jnp.maximum(metrics['loss'].count, 1)
  return jax.tree.map(lambda g: g * count, mean), after, metrics
