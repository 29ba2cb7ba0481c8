"""What was trained: model, task, size, machine and config of each run."""

from collections.abc import Sequence
import json
import shlex
from typing import Any

import jax

from memjax.analysis.section import Section, Table
from memjax.analysis.state_size import state_size
from memjax.config.sections import flatten
from memjax.errors import ConfigError
from memjax.logs import metrics_file
from memjax.logs.console import format_duration
from memjax.logs.headline import describe_diverged
from memjax.report.runs import ReportedRun, memories


def section(runs: Sequence[ReportedRun]) -> Section:
  """Facts side by side, the differences of the configs, each whole config."""
  facts = [_facts(run) for run in runs]
  names = [run.name for run in runs]
  rows = [[field, *(fact[field] for fact in facts)] for field in facts[0]]
  tables = [Table(['', *names], rows)]
  if differing := _differences([run.config for run in runs]):
    caption = 'Differences of the configs'
    tables.append(Table(['field', *names], differing, caption))
  return Section(
    'What was trained',
    tables=tables,
    folded=[(f'Config of {run.name}', _config_text(run)) for run in runs],
  )


def _facts(run: ReportedRun) -> dict[str, str]:
  config, trained, replicas = run.config, run.trained, run.replicas
  train, seed = config['train'], config['seed']
  last = seed + replicas - 1
  params = sum(x.size for x in jax.tree.leaves(trained.params)) // replicas
  gone = describe_diverged(run.diverged)
  gone = gone and f'; {gone} and is measured no more'
  facts = {
    'task': config['task']['name'],
    'memory': memories(config['model']),
    'parameters': f'{params:,}',
    'state of a row': f'{sum(state_size(run.model)):,} bytes',
    'steps': f'{trained.step:,} of {train["steps"]:,}',
    'rows in a step': f'{train["batch_size"]:,}',
    'seeds': (f'{seed}' if last == seed else f'{seed} to {last}') + gone,
    'trained for': format_duration(metrics_file.training_seconds(run.rows)),
  }
  facts['instruments read'] = _read_by_instruments(run)
  return facts | _machine(run.starts)


def _read_by_instruments(run: ReportedRun) -> str:
  try:
    name, has_data = run.held_out_set, bool(run.task.fingerprint())
  except ConfigError:
    return 'nothing: the data are not on this machine'
  if name:
    return f'the evaluation set {name}'
  return 'the training text' if has_data else 'new rows of the task'


def _machine(starts: Sequence[dict[str, Any]]) -> dict[str, str]:
  """The machine of the last start."""
  last = starts[-1]
  kinds = [f'{last["devices"].count(k)} x {k}' for k in set(last['devices'])]
  processor, versions = last['processor'], last['versions']
  model = processor.get('model') or processor['machine']
  return {
    'devices': f'{", ".join(sorted(kinds))}, on {last["hosts"]} host(s)',
    'processor': f'{model}, {processor["cores"]} cores',
    'versions': f'Python {last["python"]}, jax {versions["jax"]}, '
    f'flax {versions["flax"]}',
    'data': last['data_fingerprint'][:12] or 'generated',
    'started': f'{starts[0]["time"][:16].replace("T", " ")} UTC'
    + (f', restarted {len(starts) - 1} times' if len(starts) > 1 else ''),
  }


def _differences(configs: Sequence[dict[str, Any]]) -> list[list[str]]:
  flat = [flatten(config) for config in configs]
  fields = sorted({field for config in flat for field in config})
  values = [[field, *(c.get(field, '—') for c in flat)] for field in fields]
  return [
    [field, *map(str, each)]
    for field, *each in values
    if any(value != each[0] for value in each)
  ]


def _config_text(run: ReportedRun) -> str:
  command = shlex.join(['python', *run.starts[-1]['command']])
  return f'{command}\n\n{json.dumps(run.config, indent=2)}'
