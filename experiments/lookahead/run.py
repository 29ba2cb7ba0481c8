"""What the future is worth: accuracy by the steps that a memory waits.

    python -m experiments.lookahead.run [--layer=gru.GRU] [--runs=FOLDER]

Each memory waits 0, 1, 2, 4, 8 steps or reads both ways, on hidden tags. Beside
each stands the best predictor that waits as long. The same command resumes.
"""

import argparse
from pathlib import Path
import subprocess
import sys

from memjax.configs.lookahead import BOTH, STEPS
from memjax.logs import metrics_file
from memjax.tasks.language.hidden_tags import HiddenTags

SETTINGS = (
  'log.wandb.mode=disabled',
  'task.task.length=32',
  'model.width=32',
  'train.steps=400',
  'train.replicas=3',
  'evals.held_out.every=400',
  'checkpoint.every=400',
)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--layer', default='gru.GRU')
  parser.add_argument('--runs', type=Path, default=Path('runs/lookahead'))
  given = parser.parse_args()
  task = HiddenTags(length=32)
  print('waits | accuracy: median (least to most of 3 seeds) | best possible')
  for wait in (*STEPS, BOTH):
    workdir = given.runs / given.layer / wait
    subprocess.run(command(wait, given.layer, workdir), check=True)
    rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
    seen = [row for row in rows if row['split'] == 'held_out'][-1]
    low, middle, high = sorted(seen['replicas']['accuracy'])
    best = task.best_accuracy(task.length if wait == BOTH else int(wait))
    print(f'{wait} | {middle:.3f} ({low:.3f} to {high:.3f}) | {best:.3f}')


def command(wait: str, layer: str, workdir: Path) -> list[str]:
  """The command that trains a memory that waits this long."""
  words = [f'--config.{setting}' for setting in SETTINGS]
  place = 'model.layer.name' if wait == '0' else 'model.layer.layer.name'
  words.append(f'--config.{place}={layer}')
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*launch, f'--config=configs/lookahead.py:gru-{wait}', *words]


if __name__ == '__main__':
  main()
