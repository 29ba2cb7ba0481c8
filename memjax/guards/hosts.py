"""Processes of one run that disagree are refused before the first step.

Two hosts with another learning rate, another text or another library train a
mixture of two runs, and `config.json` shows only one of them.
"""

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any

import jax

from memjax.config.experiment import Experiment
from memjax.config.sections import flatten
from memjax.errors import require
from memjax.guards import join
from memjax.runs.environment import environment
from memjax.runs.sources import PACKAGE, own_modules, sha256

OWN = ('parallel.process',)  # what must differ


def require_same(experiment: Experiment, workdir: Path) -> None:
  """Requires this process to train the run that process 0 trains.

  None goes on before all have agreed. A run of one process agrees with itself:
  nothing is read.

  Raises:
    ConfigError: names the first field that differs, with both values.
  """
  if jax.process_count() == 1:
    return
  facts = facts_of(experiment, workdir)
  rank = jax.process_index()
  compare(facts, join.share('facts', facts)[0], rank)
  join.share('agreed', True)  # one that refuses ends the others here


def compare(
  here: Mapping[str, Any], first: Mapping[str, Any], rank: int
) -> None:
  """Requires the facts of a process to be those of process 0.

  Raises:
    ConfigError: names the first field that differs, with both values.
  """
  for field in [*here, *(first.keys() - here.keys())]:
    value, wanted = here.get(field), first.get(field)
    require(
      value == wanted,
      field,
      value,
      f'is that of process {rank}; process 0 has {wanted!r}: every process '
      'of a run must have the same',
    )


def facts_of(experiment: Experiment, workdir: Path) -> dict[str, Any]:
  """What all processes of a run must have in common, by field."""
  config, found = flatten(experiment.config), environment()
  facts = {name: config[name] for name in config if name not in OWN}
  facts['workdir'] = str(workdir.absolute())
  facts['data of task'] = experiment.task.fingerprint()
  for name, evaluation in experiment.evals.items():
    facts[f'data of evals.{name}'] = evaluation.task.fingerprint()
  for path in sorted(PACKAGE.rglob('*.py')):
    facts[f'code of {path.relative_to(PACKAGE.parent)}'] = sha256(path)[:12]
  for name, path in own_modules(experiment.config).items():
    facts[f'code of {name}'] = sha256(path)[:12]
  facts['version of python'] = found['python']
  for name, version in found['versions'].items():
    facts[f'version of {name}'] = version
  facts['XLA_FLAGS'] = sorted(os.environ.get('XLA_FLAGS', '').split())
  facts['devices'] = sorted({d.device_kind for d in jax.local_devices()})
  if jax.default_backend() == 'cpu':
    facts['vector instructions'] = found['processor'].get('vector', [])
  return facts
