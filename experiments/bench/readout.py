"""What a training step gains by reading out at labels only, or in chunks.

    python -m experiments.bench.readout [ROUNDS]

Each task races against the same task that counts no labels and measures no
positions, so that its step makes the outputs of every position at once. A row
gives the seconds of a step, the median over rounds of the ratio of both in the
same round (quartiles; above 1, labels or chunks are faster), and the temporary
memory that XLA sets aside for each step. Seconds are the processor's: give the
process one core, with `taskset -c 1 python ...`.
"""

import dataclasses
import platform
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.bench.layers import Step, machine, measure, spread
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import mqar
from memjax.configs.models import model
from memjax.tasks.base import GeneratedTask, Stream, Task
from memjax.training.step import initial_state, make_step
from memjax.types import Example, RowKey, Tokens

MB = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomText(GeneratedTask):
  """Uniform tokens; every position predicts the next one.

  Attributes:
    length: T.
    vocab: V.
  """

  length: int = 128
  vocab: int = 32_768
  measures_positions = True

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  output_spec = input_spec

  def example(self, key: RowKey) -> Example:
    text = jax.random.randint(key, (self.length + 1,), 0, self.vocab)
    return Example(text[:-1], text[1:], jnp.ones(self.length))


# {what: (the task's spec, rows, width)}
WORK = {
  'MQAR, 4 labels of 64 positions, V 8192': (
    {'name': 'mqar.MQAR', 'length': 64, 'pairs': 4, 'vocab': 8192},
    *(64, 64),
  ),
  'text, T 128, V 32768': (
    {'name': 'experiments.bench.readout.RandomText', 'length': 128},
    *(8, 128),
  ),
  'text, T 256, V 32768': (
    {'name': 'experiments.bench.readout.RandomText', 'length': 256},
    *(16, 128),
  ),
}


def build(task: dict, rows: int, width: int) -> Experiment:
  """A Transformer of two layers on this task."""
  config = mqar.get_config('transformer')
  with config.unlocked():
    config.task = task
    config.evals = {}
    config.checkpoint.best = ''
    config.model = model('transformer', width, 2, window=task['length'])
    config.train.batch_size = rows
    config.parallel.data = 1
  return read_experiment(config.to_dict())


def whole(task: Task) -> Task:
  """The same task, which does not say where its labels are."""
  name = type(task).__name__
  changes = {'labels': 0, 'measures_positions': False}
  cls = type(name, (type(task),), changes)
  fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
  return cls(**fields)


def compiled(experiment: Experiment) -> tuple[Step, float]:
  """A training step on one batch, and its temporary memory in MB."""
  task, optimiser = experiment.task, optax.adamw(1e-3)
  rows = experiment.train.batch_size
  state = initial_state(experiment, optimiser, jnp.uint32(0))
  state = jax.tree.map(jnp.copy, state)  # no buffer is given away twice
  batch = task.batch(task.rows(Stream(0, 0, rows), 0, np.arange(rows)))
  step = jax.jit(make_step(experiment, optimiser), donate_argnums=0)
  run = step.lower(state, batch).compile()
  memory = run.memory_analysis()
  assert memory is not None

  def call() -> None:
    nonlocal state
    state, _ = jax.block_until_ready(run(state, batch))

  return call, memory.temp_size_in_bytes / MB


def row(name: str, rounds: int) -> str:
  """The row of one task."""
  experiment = build(*WORK[name])
  other = dataclasses.replace(experiment, task=whole(experiment.task))
  step, memory = compiled(experiment)
  before, memory_before = compiled(other)
  taken = measure({'now': step, 'whole': before}, rounds, time.process_time)
  cells = [
    name,
    f'{np.median(taken["whole"]):.3f}',
    f'{np.median(taken["now"]):.3f}',
    spread(taken['whole'] / taken['now']),
    f'{memory_before:.0f}',
    f'{memory:.0f}',
    f'{memory_before / memory:.1f}',
  ]
  return f'| {" | ".join(cells)} |'


def main() -> None:
  rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
  versions = f'Python {platform.python_version()}, jax {jax.__version__}'
  print(f'{machine()}; {versions}, {rounds} rounds')
  print('| task | whole, s | now, s | whole / now ', end='')
  print('| whole, MB | now, MB | whole / now |')
  print('|---|---|---|---|---|---|---|')
  for name in WORK:
    print(row(name, rounds), flush=True)


if __name__ == '__main__':
  main()
