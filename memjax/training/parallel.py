"""Devices: the mesh, and which array lies where. Nothing else knows.

The mesh has two axes. `data` cuts the batch; `fsdp` cuts the batch too, and
the parameters with their optimiser state (ZeRO). The carry is cut with the
batch. Programs are written for the whole arrays; XLA's partitioner does the
rest.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.sections import Parallel
from memjax.errors import require
from memjax.training.state import TrainState
from memjax.types import HostBatch

ROWS = ('data', 'fsdp')  # the mesh axes that cut a batch


def make_mesh(parallel: Parallel) -> Mesh:
  """The devices in a grid (data, fsdp).

  Raises:
    ConfigError: the grid does not fit the devices there are.
  """
  devices = jax.devices()
  data = parallel.data or max(len(devices) // parallel.fsdp, 1)
  there = f'there are {len(devices)} devices'
  require(
    data * parallel.fsdp <= len(devices),
    'parallel.data' if parallel.data else 'parallel.fsdp',
    parallel.data or parallel.fsdp,
    f'{data} x {parallel.fsdp} does not fit: {there}',
  )
  require(
    bool(parallel.data) or data * parallel.fsdp == len(devices),
    'parallel.fsdp',
    parallel.fsdp,
    f'must divide the devices: {there}',
  )
  grid = np.array(devices[: data * parallel.fsdp]).reshape(data, -1)
  return Mesh(grid, ROWS, axis_types=(AxisType.Auto,) * 2)


def check_divides(mesh: Mesh, experiment: Experiment) -> None:
  """Requires every batch, or the replicas, to divide over the mesh.

  Raises:
    ConfigError: names the size and the mesh.
  """
  shape = ' x '.join(f'{axis} {size}' for axis, size in mesh.shape.items())
  if (replicas := experiment.train.replicas) > 1:
    rule = f'must divide over the mesh, {shape}: a multiple of {mesh.size}'
    require(replicas % mesh.size == 0, 'train.replicas', replicas, rule)
    return
  parts = experiment.train.grad_accum_steps
  sizes = {'train.batch_size': (experiment.train.batch_size, parts)} | {
    f'evals.{name}.batch_size': (e.batch_size, 1)
    for name, e in experiment.evals.items()
  }
  for field, (size, parts) in sizes.items():
    cut = f', in {parts} parts' if parts > 1 else ''
    require(
      size % (mesh.size * parts) == 0,
      field,
      size,
      f'must divide over the mesh, {shape}{cut}: '
      f'a multiple of {mesh.size * parts}',
    )


def rows_sharding(mesh: Mesh, leading: int = 0) -> NamedSharding:
  """Cuts the rows, the axis after `leading` uncut ones."""
  return NamedSharding(mesh, PartitionSpec(*(None,) * leading, ROWS))


def replicated(mesh: Mesh) -> NamedSharding:
  """A whole copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def params_shardings(mesh: Mesh, abstract: Any) -> Any:
  """Cuts each array along its largest axis that fsdp divides."""
  fsdp = mesh.shape['fsdp']

  def cut(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    fits = [i for i, n in enumerate(leaf.shape) if n % fsdp == 0 and n > 1]
    if fsdp == 1 or not fits:
      return replicated(mesh)
    axis = max(fits, key=lambda i: leaf.shape[i])
    spec = [None] * axis + ['fsdp']
    return NamedSharding(mesh, PartitionSpec(*spec))

  return jax.tree.map(cut, abstract)


def state_shardings(
  mesh: Mesh, abstract: TrainState, replicas: int
) -> TrainState:
  """Where each array of the state lies; the replicas', cut by replica."""
  if replicas > 1:
    cut = jax.tree.map(lambda _: rows_sharding(mesh), abstract)
    return cut._replace(step=replicated(mesh))
  whole = jax.tree.map(lambda _: replicated(mesh), abstract)
  return whole._replace(
    params=params_shardings(mesh, abstract.params),
    opt_state=params_shardings(mesh, abstract.opt_state),
    ema=params_shardings(mesh, abstract.ema),
    carry=jax.tree.map(lambda _: rows_sharding(mesh), abstract.carry),
  )


def place_rows(
  mesh: Mesh,
  steps: int,
  batch_size: int,
  make: Callable[[np.ndarray], HostBatch],
) -> HostBatch:
  """Global arrays `(steps, batch_size, ...)`; replicas are rows, too.

  Args:
    mesh: its devices hold the rows.
    steps: the uncut leading axis.
    batch_size: rows in all, on all hosts.
    make: row ids to numpy arrays `(steps, rows, ...)`; called once for each
      distinct block of rows that this host's devices hold.
  """
  sharding = rows_sharding(mesh, leading=1)
  places = sharding.addressable_devices_indices_map((steps, batch_size))
  blocks = {
    device: index[1].indices(batch_size)[:2]
    for device, index in places.items()
    if index is not None
  }
  pieces_by_block = {
    block: make(np.arange(*block)) for block in set(blocks.values())
  }

  def assemble(*pieces: np.ndarray) -> jax.Array:
    by_block = dict(zip(pieces_by_block, pieces, strict=True))
    shape = steps, batch_size, *pieces[0].shape[2:]
    on_devices = [jax.device_put(by_block[b], d) for d, b in blocks.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, on_devices)

  return jax.tree.map(assemble, *pieces_by_block.values())


def to_host(tree: Any) -> Any:
  """Whole arrays as numpy, gathered from all devices."""
  return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
