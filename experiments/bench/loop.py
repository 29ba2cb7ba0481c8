"""What the loop costs around the step: time, memory, the first step.

    python -m experiments.bench.loop

Prints a table of ratios, all measured in one run:

- steps per second of the training loop over those of the bare jitted step;
- resident memory at the end of a run over that half way, and of evaluating a
  text over that of evaluating an eighth of it;
- time to the first step with a warm compilation cache over a cold one.
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import jax
from ml_collections import ConfigDict
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import adding, copy_memory, quickstart
from memjax.configs.models import model
from memjax.logs import metrics_file
from memjax.tasks.base import Stream
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train
from memjax.training.prefetch import prefetch
from memjax.training.program import program

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, EVERY = 6, 20


def experiments() -> dict[str, Experiment]:
  """The runs: steps of at least 5 ms, one step a call, and a small step."""
  built = {}
  lstm = copy_memory.get_config('lstm')
  with lstm.unlocked():
    lstm.task.delay = 100
  for name, config, calls, per_call in (
    ('LSTM on copy memory', lstm, EVERY, 1),
    (
      'Transformer-XL on text',
      quickstart.get_config('transformer_xl'),
      EVERY,
      1,
    ),
    ('small LSTM on adding 20', small_lstm(20), 10, 50),
    ('small LSTM on adding 40', small_lstm(40), 10, 50),
  ):
    every = calls * per_call
    with config.unlocked():
      config.evals = {}
      config.train.update(steps=6 * every, steps_per_call=per_call)
      config.train.update(patience=0, stop_when='')
      config.log.update(every=every)
      config.log.wandb.mode = 'disabled'
      config.checkpoint.update(every=60 * every, best='')
      config.parallel.data = 1
    built[name] = read_experiment(config.to_dict())
  return built


def small_lstm(length: int) -> ConfigDict:
  """A step of 0.3 ms at 20 time steps, and of 0.5 ms at 40."""
  config = adding.get_config('lstm')
  with config.unlocked():
    config.task.length, config.train.batch_size = length, 16
    config.model = model('lstm', width=16, depth=1, window=16)
  return config


def bare_step_seconds(experiment: Experiment) -> float:
  """Seconds per step of the jitted step alone, on one batch on the device."""
  mesh = parallel.make_mesh(experiment.parallel)
  run = program(experiment, mesh)
  state = run.initial_state()
  stream = Stream(0, 0, experiment.train.batch_size)
  per_call = experiment.steps_per_call()
  calls, every = range(0, per_call, per_call), experiment.log.every
  (host_batch,) = prefetch(experiment.task, stream, mesh, calls, per_call, 1)
  times = []
  for step in range(0, experiment.train.steps, per_call):
    if step % every == 0:
      jax.block_until_ready(state)
      times.append(time.perf_counter())
    state = run.advance(state, host_batch)
  jax.block_until_ready(state)
  times.append(time.perf_counter())
  return statistics.median(np.diff(times)[1:]) / every


def loop_step_seconds(experiment: Experiment) -> tuple[float, list[int]]:
  """Seconds per step in the loop; resident kilobytes over time."""
  with tempfile.TemporaryDirectory() as folder:
    with memory_watched() as memory:
      train(experiment, Path(folder), lambda *run: None)
    rows = metrics_file.load_rows(Path(folder) / 'metrics.jsonl')
  seconds = np.diff([row['seconds'] for row in rows])
  return statistics.median(seconds[1:]) / experiment.log.every, memory


@contextlib.contextmanager
def memory_watched() -> Iterator[list[int]]:
  """Resident kilobytes of this process, sampled four times a second."""
  kilobytes: list[int] = []
  done = threading.Event()

  def watch() -> None:
    while not done.wait(0.25):
      kilobytes.append(resident())

  thread = threading.Thread(target=watch)
  thread.start()
  try:
    yield kilobytes
  finally:
    done.set()
    thread.join()


def resident() -> int:
  """Resident kilobytes of this process now."""
  pages = int(Path('/proc/self/statm').read_text().split()[1])
  return pages * resource.getpagesize() // 1024


def evaluation_memory() -> float:
  """Peak memory of evaluating a text over that of an eighth of it."""
  most = []
  for steps in (40, 320):
    config = quickstart.get_config('transformer_xl')
    with config.unlocked():
      config.parallel.data = 1
      config.evals.validation.steps = steps
    experiment = read_experiment(config.to_dict())
    mesh = parallel.make_mesh(experiment.parallel)
    params = program(experiment, mesh).initial_state().params
    evaluator = Evaluator('validation', experiment, mesh)
    evaluator.measure(params)
    with memory_watched() as memory:
      evaluator.measure(params)
    most.append(max(memory))
  return most[1] / most[0]


def first_step_seconds(cache: str) -> float:
  """Seconds from the command to the first row, in a process of its own."""
  with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    subprocess.run(
      [
        sys.executable,
        'launch.py',
        '--config=configs/copy_memory.py:lstm',
        '--config.train.steps=1',
        '--config.train.steps_per_call=1',
        '--config.task.delay=100',
        '--config.log.every=1',
        '--config.log.wandb.mode=disabled',
        f'--workdir={folder}',
      ],
      cwd=ROOT,
      env=os.environ | {'JAX_COMPILATION_CACHE_DIR': cache},
      check=True,
      capture_output=True,
    )
    return time.perf_counter() - start


def main() -> None:
  """Prints the table."""
  print(
    f'{platform.processor() or platform.machine()}, {os.cpu_count()} cores,'
  )
  print(f'Python {platform.python_version()}, jax {jax.__version__}\n')
  print(f'{"what":44} {"ratio":>7}')
  for name, experiment in experiments().items():
    ratios, growth = [], []
    for turn in range(ROUNDS):
      if turn % 2:  # a machine that slows down must not favour either
        loop, memory = loop_step_seconds(experiment)
        bare = bare_step_seconds(experiment)
      else:
        bare = bare_step_seconds(experiment)
        loop, memory = loop_step_seconds(experiment)
      ratios.append(bare / loop)
      growth.append(memory[-1] / memory[len(memory) // 2])
    middle = statistics.median(ratios)
    label = f'{name}, step {bare * 1e3:.1f} ms: loop / bare speed'
    print(f'{label:52} {middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f})')
    label = f'{name}: memory at the end / half way'
    print(f'{label:52} {statistics.median(growth):.3f}')
  label = 'evaluating a text 8 times as long: memory'
  print(f'{label:52} {evaluation_memory():.3f}')
  with tempfile.TemporaryDirectory() as cache:
    cold = first_step_seconds(cache)
    warm = statistics.median(first_step_seconds(cache) for _ in range(3))
  print(f'{"first step, warm / cold compilation cache":52} {warm / cold:.3f}')


if __name__ == '__main__':
  main()
