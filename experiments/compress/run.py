"""What fewer bits of parameters and carry cost six memories, by distance.

    python -m experiments.compress.run [--runs=FOLDER] [--memories=gru,lstm]

Each memory learns, with three seeds, to repeat 4 symbols that stand among
blanks. Then its parameters, or its carry after every step, are stored in fewer
bits or numbers. The same command resumes.
"""

import argparse
from pathlib import Path
import subprocess
import sys

from experiments.compress import by_distance
from memjax.analysis.base import write_csv
from memjax.analysis.compression import Compression
from memjax.logs import metrics_file
from memjax.report.runs import load_runs

MEMORIES = ('lstm', 'gru', 'transformer_xl', 'mamba2', 'gla', 'delta_net')
SETTINGS = {
  'log.wandb.mode': 'disabled',
  'model.width': 64,
  'model.depth': 2,
  'task.length': 32,
  'task.symbols': 4,
  'task.vocab': 10,
  'train.batch_size': 32,
  'train.steps': 1500,
  'train.replicas': 3,
  'train.stop_when': 'held_out/accuracy >= 0.995',
  'optim.learning_rate': 3e-3,
  'optim.warmup_steps': 50,
  'optim.weight_decay': 0.01,
  'evals.held_out.every': 250,
  'evals.length_512.every': 0,
  'evals.symbols_32.every': 0,
  'checkpoint.every': 250,
}
WINDOWS = {'transformer_xl': 32}  # steps that a memory sees


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/compress'))
  parser.add_argument('--memories', default=','.join(MEMORIES))
  given = parser.parse_args()
  names = given.memories.split(',')
  for name in names:
    subprocess.run(command(name, given.runs / name), check=True)
  instrument, results = Compression(max_bins=8, batches=8), {}
  for run in load_runs([given.runs / name for name in names]):
    results[run.name] = instrument.measure(run.model, run.params_N, run.task)
    rows = metrics_file.load_rows(run.workdir / 'metrics.jsonl')
    last = [row for row in rows if row['split'] == 'held_out'][-1]
    accuracy = last['metrics']['accuracy']
    print(f'{run.name}: accuracy {accuracy:.3f} at step {last["step"]}')
  table = given.runs / 'compression.csv'
  write_csv(results, table)
  scores = by_distance.read_scores(table)
  print(*by_distance.tables(scores), sep='\n')
  by_distance.draw(scores, given.runs / 'compression.png')


def command(name: str, workdir: Path) -> list[str]:
  """The command that trains a memory."""
  settings = dict(SETTINGS)
  if name in WINDOWS:
    settings['model.layer.window'] = WINDOWS[name]
  words = [f'--config.{field}={value}' for field, value in settings.items()]
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  config = f'--config=configs/recall.py:selective_copy-{name}'
  return [*launch, config, *words]


if __name__ == '__main__':
  main()
