"""Refuses a run that does not fit in memory, before it is compiled or begun.

Three looks, each with what is known by then:

    rows        arithmetic on the config: the rows of a batch
    model       traced: parameters, their gradient, the optimiser, the carry
    step        compiled: what XLA says that one dispatch needs

Each is compared with the memory of a device, or with that of the machine or
its cgroup, which all CPU devices share. The first two are lower bounds.
"""

from collections.abc import Callable, Mapping
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.types import HostBatch, Params

CGROUPS = (
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)
WORD = 4  # bytes of an id, a weight or a float32
UNITS = ('bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB')


class Limit(NamedTuple):
  """The memory there is.

  Attributes:
    bytes: of a device; on CPUs, of all of them together.
    what: 'a device has', or what else has it.
    shared: number of devices of this process that share it.
  """

  bytes: int
  what: str
  shared: int


def memory_limit(mesh: Mesh) -> Limit | None:
  """What the devices of this process have; None if they do not say."""
  here = [
    d for d in mesh.devices.flat if d.process_index == jax.process_index()
  ]
  if here and here[0].platform != 'cpu':
    stats = here[0].memory_stats() or {}
    most = stats.get('bytes_limit')
    return most and Limit(int(most), 'a device has', 1)
  whole = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  for path in map(Path, CGROUPS):
    try:
      allowed = int(path.read_text())
    except (OSError, ValueError):  # absent, or 'max'
      continue
    if allowed < whole:
      return Limit(allowed, 'the cgroup allows', max(len(here), 1))
  return Limit(whole, 'the machine has', max(len(here), 1))


def check_rows(experiment: Experiment, limit: Limit | None) -> None:
  """Requires the inputs, targets and weights of a batch to fit.

  Raises:
    ConfigError: they do not; the message has both numbers.
  """
  train, length = experiment.train, experiment.task.length
  sizes = {'train.batch_size': train.batch_size}
  sizes |= {
    f'evals.{name}.batch_size': e.batch_size
    for name, e in experiment.evals.items()
  }
  for field, rows in sizes.items():
    replicas = train.replicas
    total = 3 * WORD * rows * length * replicas
    needed = {'inputs, targets and weights': total}
    hints = [f'a smaller {field}', 'a smaller task.length']
    hints += ['fewer train.replicas'] if replicas > 1 else []
    _require(field, rows, needed, limit, hints)


def check_model(
  experiment: Experiment,
  frozen: Any,
  params: Params,
  mesh: Mesh,
  limit: Limit | None,
) -> None:
  """Requires parameters, gradient and carry of all replicas to fit.

  Args:
    experiment: the run.
    frozen: the abstract parameters of one replica that are not trained.
    params: those that are.
    mesh: the devices that share them.
    limit: the memory there is.

  Raises:
    ConfigError: they do not; the message has both numbers.
  """
  train, model = experiment.train, experiment.model
  carry = jax.eval_shape(lambda: model.initial_carry(train.batch_size))
  shares = 1 if limit is None or limit.shared > 1 else mesh.size
  needed = {
    name: train.replicas * size_of(tree) // shares
    for name, tree in {
      'parameters': (frozen, params),
      'gradient': params,
      'carry': carry,
    }.items()
  }
  _require('model', _name(experiment), needed, limit, _hints(experiment))


def check_state(
  experiment: Experiment, abstract: Any, limit: Limit | None
) -> None:
  """Requires the training state and a gradient to fit.

  Args:
    experiment: the run.
    abstract: the state, with shardings.
    limit: the memory there is.

  Raises:
    ConfigError: they do not; the message has both numbers.
  """
  copies = 1 if limit is None else limit.shared
  needed = {
    'parameters': (abstract.frozen, abstract.params),
    'gradient': abstract.params,
    'optimiser': abstract.opt_state,
    'average': abstract.ema,
    'carry': abstract.carry,
  }
  sizes = {name: copies * size_of(tree) for name, tree in needed.items()}
  _require('model', _name(experiment), sizes, limit, _hints(experiment))


class CheckedStep:
  """The compiled step; when it is compiled, its memory is checked.

  Args:
    function: jitted, of a state and a host batch.
    experiment: for the message.
    limit: the memory there is.
  """

  def __init__(
    self,
    function: Any,
    experiment: Experiment,
    limit: Limit | None,
  ):
    self._function, self._experiment = function, experiment
    self._limit = limit
    self._compiled: dict[tuple[int, ...], Callable[..., Any]] = {}

  def __call__(self, state: Any, host_batch: HostBatch) -> Any:
    """The state after the steps of the batch.

    Raises:
      ConfigError: the step does not fit; the message has both numbers.
    """
    shape = jax.tree.leaves(host_batch)[0].shape
    if shape not in self._compiled:
      compiled = self._function.lower(state, host_batch).compile()
      self._check(compiled.memory_analysis())
      self._compiled[shape] = compiled
    return self._compiled[shape](state, host_batch)

  def _check(self, analysis: Any) -> None:
    if analysis is None:
      return
    copies = 1 if self._limit is None else self._limit.shared
    arguments = analysis.argument_size_in_bytes
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    needed = {
      'state and batch': copies * arguments,
      'results': copies * max(results, 0),
      'intermediate values': copies * analysis.temp_size_in_bytes,
    }
    train = self._experiment.train
    hints = [
      'a smaller train.batch_size or task.length',
      f'train.grad_accum_steps={2 * train.grad_accum_steps}',
    ]
    if train.remat == 'none':
      hints.append('train.remat=full')
    _require('train.batch_size', train.batch_size, needed, self._limit, hints)


def size_of(tree: Any) -> int:
  """Bytes of all arrays; of one device's part, where shardings are given."""
  total = 0
  for leaf in jax.tree.leaves(tree):
    place = getattr(leaf, 'sharding', None)
    shape = leaf.shape if place is None else place.shard_shape(leaf.shape)
    total += math.prod(shape) * leaf.dtype.itemsize
  return total


def format_bytes(size: float) -> str:
  """Three digits and a unit: '23.4 GB', with 1 GB = 10^9 bytes."""
  power = 0
  while size >= 999.5 and power < len(UNITS) - 1:
    size, power = size / 1000, power + 1
  return f'{size:.3g} {UNITS[power]}'


def _name(experiment: Experiment) -> str:
  return experiment.config['model']['name']


def _hints(experiment: Experiment) -> list[str]:
  hints = ['a smaller model']
  if experiment.train.replicas > 1:
    hints.append('fewer train.replicas')
  return [*hints, 'a larger parallel.fsdp on more devices']


def _require(
  field: str,
  value: object,
  needed: Mapping[str, int],
  limit: Limit | None,
  hints: list[str],
) -> None:
  total = sum(needed.values())
  if limit is None or total <= limit.bytes:
    return
  parts = ', '.join(
    f'{name} {format_bytes(size)}' for name, size in needed.items() if size
  )
  raise ConfigError(
    field,
    value,
    f'needs {format_bytes(total)} ({parts}), and {limit.what} '
    f'{format_bytes(limit.bytes)}; {" or ".join(hints)} helps',
  )
