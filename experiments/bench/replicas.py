"""What N seeds in one program gain over N runs one after another.

    python -m experiments.bench.replicas [ROUNDS]

For each N, a call with `train.replicas = N` races against N calls of one run,
whose program is compiled once. Both have their batches on the device. They take
turns at going first. A row gives the steps per second of all replicas together,
then the time of N runs over the time of N replicas in the same round: the
median over rounds (quartiles). Above 1, replicas are faster. The last ratio is
for runs of LONG steps with compiling, which N runs do once, like N replicas.
Seconds are the processor's, so other work on the machine does not count: give
the process one core, with `taskset -c 1 python ...`.
"""

import platform
import sys
import time

import jax
import numpy as np

from experiments.bench.layers import Step, machine, measure, seconds, spread
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import adding, mqar
from memjax.configs.models import model
from memjax.tasks.base import Stream
from memjax.training import parallel
from memjax.training.prefetch import prefetch
from memjax.training.program import program

REPLICAS = (1, 2, 4, 8, 16)
WIDTHS = (32, 128)
CALL, LONG = 2, 1000  # steps
CLOCK = time.process_time
WORK = {
  'LSTM on adding': (adding, 'lstm', 1, {'length': 100}),
  'Transformer on MQAR': (mqar, 'transformer', 2, {'vocab': 256}),
}


def build(name: str, width: int, replicas: int) -> Experiment:
  """The run of this name, width and number of replicas, on 16 rows a step."""
  family, memory, layers, task = WORK[name]
  config = family.get_config(memory)
  with config.unlocked():
    config.task.update(task)
    config.model = model(memory, width, layers, window=config.task.length)
    config.train.update(
      batch_size=16, steps_per_call=CALL, steps=LONG, replicas=replicas
    )
    config.parallel.data = 1
  return read_experiment(config.to_dict())


def call_of(experiment: Experiment) -> Step:
  """Trains for CALL more steps on one batch; the first call compiles."""
  mesh, train = parallel.make_mesh(experiment.parallel), experiment.train
  run = program(experiment, mesh)
  state = run.initial_state()
  stream = Stream(0, 0, train.batch_size)
  calls = range(0, CALL, CALL)
  (host_batch,) = prefetch(
    experiment.task, stream, mesh, calls, CALL, train.replicas
  )

  def call() -> None:
    nonlocal state
    state = jax.block_until_ready(run.advance(state, host_batch))

  return call


def rows(name: str, width: int, rounds: int) -> None:
  """Prints a row for each number of replicas."""
  calls = {n: call_of(build(name, width, n)) for n in REPLICAS}
  alone = calls[1]

  def apart(runs: int) -> Step:
    def call() -> None:
      for _ in range(runs):
        alone()

    return call

  first = {n: seconds(call, CLOCK) for n, call in calls.items()}
  steps = {}
  for n in REPLICAS:
    steps['together', n], steps['apart', n] = calls[n], apart(n)
  taken = measure(steps, rounds, CLOCK)
  once = np.median(taken['together', 1])
  for n in REPLICAS:
    together, side = taken['together', n], taken['apart', n]
    times = LONG / CALL
    compiling = first[n] - np.median(together)
    long = first[1] - once + times * side
    long /= compiling + times * together
    rate = n * CALL / np.median(together)
    cells = [name, width, n, f'{rate:.0f}', spread(side / together)]
    cells += [f'{compiling:.1f}', spread(long)]
    print(f'| {" | ".join(map(str, cells))} |', flush=True)


def main() -> None:
  rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
  versions = f'Python {platform.python_version()}, jax {jax.__version__}'
  print(f'{machine()}; {versions}, {rounds} rounds')
  print('| what | width | N | steps/s | N runs / N replicas ', end='')
  print(f'| compiling, s | {LONG} steps with compiling |')
  print('|---|---|---|---|---|---|---|')
  for name in WORK:
    for width in WIDTHS:
      rows(name, width, rounds)


if __name__ == '__main__':
  main()
