"""What a run says when it is done: figures, a sample, where it all is."""

from collections.abc import Collection, Mapping
from pathlib import Path
import textwrap
from typing import Any

from memjax.config.experiment import Experiment
from memjax.generation.session import sample
from memjax.logs import metrics_file
from memjax.logs.console import number
from memjax.logs.learning_curves import learning_curve
from memjax.logs.writers import NullWriter, Writers, reason, say
from memjax.runs.load import load

LEARNING_CURVE = 'figures/learning_curve.png'
KEPT = (
  'metrics.jsonl',
  'checkpoints',
  LEARNING_CURVE,
  'config.json',
  'run.json',
)
IN = '  '


def draw(
  experiment: Experiment, workdir: Path, writers: Writers | NullWriter
) -> None:
  """Draws the learning curve of the rows so far, and shows it in the views.

  A picture only shows what is in `metrics.jsonl`: where it cannot be drawn,
  one line says so, and the run ends as it would have.
  """
  path = workdir / LEARNING_CURVE
  try:
    path.parent.mkdir(exist_ok=True)
    rows = metrics_file.read(workdir / 'metrics.jsonl')
    learning_curve(rows, references(experiment), path)
  except Exception as error:
    say(f'{path}: not drawn: {reason(error)}')
  else:
    writers.figure('learning_curve', path)


def summarise(experiment: Experiment, workdir: Path) -> None:
  """Prints the last figures beside their baselines, a sample, and the place."""
  last = {
    row['split']: row
    for row in metrics_file.read(workdir / 'metrics.jsonl')
    if row['split'] in experiment.evals
  }
  for row in last.values():
    print_evaluation(experiment, row)
  log = experiment.log
  if log.sample:
    run = load(workdir)
    print(f'\n{log.sample} tokens that follow {log.prompt!r}:')
    print(log.prompt + ''.join(sample(run, log.prompt, log.sample, 1.0, 0)))
  there = [name for name in KEPT if (workdir / name).exists()]
  print(f'\nEverything is in {workdir}: {", ".join(there)}')


def print_evaluation(experiment: Experiment, row: Mapping[str, Any]) -> None:
  """One evaluation's figures, the baselines beside them, and the protocol.

  Of the task's and the model's fields only what differs from training is said,
  and nothing of what is 0 or empty.
  """
  metrics, evaluation = row['metrics'], experiment.evals[row['split']]
  width = max(map(len, metrics))
  print(f'\n{row["split"]} at step {row["step"]}')
  for name, value in metrics.items():
    beside = [
      f'{reference} {number(figure)}'
      for reference, figure in evaluation.baselines.get(name, {}).items()
    ]
    if 'replicas' in row:
      low, high = map(number, row['quartiles'][name])
      seeds = len(row['replicas'][name])
      beside.insert(0, f'median of {seeds} seeds, quartiles {low} and {high}')
    said = ', '.join(beside)
    print(f'  {name:{width}}  {number(value):>8}   {said}'.rstrip())
  said = f'({protocol(row, evaluation.changes)})'
  print(textwrap.fill(said, 80, initial_indent=IN, subsequent_indent=IN))


def protocol(row: Mapping[str, Any], changes: Collection[str]) -> str:
  """How a row's figures were measured; of the fields, those that changed."""
  return '; '.join(
    f'{field} {value}'
    for field, value in row['protocol'].items()
    if field in changes or ('.' not in field and value)
  )


def references(experiment: Experiment) -> dict[str, dict[str, float]]:
  """The baselines to draw: those of the first evaluation set that has any."""
  each = (evaluation.baselines for evaluation in experiment.evals.values())
  return next(filter(None, each), {})
