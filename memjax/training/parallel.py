"""Devices: the mesh, and which array lies where. Nothing else knows.

The mesh has two axes. `data` cuts the batch. `fsdp` cuts the batch too, and
the parameters with their optimiser state (ZeRO). The carry is cut with the
batch. If the replicas divide over the mesh, all its devices cut the replicas
instead, and nothing else is cut. Programs are written for the whole arrays;
XLA's partitioner does the rest.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.parallel import Parallel
from memjax.errors import require
from memjax.training.state import SHARED, TrainState
from memjax.types import HostBatch

ROWS = ('data', 'fsdp')  # the mesh axes that cut a batch


def make_mesh(parallel: Parallel) -> Mesh:
  """The devices in a grid (data, fsdp).

  Raises:
    ConfigError: the grid does not fit the devices there are.
  """
  devices = jax.devices()
  data = parallel.data or max(len(devices) // parallel.fsdp, 1)
  devices_found = f'there are {len(devices)} devices'
  require(
    data * parallel.fsdp <= len(devices),
    'parallel.data' if parallel.data else 'parallel.fsdp',
    parallel.data or parallel.fsdp,
    f'{data} x {parallel.fsdp} does not fit: {devices_found}',
  )
  require(
    bool(parallel.data) or data * parallel.fsdp == len(devices),
    'parallel.fsdp',
    parallel.fsdp,
    f'must divide the devices: {devices_found}',
  )
  grid = np.array(devices[: data * parallel.fsdp]).reshape(data, -1)
  return Mesh(grid, ROWS, axis_types=(AxisType.Auto,) * 2)


def fitting(parallel: Parallel) -> Parallel:
  """The section of another machine's run; all devices if it does not fit here.

  Any mesh gives the same figures, up to round-off.
  """
  count, fsdp = len(jax.devices()), parallel.fsdp
  fits = parallel.data * fsdp <= count
  if fits and (parallel.data or count % fsdp == 0):
    return parallel
  return dataclasses.replace(parallel, data=0, fsdp=1)


def cuts_replicas(mesh: Mesh, replicas: int) -> bool:
  """Whether each device holds whole replicas, and not rows of all of them."""
  return replicas % mesh.size == 0


def check_divides(mesh: Mesh, experiment: Experiment) -> None:
  """Requires the replicas, or else every batch, to divide over the mesh.

  Raises:
    ConfigError: names the size and the mesh.
  """
  replicas = experiment.train.replicas
  if cuts_replicas(mesh, replicas):
    return
  shape = ' x '.join(f'{axis} {size}' for axis, size in mesh.shape.items())
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
      size % (mesh.size * parts) == 0,
      field,
      size,
      f'must divide over the mesh, {shape}{in_parts}: '
      f'a multiple of {mesh.size * parts}{also}',
    )


def rows_sharding(mesh: Mesh, replicas: int, between: int = 0) -> NamedSharding:
  """Cuts `(N, ..., B, ...)` along N or B; `between` axes lie between them."""
  if cuts_replicas(mesh, replicas):
    return NamedSharding(mesh, PartitionSpec(ROWS))
  return NamedSharding(mesh, PartitionSpec(None, *(None,) * between, ROWS))


def replicated(mesh: Mesh) -> NamedSharding:
  """A whole copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def params_shardings(mesh: Mesh, abstract: Any) -> Any:
  """Cuts each array `(N, ...)` along its largest axis that fsdp divides."""
  fsdp = mesh.shape['fsdp']

  def sharding(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    sizes = dict(enumerate(leaf.shape[1:], start=1))
    fits = [axis for axis, n in sizes.items() if n % fsdp == 0 and n > 1]
    if fsdp == 1 or not fits:
      return replicated(mesh)
    spec = [None] * max(fits, key=sizes.__getitem__) + ['fsdp']
    return NamedSharding(mesh, PartitionSpec(*spec))

  return jax.tree.map(sharding, abstract)


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
    carry=jax.tree.map(lambda _: rows, abstract.carry),
  )


def placed(mesh: Mesh, shapes: TrainState) -> TrainState:
  """The state's shapes and types, with the sharding of each array."""
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


def to_host(tree: Any) -> Any:
  """Whole arrays as numpy, gathered from all devices."""
  return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
