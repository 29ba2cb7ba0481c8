"""What each run is: its model and task, its size, its machine, its config."""

from collections.abc import Sequence
import json
import shlex
from typing import Any

import jax

from memjax.analysis.cost import state_size
from memjax.config.sections import flatten
from memjax.logs import metrics_file
from memjax.logs.console import duration
from memjax.report.page import Section, Table
from memjax.report.runs import Subject


def section(subjects: Sequence[Subject]) -> Section:
  """Facts side by side, what the configs differ in, and each whole config."""
  facts = [_facts(subject) for subject in subjects]
  names = [subject.name for subject in subjects]
  rows = [[field, *(fact[field] for fact in facts)] for field in facts[0]]
  tables = [Table(['', *names], rows)]
  if differing := _differences([s.run.config for s in subjects]):
    caption = 'What the configs differ in'
    tables.append(Table(['field', *names], differing, caption))
  return Section(
    'What was trained',
    tables=tables,
    folded=[(f'Config of {s.name}', _written(s)) for s in subjects],
  )


def _facts(subject: Subject) -> dict[str, str]:
  config, run = subject.run.config, subject.run
  train, seed = config['train'], config['seed']
  last = seed + subject.replicas - 1
  params = sum(x.size for x in jax.tree.leaves(run.params)) // subject.replicas
  facts = {
    'task': config['task']['name'],
    'memory': config['model'].get('memory', config['model'])['name'],
    'parameters': f'{params:,}',
    'state of a row': f'{sum(state_size(run.model)):,} bytes',
    'steps': f'{run.step:,} of {train["steps"]:,}',
    'rows in a step': f'{train["batch_size"]:,}',
    'seeds': f'{seed}' if last == seed else f'{seed} to {last}',
    'trained for': duration(metrics_file.seconds(subject.rows)),
  }
  return facts | _machine(subject.starts)


def _machine(starts: Sequence[dict[str, Any]]) -> dict[str, str]:
  """Where it was trained, by its last start."""
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
    + (f', and {len(starts) - 1} times again' if len(starts) > 1 else ''),
  }


def _differences(configs: Sequence[dict[str, Any]]) -> list[list[str]]:
  flat = [flatten(config) for config in configs]
  fields = sorted({field for config in flat for field in config})
  values = [[field, *(c.get(field, '—') for c in flat)] for field in fields]
  return [
    [field, *map(str, there)]
    for field, *there in values
    if any(value != there[0] for value in there)
  ]


def _written(subject: Subject) -> str:
  command = shlex.join(['python', *subject.starts[-1]['command']])
  return f'{command}\n\n{json.dumps(subject.run.config, indent=2)}'
