"""Times of whole training steps of the leaderboard's cells, memories in turn.

    taskset -c 0 python -m experiments.bench.cells TASK MEMORY [MEMORY ...]
        [--rounds 20] [--width 64]

A step is that of a cell with one replica: two layers, readout, loss, clipping
and AdamW. Each memory's row gives the processor time of a step, and the time
of the first memory's step divided by it in the same round, both as medians
with quartiles. Above 1, the memory is faster than the first. To compare two
versions of memjax, run the command in both, in turns.
"""

import argparse
from collections.abc import Sequence
import platform
import sys
import time

import jax
import numpy as np

from experiments.bench.layers import Step, machine, measure, spread
from experiments.leaderboard.config import get_config
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError
from memjax.runs import exit_codes
from memjax.tasks.base import Stream
from memjax.training import parallel
from memjax.training.prefetch import prefetch
from memjax.training.program import program


def step_of(task: str, memory: str, width: int) -> Step:
  """A step of the cell, each from the state after the last."""
  config = get_config(f'{task}-{memory}-{width}').to_dict()
  config['train'].update(replicas=1, steps_per_call=1, stop_when='')
  config['optim']['per_replica'] = ''
  config['evals'] = {}
  experiment = read_experiment(config)
  mesh = parallel.make_mesh(experiment.parallel)
  run = program(experiment, mesh)
  state = run.initial_state()
  stream = Stream(0, 0, experiment.train.batch_size)
  (batch,) = prefetch(experiment.task, stream, mesh, range(1), 1, 1)

  def step() -> None:
    nonlocal state
    state = jax.block_until_ready(run.advance(state, batch))

  return step


def rows(task: str, memories: list[str], width: int, rounds: int) -> list[str]:
  """A row of the table for each memory."""
  steps = {memory: step_of(task, memory, width) for memory in memories}
  taken = measure(steps, rounds, time.process_time)
  first = taken[memories[0]]
  lines = []
  for memory, times in taken.items():
    low, middle, high = 1e3 * np.quantile(times, [0.25, 0.5, 0.75])
    cells = (
      memory,
      f'{middle:.1f} ({low:.1f}-{high:.1f})',
      spread(first / times),
    )
    lines.append(f'| {" | ".join(cells)} |')
  return lines


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('task')
  parser.add_argument('memories', nargs='+')
  parser.add_argument('--rounds', type=int, default=20)
  parser.add_argument('--width', type=int, default=64)
  given = parser.parse_args(words)
  versions = f'Python {platform.python_version()}, jax {jax.__version__}'
  try:
    table = rows(given.task, given.memories, given.width, given.rounds)
  except ConfigError as error:
    print(f'experiments.bench.cells: {error}', file=sys.stderr)
    return exit_codes.REFUSED
  print(f'{machine()}; {versions}, {given.rounds} rounds, {given.task}')
  print(f'| memory | ms a step | {given.memories[0]} / memory |')
  print('|---|---|---|')
  print('\n'.join(table))
  return exit_codes.FINISHED


if __name__ == '__main__':
  sys.exit(main())
