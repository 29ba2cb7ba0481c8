"""Where and with what a run was started: what its bits depend on."""

import datetime
import importlib.metadata
import os
from pathlib import Path
import platform
import sys
from typing import Any

import jax

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
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
  }


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
