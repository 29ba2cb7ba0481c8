"""What fewer bits of parameters and carry cost six memories, by distance.

    python -m experiments.compress.run [--runs=FOLDER] [--memories=gru,lstm]

Each memory learns to recall 4 pairs in 64 steps. Then its parameters, or its
carry after every step, are stored in fewer bits or numbers. The same command
resumes.
"""

import argparse
from pathlib import Path
import subprocess
import sys

from memjax.analysis.base import write_csv
from memjax.analysis.compression import Compression
from memjax.logs import metrics_file
from memjax.report.runs import load_runs

MEMORIES = (
  'lstm',
  'transformer_xl',
  'gru',
  'mamba2',
  'gla',
  'linear_attention',
)
SETTINGS = {
  'log.wandb.mode': 'disabled',
  'model.width': 32,
  'model.depth': 2,
  'task.vocab': 64,
  'train.batch_size': 32,
  'train.steps': 1000,
  'train.stop_when': 'held_out/accuracy >= 0.99',
  'optim.learning_rate': 3e-3,
  'optim.warmup_steps': 50,
  'evals.held_out.every': 300,
  'evals.twice.every': 0,
  'checkpoint.every': 300,
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/compress'))
  parser.add_argument('--memories', default=','.join(MEMORIES))
  given = parser.parse_args()
  names = given.memories.split(',')
  for name in names:
    subprocess.run(command(name, given.runs / name), check=True)
  instrument, results = Compression(max_bins=3, batches=8), {}
  for run in load_runs([given.runs / name for name in names]):
    results[run.name] = instrument.measure(run.model, run.params_N, run.task)
    rows = metrics_file.load_rows(run.workdir / 'metrics.jsonl')
    last = [row for row in rows if row['split'] == 'held_out'][-1]
    accuracy = last['metrics']['accuracy']
    print(f'{run.name}: accuracy {accuracy:.3f} at step {last["step"]}')
  write_csv(results, given.runs / 'compression.csv')
  for table in instrument.show(results).tables:
    print(f'\n{table.caption}\n\n{" | ".join(table.head)}')
    print('\n'.join(' | '.join(row) for row in table.rows))


def command(name: str, workdir: Path) -> list[str]:
  """The command that trains a memory."""
  words = [f'--config.{field}={value}' for field, value in SETTINGS.items()]
  launch = [sys.executable, 'launch.py', f'--workdir={workdir}']
  return [*launch, f'--config=configs/mqar.py:{name}', *words]


if __name__ == '__main__':
  main()
