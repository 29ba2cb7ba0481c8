"""What a workdir is made by: its config, its task's face, its machines.

`interface.json` holds what a model has to know of its task (what it reads,
what it answers, the tokenizer), so that a trained model can be loaded where
the task's data are not.
"""

from collections.abc import Mapping
import datetime
import importlib.metadata
import json
import os
from pathlib import Path
import platform
import sys
from typing import Any, NamedTuple

import jax

from memjax.config.experiment import Experiment
from memjax.config.sections import flatten
from memjax.data.tokenizers import Tokenizer, from_json
from memjax.errors import ConfigError, require
from memjax.tasks.base import Task
from memjax.types import Spec, spec_from_json

MAY_DIFFER = ('log.', 'parallel.')  # how it is shown and where it runs
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


class Interface(NamedTuple):
  """What a model has to know of its task."""

  input_spec: Spec
  output_spec: Spec
  tokenizer: Tokenizer | None


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
  _write(workdir / 'interface.json', _interface(experiment.task))
  starts = read_starts(workdir)
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


def read_interface(workdir: Path) -> Interface:
  """What the workdir's model reads and answers.

  Raises:
    ConfigError: the folder is no workdir.
  """
  path = workdir / 'interface.json'
  require(path.exists(), 'workdir', str(workdir), 'has no interface.json')
  record = json.loads(path.read_text())
  tokenizer = record['tokenizer']
  return Interface(
    spec_from_json(record['input_spec']),
    spec_from_json(record['output_spec']),
    tokenizer and from_json(tokenizer),
  )


def read_starts(workdir: Path) -> list[dict[str, Any]]:
  """What `run.json` says of every start: when, by what, on what machine."""
  path = workdir / 'run.json'
  return json.loads(path.read_text()) if path.exists() else []


def _interface(task: Task) -> dict[str, Any]:
  tokenizer = task.tokenizer
  return {
    'input_spec': task.input_spec.to_json(),
    'output_spec': task.output_spec.to_json(),
    'tokenizer': tokenizer and tokenizer.to_json(),
  }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """`field is A there, B here` for every field that a resume may not change."""
  there, here = flatten(old), flatten(new)
  return [
    f'{field} is {there.get(field)!r} there, {here.get(field)!r} here'
    for field in sorted(there.keys() | here.keys())
    if there.get(field) != here.get(field) and not field.startswith(MAY_DIFFER)
  ]


def _start(fingerprint: str) -> dict[str, Any]:
  return {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'command': sys.argv,
    'python': platform.python_version(),
    'versions': {p: importlib.metadata.version(p) for p in PACKAGES},
    'devices': [d.device_kind for d in jax.devices()],
    'hosts': jax.process_count(),
    'processor': processor(),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'data_fingerprint': fingerprint,
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


def _write(path: Path, content: Any) -> None:
  unfinished = path.with_suffix('.tmp')
  unfinished.write_text(json.dumps(content, indent=2) + '\n')
  unfinished.replace(path)
