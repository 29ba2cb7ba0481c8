"""Trains memories to copy up to 20 vectors, and measures them on up to 120.

    python -m experiments.ntm.run [MODEL ...]

A run is all seeds of one model in one program, kept in runs/ntm/MODEL. The same
command resumes. At the end it prints a table in Markdown: wrong bits per
sequence at each length, as the median over seeds and for each seed, and the
number of seeds that solve the length: less than one wrong bit in 100 sequences.
"""

import argparse
from pathlib import Path

from ml_collections import ConfigDict
import numpy as np

from memjax.config.reader import read_experiment
from memjax.configs import ntm_tasks
from memjax.errors import ConfigError, Diverged
from memjax.logs import metrics_file
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.training.loop import train

MODELS = ('ntm', 'lstm', 'transformer_xl', 'dnc')
LENGTHS = (20, 40, 80, 120)
SOLVED = 0.01  # wrong bits per sequence


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('models', nargs='*', default=MODELS)
  parser.add_argument('--steps', type=int, default=3000)
  parser.add_argument('--seeds', type=int, default=4)
  parser.add_argument('--rate', type=float, default=3e-3, help="Adam's")
  parser.add_argument('--runs', type=Path, default=Path('runs/ntm'))
  given = parser.parse_args()
  enable_compilation_cache()
  for model in given.models:
    try:
      config = configured(model, given.steps, given.seeds, given.rate)
      run(config, given.runs / model)
    except (ConfigError, Diverged, OSError) as error:
      print(f'{model} failed: {error}', flush=True)
  lengths = ' | '.join(map(str, LENGTHS))
  print(
    f'\n| model | sequences | {lengths} |\n|---|---|{"---|" * len(LENGTHS)}'
  )
  for model in given.models:
    print(line(model, given.runs / model))


def configured(model: str, steps: int, seeds: int, rate: float) -> ConfigDict:
  """The config of all seeds of one model: the family's, with Adam."""
  config = ntm_tasks.get_config(f'copy-{model}').unlock()
  config.train.update(steps=steps, steps_per_call=10, replicas=seeds)
  config.optim.update(name='adam', learning_rate=rate)
  config.optim.options = {}
  config.parallel.data = 1
  config.log.update(every=steps // 30)
  config.log.wandb.mode = 'disabled'
  config.checkpoint.update(every=steps // 6, best='')
  for evaluation in config.evals.values():
    evaluation.every = steps
  return config


def run(config: ConfigDict, workdir: Path) -> None:
  """Trains and measures. A run that is interrupted ends the study."""
  if not train(read_experiment(config.to_dict()), workdir, lambda *run: None):
    print(f'stopped and saved in {workdir}: the same command resumes')
    raise SystemExit(exit_codes.STOPPED)


def line(model: str, workdir: Path) -> str:
  """The model's row of the table."""
  rows = {
    r['split']: r for r in metrics_file.load_rows(workdir / 'metrics.jsonl')
  }
  cells = [f'{rows["train"]["step"] * 16}'] if rows else ['none']
  for length in LENGTHS:
    row = rows.get(f'length_{length}')
    if row is None:
      cells.append('not measured')
      continue
    wrong = np.array(row['replicas']['bits_wrong'])
    each = ' '.join(f'{w:.2f}' for w in wrong)
    solved = f'{(wrong < SOLVED).sum()} of {len(wrong)}'
    cells.append(f'{np.median(wrong):.2f} ({each}), {solved}')
  return f'| {model} | {" | ".join(cells)} |'


if __name__ == '__main__':
  main()
