"""What the protections of a run cost.

    taskset -c 1 python -m experiments.bench.protections

Prints a table, all measured in one run, in processor seconds:

- a step with the guard against values that are not finite over one without;
- the watchdog's share of the time;
- following the workdir and looking for signals, a dispatch, as a share of a
  step;
- hashing and sealing a checkpoint as a share of the whole save.
"""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import statistics
import tempfile
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import copy_memory, quickstart
from memjax.guards import finite, phase
from memjax.guards.place import Place
from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.lock import lock
from memjax.tasks.base import TRAINING, Stream
from memjax.training import parallel
from memjax.training.prefetch import prefetch
from memjax.training.program import program

ROUNDS, STEPS, MEGABYTES = 12, 5, 64


class State(NamedTuple):
  """A state of a size that a real model has."""

  step: Any
  params: Any


def experiments() -> dict[str, Experiment]:
  """An LSTM and a Transformer-XL with steps of at least 5 ms."""
  lstm = copy_memory.get_config('lstm')
  with lstm.unlocked():
    lstm.task.delay = 100
  configs = {
    'LSTM on copy memory': lstm,
    'Transformer-XL on text': quickstart.get_config('transformer_xl'),
  }
  for config in configs.values():
    with config.unlocked():
      config.evals = {}
      config.train.steps_per_call = 1
      config.checkpoint.best = ''
      config.parallel.data = 1
  return {name: read_experiment(c.to_dict()) for name, c in configs.items()}


def stepper(experiment: Experiment) -> Callable[[], float]:
  """Takes STEPS steps; returns their processor seconds."""
  mesh = parallel.make_mesh(experiment.parallel)
  run = program(experiment, mesh)
  stream = Stream(experiment.seed, TRAINING, experiment.train.batch_size)
  (batch,) = prefetch(experiment.task, stream, mesh, range(1), 1, 1)
  state = run.advance(run.initial_state(), batch)
  jax.block_until_ready(state)

  def take() -> float:
    nonlocal state
    start = time.process_time()
    for _ in range(STEPS):
      state = run.advance(state, batch)
    jax.block_until_ready(state)
    return time.process_time() - start

  return take


@contextlib.contextmanager
def unguarded() -> Iterator[None]:
  """Programs that are traced in the body take every step."""
  keep, counted = finite.keep, finite.counted
  finite.keep = lambda policy, before, after, *_: (after, jnp.ones((), bool))
  finite.counted = lambda metrics, *_: metrics
  try:
    yield
  finally:
    finite.keep, finite.counted = keep, counted


def guard(experiment: Experiment) -> tuple[float, float]:
  """A step with the guard over one without, and the seconds of a step.

  The shortest of all rounds are compared: other work on the machine only adds.
  """
  with_guard = stepper(experiment)
  with unguarded():
    without = stepper(experiment)
  one, other = [], []
  for turn in range(ROUNDS):
    if turn % 2:
      one.append(with_guard())
    other.append(without())
    if not turn % 2:
      one.append(with_guard())
  return min(one) / min(other), min(other) / STEPS


def watchdog() -> float:
  """Processor seconds a second."""
  with phase.Watchdog(dict.fromkeys(phase.PHASES, 3600.0), Path()):
    start, began = time.process_time(), time.monotonic()
    time.sleep(5)
    return (time.process_time() - start) / (time.monotonic() - began)


def following(folder: Path) -> float:
  """Processor seconds a dispatch."""
  with lock(folder) as file:
    place, count = Place(folder, file), 10_000
    start = time.process_time()
    for step in range(count):
      with phase.within('data'):
        phase.enter('step', step)
      place.left(lambda _: None)
    return (time.process_time() - start) / count


def sealing(folder: Path) -> list[float]:
  """The share of a save that hashing and sealing takes, in processor time."""
  key = jax.random.key(0)
  params = jax.random.normal(key, (16, MEGABYTES * 2**20 // 64))
  shares, seal, spent = [], manifest.seal, [0.0]

  def timed(folder: Path, note: manifest.Manifest) -> None:
    start = time.thread_time()
    seal(folder, note)
    spent[0] += time.thread_time() - start

  manifest.seal = timed  # type: ignore[assignment]
  try:
    with Checkpoints(folder, keep=1) as checkpoints:
      for step in range(ROUNDS):
        spent[0], start = 0.0, time.process_time()
        checkpoints.save(State(jnp.int32(step), params), {})
        checkpoints.wait()
        shares.append(spent[0] / (time.process_time() - start))
  finally:
    manifest.seal = seal
  return shares


def describe(values: list[float]) -> str:
  """Median and range."""
  middle = statistics.median(values)
  return f'{middle:.4f} ({min(values):.4f} to {max(values):.4f})'


def main() -> None:
  """Prints the table."""
  print('| what | ratio |\n|---|---|')
  seconds = {}
  for name, experiment in experiments().items():
    ratio, seconds[name] = guard(experiment)
    print(f'| {name}: a step with the guard / without | {ratio:.4f} |')
  print(f'| watchdog: share of the time | {watchdog():.5f} |')
  with tempfile.TemporaryDirectory() as name:
    share = following(Path(name)) / min(seconds.values())
    print(f'| phases and workdir, a dispatch: share of a step | {share:.5f} |')
    what = f'sealing a checkpoint of {MEGABYTES} MiB: share of the save'
    print(f'| {what} | {describe(sealing(Path(name) / "checkpoints"))} |')


if __name__ == '__main__':
  main()
