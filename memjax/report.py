"""What a run says when it is done: figures, a sample, where it all is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memjax.analysis.figures import learning_curve
from memjax.errors import ConfigError, require
from memjax.generate import generate
from memjax.loading import Run, load
from memjax.tasks.base import Task
from memjax.training import history
from memjax.training.settings import Experiment
from memjax.training.writers import Nowhere, Writers


def draw(
  experiment: Experiment, workdir: Path, writers: Writers | Nowhere
) -> None:
  """Draws the learning curve of the rows so far, and shows it in the views."""
  path = workdir / 'figures' / 'learning_curve.png'
  path.parent.mkdir(exist_ok=True)
  rows = history.read(workdir / 'metrics.jsonl')
  learning_curve(rows, references(experiment), path)
  writers.figure('learning_curve', path)


def summarise(experiment: Experiment, workdir: Path) -> None:
  """Prints the last figures beside their baselines, a sample, and the place."""
  last = {
    row['split']: row
    for row in history.read(workdir / 'metrics.jsonl')
    if row['split'] in experiment.evals
  }
  for row in last.values():
    print_evaluation(experiment, row)
  log = experiment.log
  if log.sample:
    run = load(workdir)
    print(f'\n{log.sample} characters that follow {log.prompt!r}:')
    print(log.prompt + ''.join(sample(run, log.prompt, log.sample, 1.0, 0)))
  print(
    f'\nEverything is in {workdir}: metrics.jsonl, checkpoints/, '
    'figures/learning_curve.png, config.json, run.json'
  )


def print_evaluation(experiment: Experiment, row: Mapping[str, Any]) -> None:
  """One evaluation's figures, the baselines beside them, and the protocol."""
  task = experiment.evals[row['split']].task
  print(f'{row["split"]} at step {row["step"]}')
  for name, value in row['metrics'].items():
    beside = ''.join(
      f'   {reference}: {figure:.4g}'
      for reference, figure in task.baselines.get(name, {}).items()
    )
    print(f'  {name:20} {value:.4g}{beside}')
  said = ', '.join(f'{k} {v}' for k, v in row['protocol'].items())
  print(f'  protocol: {said}')


def references(experiment: Experiment) -> dict[str, dict[str, float]]:
  """The baselines to draw: the first evaluation set's, or training's."""
  tasks: list[Task] = [e.task for e in experiment.evals.values()]
  return (tasks or [experiment.task])[0].baselines


def sample(
  run: Run, prompt: str, length: int, temperature: float, seed: int
) -> Iterator[str]:
  """Pieces of text that follow the prompt, `length` tokens in all.

  Raises:
    ConfigError: the run's task is not text, or the prompt is empty.
  """
  if run.tokenizer is None:
    name = run.config['task']['name']
    raise ConfigError('task.name', name, 'is not text: it cannot be sampled')
  require(bool(prompt), 'prompt', prompt, 'must hold at least one character')
  ids = run.tokenizer.encode(prompt.encode())
  tokens = generate(
    run.model, run.params, ids, temperature=temperature, seed=seed
  )
  decode = run.tokenizer.decoder()
  for _ in range(length):
    yield decode(next(tokens))
