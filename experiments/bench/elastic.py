"""What `parallel.determinism = 'elastic'` and the watch over peers cost.

    python -m experiments.bench.elastic 5

Prints a table: processor seconds of an elastic step over those of a fixed one,
on 1 and on 8 virtual devices, median of the rounds, which take turns at going
first. Then the share of a processor that the thread of `guards/peers.py` needs.
"""

import os
import sys

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'

from collections.abc import Callable
import statistics
import time

import jax

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import copy_memory, mqar
from memjax.guards.peers import TICK, bytes_read
from memjax.guards.verdict import Judge, Status
from memjax.tasks.base import Stream
from memjax.training import parallel
from memjax.training.prefetch import prefetch
from memjax.training.program import program

ROWS, STEPS = 64, 5


def experiments(determinism: str, devices: int) -> dict[str, Experiment]:
  """The runs, by name."""
  built = {}
  lstm = copy_memory.get_config('lstm')
  with lstm.unlocked():
    lstm.task.delay = 100
  for name, config in (
    ('LSTM on copy memory', lstm),
    ('Transformer on MQAR', mqar.get_config('transformer')),
  ):
    with config.unlocked():
      config.evals = {}
      config.train.update(batch_size=ROWS, steps_per_call=1)
      config.checkpoint.best = ''
      config.parallel.update(determinism=determinism, data=devices)
    built[name] = read_experiment(config.to_dict())
  return built


def step_of(experiment: Experiment) -> Callable[[], float]:
  """A function that takes steps and returns the processor seconds of one."""
  mesh = parallel.make_mesh(experiment.parallel)
  run = program(experiment, mesh)
  stream = Stream(0, 0, ROWS)
  (host_batch,) = prefetch(experiment.task, stream, mesh, range(1), 1, 1)
  state = jax.block_until_ready(run.advance(run.initial_state(), host_batch))

  def seconds() -> float:
    nonlocal state
    began = time.process_time()
    for _ in range(STEPS):
      state = run.advance(state, host_batch)
    jax.block_until_ready(state)
    return (time.process_time() - began) / STEPS

  return seconds


def watch_share() -> float:
  """Processor seconds a second that one status and one judgement need."""
  judge, count = Judge(60.0), 2000
  began = time.process_time()
  for turn in range(count):
    work = time.process_time() + bytes_read() / 2e7
    for rank in range(8):
      judge.hear(Status(rank, 'step', 'step at step 1', turn, work), turn)
    judge.verdict(turn)
  return (time.process_time() - began) / count / TICK


def main() -> None:
  """Prints the table."""
  rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
  print('| what | devices | fixed, ms | elastic / fixed |\n|---|---|---|---|')
  for devices in (1, 8):
    fixed, elastic = (
      {name: step_of(e) for name, e in experiments(kind, devices).items()}
      for kind in ('fixed', 'elastic')
    )
    for name in fixed:
      pairs = []
      for turn in range(rounds):
        order = (fixed, elastic) if turn % 2 else (elastic, fixed)
        took = [kind[name]() for kind in order]
        pairs.append(took if turn % 2 else took[::-1])
      ratio = statistics.median(b / a for a, b in pairs)
      alone = 1000 * statistics.median(a for a, _ in pairs)
      print(f'| {name} | {devices} | {alone:.1f} | {ratio:.2f} |', flush=True)
  print(f'\nwatch over 8 processes: {watch_share():.4%} of a processor')


if __name__ == '__main__':
  main()
