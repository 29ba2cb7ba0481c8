"""Training whose bits do not depend on the number of devices.

A sum over rows has other bits if the rows lie on other devices: each device
adds its own, and round-off depends on the order. So the rows are cut into
GROUPS fixed groups, whatever the devices. Each device computes its groups one
by one by the same program, and the sums of all groups are added in the order of
the groups. The price is that a group has fewer rows at once, and that GROUPS
copies of the gradient are gathered.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from memjax.config.experiment import Experiment
from memjax.errors import require
from memjax.types import Batch, Carry, Metrics, Params

ELASTIC = 'elastic'
GROUPS = 8  # of rows

# (params, carry, rows) to the carry after them and their sums.
Reader = Callable[[Params, Carry, Any], tuple[Carry, Any]]


def in_groups(
  mesh: Mesh,
  function: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
  shared: Any,
  rows: Any,
) -> tuple[Any, Any]:
  """The sums of a function over GROUPS fixed groups of rows, and its new rows.

  No bit depends on the devices, if their number divides GROUPS. Each device
  computes its groups one by one, by the same program; the sums of all groups
  are gathered and added in the order of the groups. XLA's barriers keep it
  from merging a group with what is around it.

  Args:
    mesh: its devices share the groups.
    function: of the shared arrays, the rows of a group and its number; returns
      what is summed over groups, and rows.
    shared: arrays that each device has whole.
    rows: arrays `(B, ...)`; GROUPS divides B.
  """
  groups, axes = GROUPS // mesh.size, mesh.axis_names

  def on_device(shared: Any, rows: Any) -> tuple[Any, Any]:
    first = jax.lax.axis_index(axes) * groups
    cut = jax.tree.map(lambda x: x.reshape(groups, -1, *x.shape[1:]), rows)

    def group(xs: tuple[jax.Array, Any]) -> tuple[Any, Any]:
      index, part = xs
      here, part = jax.lax.optimization_barrier((shared, part))
      return jax.lax.optimization_barrier(function(here, part, index))

    sums, after = jax.lax.map(group, (first + jnp.arange(groups), cut))
    of_all = jax.lax.all_gather(sums, axes, tiled=True)
    parts = [jax.tree.map(lambda x, i=i: x[i], of_all) for i in range(GROUPS)]
    total = functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), parts)
    return total, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), after)

  cut, whole = PartitionSpec(axes), PartitionSpec()
  return jax.shard_map(
    on_device,
    mesh=mesh,
    in_specs=(whole, cut),
    out_specs=(whole, cut),
    check_vma=False,
  )(shared, rows)


def reader_in_groups(mesh: Mesh, read_rows: Reader) -> Reader:
  """`read_rows`, whose sums then do not depend on the number of devices."""

  def group(params: Params, rows: Any, index: jax.Array) -> tuple[Any, Carry]:
    del index
    after, sums = read_rows(params, *rows)
    return sums, after

  def read(params: Params, carry: Carry, rows: Any) -> tuple[Carry, Any]:
    sums, after = in_groups(mesh, group, params, (carry, rows))
    return after, sums

  return read


def gradient_in_groups(
  mesh: Mesh,
  gradient: Callable[..., tuple[Params, Carry, Metrics]],
  experiment: Experiment,
  frozen: Any,
  params: Params,
  carry: Carry,
  batch: Batch,
  key: jax.Array,
) -> tuple[Params, Carry, Metrics]:
  """As `gradient`, whose bits then do not depend on the number of devices."""

  def group(shared: Any, rows: Any, index: jax.Array) -> tuple[Any, Carry]:
    *parts, key = shared
    noise = jax.random.fold_in(key, index)
    grads, after, metrics = gradient(experiment, *parts, *rows, noise)
    return (grads, metrics), after

  shared, rows = (frozen, params, key), (carry, batch)
  (grads, metrics), after = in_groups(mesh, group, shared, rows)
  return grads, after, metrics


def check_divides(mesh: Mesh, experiment: Experiment) -> None:
  """Requires what `in_groups` needs, if the run is elastic.

  Raises:
    ConfigError: names the field that does not fit.
  """
  if experiment.parallel.determinism != ELASTIC:
    return
  train, why = experiment.train, "for parallel.determinism 'elastic'"
  known = [n for n in range(1, GROUPS + 1) if GROUPS % n == 0]
  rule = f'must be one of {known} devices {why}'
  require(mesh.size in known, 'parallel.data', mesh.size, rule)
  for field, value in (
    ('parallel.fsdp', experiment.parallel.fsdp),
    ('parallel.tensor', experiment.parallel.tensor),
    ('train.replicas', train.replicas),
    ('train.grad_accum_steps', train.grad_accum_steps),
  ):
    require(value == 1, field, value, f'must be 1 {why}')
  sizes = {'train.batch_size': train.batch_size} | {
    f'evals.{name}.batch_size': e.batch_size
    for name, e in experiment.evals.items()
  }
  for field, size in sizes.items():
    rule = f'must be a multiple of {GROUPS} {why}'
    require(size % GROUPS == 0, field, size, rule)
