"""Where and with what a run was started: what its bits depend on."""

from collections.abc import Iterator, Mapping
import datetime
import importlib.metadata
import os
from pathlib import Path
import platform
import sys
from typing import Any

import jax

from memjax.config.sections import flatten

# What a start records and bits depend on.
BITS = (
  *('python', 'versions', 'devices', 'hosts', 'processor', 'threads'),
  *('xla_flags', 'jax_flags'),
)
JAX_FLAGS = (
  *('jax_enable_x64', 'jax_default_matmul_precision'),
  *('jax_threefry_partitionable', 'jax_default_prng_impl'),
)
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def environment() -> dict[str, Any]:
  """Time, command, versions, devices and processor of this start."""
  return {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'command': sys.argv,
    'python': platform.python_version(),
    'versions': {p: importlib.metadata.version(p) for p in PACKAGES},
    'devices': [d.device_kind for d in jax.devices()],
    'hosts': jax.process_count(),
    'processor': processor(),
    'threads': threads(),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'jax_flags': {name: str(getattr(jax.config, name)) for name in JAX_FLAGS},
  }


def threads() -> int:
  """Number of processor cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def describe_changes(
  before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[str]:
  """A line for each change between two starts that bits depend on.

  Args:
    before: the `environment` of an earlier start.
    now: that of this one.
  """
  old, new = (flatten({k: x.get(k) for k in BITS}) for x in (before, now))
  for field in sorted(old.keys() | new.keys()):
    one, other = old.get(field), new.get(field)
    if one != other and field in old:
      yield f'{field}: {_short(other)} instead of {_short(one)}'


def _short(value: Any) -> str:
  """A list of devices as '2 x cpu', of instruction sets as it is."""
  if not isinstance(value, list):
    return str(value) or 'nothing'
  counts = {word: value.count(word) for word in value}
  words = (f'{n} x {word}' if n > 1 else word for word, n in counts.items())
  return ', '.join(words) or 'nothing'


def processor() -> dict[str, Any]:
  """Model and vector instruction sets: what the bits of a CPU run depend on."""
  info: dict[str, Any] = {
    'machine': platform.machine(),
    'cores': os.cpu_count(),
  }
  path = Path('/proc/cpuinfo')
  if path.exists():
    lines = [line.partition(':') for line in path.read_text().splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in lines}
    flags = fields.get('flags', '').split()
    info['model'] = fields.get('model name', '')
    info['vector'] = [f for f in flags if f.startswith(('avx', 'amx', 'fma'))]
  return info
