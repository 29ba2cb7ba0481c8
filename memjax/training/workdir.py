"""What a workdir is made by: its config, and the machines that ran it."""

from collections.abc import Mapping
import datetime
import importlib.metadata
import json
import os
from pathlib import Path
import platform
import sys
from typing import Any

import jax

from memjax.errors import ConfigError, require
from memjax.training.settings import Experiment, flatten

MAY_DIFFER = ('log.', 'parallel.')  # how it is shown and where it runs
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def claim(workdir: Path, experiment: Experiment) -> None:
  """Makes the workdir this experiment's, or checks that it already is.

  Writes `config.json` and adds this start to `run.json`.

  Raises:
    ConfigError: the folder holds another experiment, or the corpus that it
      was trained on has changed.
  """
  path = workdir / 'config.json'
  if path.exists():
    differing = differences(json.loads(path.read_text()), experiment.config)
    require(
      not differing,
      'workdir',
      str(workdir),
      f'was made by another config: {"; ".join(differing)}',
    )
  _write(path, experiment.config)
  starts = _starts(workdir)
  fingerprint = experiment.task.fingerprint()
  if starts and starts[-1]['data_fingerprint'] != fingerprint:
    raise ConfigError(
      'task',
      experiment.config['task']['name'],
      f'reads data that have changed since {workdir} was made',
    )
  _write(workdir / 'run.json', [*starts, _start(fingerprint)])


def read_config(workdir: Path) -> dict[str, Any]:
  """The config a workdir was made by.

  Raises:
    ConfigError: the folder is no workdir.
  """
  path = workdir / 'config.json'
  require(path.exists(), 'workdir', str(workdir), 'has no config.json')
  return json.loads(path.read_text())


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """`field is A there, B here` for every field that a resume may not change."""
  there, here = flatten(old), flatten(new)
  return [
    f'{field} is {there.get(field)!r} there, {here.get(field)!r} here'
    for field in sorted(there.keys() | here.keys())
    if there.get(field) != here.get(field) and not field.startswith(MAY_DIFFER)
  ]


def _starts(workdir: Path) -> list[dict[str, Any]]:
  path = workdir / 'run.json'
  return json.loads(path.read_text()) if path.exists() else []


def _start(fingerprint: str) -> dict[str, Any]:
  return {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'command': sys.argv,
    'python': platform.python_version(),
    'versions': {p: importlib.metadata.version(p) for p in PACKAGES},
    'devices': [d.device_kind for d in jax.devices()],
    'hosts': jax.process_count(),
    'processor': _processor(),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'data_fingerprint': fingerprint,
  }


def _processor() -> dict[str, Any]:
  """Model and vector instruction sets: what the bits of a CPU run depend on."""
  info = {'machine': platform.machine(), 'cores': os.cpu_count()}
  path = Path('/proc/cpuinfo')
  if path.exists():
    lines = dict(
      (part.strip() for part in line.split(':', 1))
      for line in path.read_text().splitlines()
      if ':' in line
    )
    flags = lines.get('flags', '').split()
    info['model'] = lines.get('model name', '')
    info['vector'] = [f for f in flags if f.startswith(('avx', 'amx', 'fma'))]
  return info


def _write(path: Path, content: Any) -> None:
  unfinished = path.with_suffix('.tmp')
  unfinished.write_text(json.dumps(content, indent=2) + '\n')
  unfinished.replace(path)
