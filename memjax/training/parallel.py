"""Devices: the mesh, and which array lies where. Nothing else knows.

The mesh has three axes. `data` cuts the batch. `fsdp` cuts the batch too, and
the parameters with their optimiser state (ZeRO). `tensor` cuts the units of
parameters, optimiser state and carry, see cuts.py. The carry is cut with the
batch, too. If the replicas divide over the mesh, all its devices cut the
replicas instead, and nothing else is cut. Programs are written for the whole
arrays; XLA's partitioner does the rest.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.parallel import Parallel
from memjax.errors import require
from memjax.guards import elastic
from memjax.training.cuts import (
  ROWS,
  carry_sharding,
  check_units,
  params_shardings,
)
from memjax.training.state import SHARED, TrainState
from memjax.types import HostBatch

AXES = (*ROWS, 'tensor')


def make_mesh(parallel: Parallel) -> Mesh:
  """The devices in a grid (data, fsdp, tensor).

  Raises:
    ConfigError: the grid does not fit the devices there are.
  """
  devices = jax.devices()
  inner = parallel.fsdp * parallel.tensor
  data = parallel.data or max(len(devices) // inner, 1)
  shape = data, parallel.fsdp, parallel.tensor
  grid = ' x '.join(map(str, shape))
  field = 'tensor' if parallel.tensor > 1 else 'fsdp'
  field = 'data' if parallel.data else field
  found = f'there are {len(devices)} devices'
  require(
    math.prod(shape) <= len(devices),
    f'parallel.{field}',
    getattr(parallel, field),
    f'{grid} does not fit: {found}',
  )
  require(
    bool(parallel.data) or math.prod(shape) == len(devices),
    f'parallel.{field}',
    getattr(parallel, field),
    f'must divide the devices: {found}',
  )
  chosen = np.array(devices[: math.prod(shape)]).reshape(shape)
  return Mesh(chosen, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def fitting(parallel: Parallel) -> Parallel:
  """The section of another machine's run; all devices if it does not fit here.

  Any mesh gives the same figures, up to round-off.
  """
  count, inner = len(jax.devices()), parallel.fsdp * parallel.tensor
  fits = parallel.data * inner <= count
  if fits and (parallel.data or count % inner == 0):
    return parallel
  return dataclasses.replace(parallel, data=0, fsdp=1, tensor=1)


def cuts_replicas(mesh: Mesh, replicas: int) -> bool:
  """Whether each device holds whole replicas, and not rows of all of them."""
  return replicas % mesh.size == 0


def check_divides(mesh: Mesh, experiment: Experiment) -> None:
  """Requires the replicas, or else every batch, to divide over the mesh.

  Raises:
    ConfigError: names the size and the mesh.
  """
  replicas = experiment.train.replicas
  elastic.check_divides(mesh, experiment)
  if cuts_replicas(mesh, replicas):
    return
  shape = ' x '.join(f'{axis} {mesh.shape[axis]}' for axis in ROWS)
  shards = math.prod(mesh.shape[axis] for axis in ROWS)
  parts = experiment.train.grad_accum_steps
  sizes = {'train.batch_size': (experiment.train.batch_size, parts)} | {
    f'evals.{name}.batch_size': (e.batch_size, 1)
    for name, e in experiment.evals.items()
  }
  also = (
    f', or train.replicas {replicas} a multiple of {mesh.size}'
    if replicas > 1
    else ''
  )
  for field, (size, parts) in sizes.items():
    in_parts = f', in {parts} parts' if parts > 1 else ''
    require(
      size % (shards * parts) == 0,
      field,
      size,
      f'must divide over the mesh, {shape}{in_parts}: '
      f'a multiple of {shards * parts}{also}',
    )


def rows_sharding(mesh: Mesh, replicas: int, between: int = 0) -> NamedSharding:
  """Cuts `(N, ..., B, ...)` along N or B; `between` axes lie between them."""
  if cuts_replicas(mesh, replicas):
    return NamedSharding(mesh, PartitionSpec(AXES))
  return NamedSharding(mesh, PartitionSpec(None, *(None,) * between, ROWS))


def replicated(mesh: Mesh) -> NamedSharding:
  """A whole copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def state_shardings(mesh: Mesh, abstract: TrainState) -> TrainState:
  """Where each array of the state lies."""
  whole = jax.tree.map(lambda _: replicated(mesh), abstract)
  (replicas,) = abstract.key.shape
  rows = rows_sharding(mesh, replicas)
  if cuts_replicas(mesh, replicas):
    shared = {name: getattr(whole, name) for name in SHARED}
    return jax.tree.map(lambda _: rows, abstract)._replace(**shared)
  return whole._replace(
    params=params_shardings(mesh, abstract.params),
    opt_state=params_shardings(mesh, abstract.opt_state),
    ema=params_shardings(mesh, abstract.ema),
    frozen=params_shardings(mesh, abstract.frozen),
    carry=jax.tree.map(lambda leaf: carry_sharding(mesh, leaf), abstract.carry),
  )


def placed(mesh: Mesh, shapes: TrainState) -> TrainState:
  """The state's shapes and types, with the sharding of each array.

  Raises:
    ConfigError: `parallel.tensor` leaves most of the parameters whole.
  """
  check_units(mesh, shapes.frozen or shapes.params)
  return jax.tree.map(
    lambda leaf, place: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=place
    ),
    shapes,
    state_shardings(mesh, shapes),
  )


def place_batches(
  mesh: Mesh,
  replicas: int,
  steps: int,
  batch_size: int,
  make: Callable[[range, np.ndarray], HostBatch],
) -> HostBatch:
  """Global arrays `(N, steps, B, ...)` on the devices of all hosts.

  Args:
    mesh: its devices hold the rows.
    replicas: N.
    steps: steps in one call.
    batch_size: B, the rows on all hosts.
    make: replicas and row ids to numpy arrays `(replicas, steps, rows, ...)`;
      called once for each distinct block that this host's devices hold.
  """
  sharding = rows_sharding(mesh, replicas, between=1)
  sizes = replicas, steps, batch_size
  places = sharding.addressable_devices_indices_map(sizes)
  blocks = {
    device: (
      index[0].indices(replicas)[:2],
      index[2].indices(batch_size)[:2],
    )
    for device, index in places.items()
    if index is not None
  }
  made = {
    block: make(range(*block[0]), np.arange(*block[1]))
    for block in set(blocks.values())
  }

  def assemble(*pieces: np.ndarray) -> jax.Array:
    by_block = dict(zip(made, pieces, strict=True))
    shape = *sizes, *pieces[0].shape[3:]
    on_devices = [jax.device_put(by_block[b], d) for d, b in blocks.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, on_devices)

  return jax.tree.map(assemble, *made.values())


def split_rows(tree: Any, parts: int) -> Any:
  """`(B, ...)` to `(parts, B / parts, ...)`; each part lies on all devices."""
  return jax.tree.map(
    lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), tree
  )


def join_rows(tree: Any) -> Any:
  """The inverse of `split_rows`."""
  return jax.tree.map(
    lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), tree
  )


def to_host(tree: Any) -> Any:
  """Whole arrays as numpy, gathered from all devices."""
  return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
