"""Which part of a memory must change to recall more pairs in longer rows?

    python -m experiments.adapt.run [--runs=FOLDER]

A Mamba-2 learns 4 pairs in 64 steps. Then each part of it alone is trained on
64 pairs in 512 steps, with two seeds. The same command resumes.
"""

import argparse
from pathlib import Path
import subprocess
import sys

import jax

from experiments.adapt.recall import PARTS, get_config
from memjax.config.reader import read_experiment
from memjax.logs import metrics_file
from memjax.training.adapt import initial_parts


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/adapt'))
  runs = parser.parse_args().runs
  base = runs / 'base'
  subprocess.run(command('base', base), check=True)
  print('trained part | parameters | accuracy on 512 steps | on 64 steps')
  print(f'nothing | 0 | {scores(base, "long")} | {scores(base, "short")}')
  for part in PARTS:
    source = '' if part == 'from_random' else str(base)
    workdir = runs / part
    subprocess.run(command(part, workdir, source), check=True)
    row = part.replace('_', ' '), f'{trained_size(part):,}'
    on = scores(workdir, 'long'), scores(workdir, 'short')
    print(' | '.join((*row, *on)), flush=True)


def command(variant: str, workdir: Path, source: str = '') -> list[str]:
  """The command that trains a variant from a base, or from random numbers."""
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  config = f'--config=experiments/adapt/recall.py:{variant}'
  return [*launch, config, f'--config.train.init_from={source}']


def scores(workdir: Path, name: str) -> str:
  """'0.812, 0.834': the accuracy of a set, of each seed."""
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  last = [row for row in rows if row['split'] == name][-1]
  if 'replicas' not in last:
    return f'{last["metrics"]["accuracy"]:.3f}'
  one, other = last['replicas']['accuracy']
  return f'{one:.3f}, {other:.3f}'


def trained_size(part: str) -> int:
  """The number of parameters that are trained."""
  experiment = read_experiment(get_config(part).to_dict())
  _, params = jax.eval_shape(
    lambda: initial_parts(experiment, jax.random.key(0))
  )
  return sum(leaf.size for leaf in jax.tree.leaves(params))


if __name__ == '__main__':
  main()
