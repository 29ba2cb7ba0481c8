"""What a run prints at its end: figures, a sample, and where its files are."""

from collections.abc import Collection, Mapping
from pathlib import Path
import textwrap
from typing import Any

from memjax.config.experiment import Experiment
from memjax.generation.session import sample
from memjax.logs import metrics_file
from memjax.logs.console import (
  describe_spread,
  first_line,
  format_number,
  print_error,
)
from memjax.logs.headline import Spread, describe_diverged, shown, spread
from memjax.logs.learning_curves import learning_curve
from memjax.logs.writers import NullWriter, Writers
from memjax.runs.load import load

LEARNING_CURVE = 'figures/learning_curve.png'
SAMPLE = 'sample.txt'
FILES = (
  'metrics.jsonl',
  'checkpoints',
  LEARNING_CURVE,
  'documents',
  SAMPLE,
  'config.json',
  'run.json',
)
INDENT = '  '


def draw(
  experiment: Experiment, workdir: Path, writers: Writers | NullWriter
) -> None:
  """Passes the learning curve and a sample of text to the writers.

  The curve only repeats `metrics.jsonl`. If it cannot be drawn, one line is
  printed and the run goes on.
  """
  path = workdir / LEARNING_CURVE
  try:
    path.parent.mkdir(exist_ok=True)
    rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
    learning_curve(rows, first_baselines(experiment), path)
  except Exception as error:
    print_error(f'{path}: not drawn: {first_line(error)}')
  else:
    writers.figure('learning_curve', path)
  log = experiment.log
  if log.sample:
    pieces = sample(load(workdir), log.prompt, log.sample)
    text = log.prompt + ''.join(pieces)
    (workdir / SAMPLE).write_text(text, encoding='utf-8')
    writers.text('sample', text)


def summarise(experiment: Experiment, workdir: Path) -> None:
  """Prints the last figures with their baselines, a sample, and the files."""
  last = {
    row['split']: row
    for row in metrics_file.load_rows(workdir / 'metrics.jsonl')
    if row['split'] in experiment.evals
  }
  for row in last.values():
    print_evaluation(experiment, row)
  log = experiment.log
  if log.sample:
    after = f' that follow {log.prompt!r}' if log.prompt else ''
    print(f'\n{log.sample} tokens{after}:')
    print((workdir / SAMPLE).read_text(encoding='utf-8'))
  files = [name for name in FILES if (workdir / name).exists()]
  print()
  print(wrap(f'Everything is in {workdir}: {", ".join(files)}', INDENT))


def print_evaluation(experiment: Experiment, row: Mapping[str, Any]) -> None:
  """Prints the figures of one evaluation, their baselines and the protocol."""
  metrics, evaluation = row['metrics'], experiment.evals[row['split']]
  best = experiment.checkpoint.best
  names = shown(metrics, best)
  width = max(map(len, names))
  print(f'\n{row["split"]} at step {row["step"]}')
  for name in names:
    notes = [
      f'{baseline} {format_number(figure)}'
      for baseline, figure in evaluation.baselines.get(name, {}).items()
    ]
    if found := spread(row, name):
      notes.insert(0, describe_replicas(found))
      if gone := describe_diverged(row.get('diverged', {})):
        notes[0] += f'; {gone}'
    value = format_number(metrics[name])
    figure = f'  {name:{width}}  {value:>8}   '
    indent = ' ' * len(figure)
    print(wrap(figure + ', '.join(notes), indent))
  changes = {*evaluation.changes, *row.get('overrides', ())}
  print(wrap(f'{INDENT}({protocol(row, changes)})', INDENT))


def wrap(text: str, indent: str) -> str:
  """Lines of at most 80 columns; all but the first are indented."""
  return textwrap.fill(
    text,
    80,
    subsequent_indent=indent,
    break_long_words=False,
    break_on_hyphens=False,
  )


def describe_replicas(found: Spread) -> str:
  """Least and most over replicas, and how many solved the task."""
  seeds = f'{found.finite} of ' if found.finite < found.replicas else ''
  told = describe_spread(found._replace(replicas=found.finite))
  return f'median of {seeds}{found.replicas} seeds {told}'


def protocol(row: Mapping[str, Any], changes: Collection[str]) -> str:
  """How a row's figures were measured.

  Fields of the task and the model are listed if they differ from training;
  other fields if they are not 0 or empty.
  """
  return '; '.join(
    f'{field} {value}'
    for field, value in row['protocol'].items()
    if field in changes or ('.' not in field and (value or value is False))
  )


def first_baselines(experiment: Experiment) -> dict[str, dict[str, float]]:
  """The baselines of the first evaluation set that has any."""
  each = (evaluation.baselines for evaluation in experiment.evals.values())
  return next(filter(None, each), {})
