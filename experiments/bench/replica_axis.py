"""What the axis N costs a run of one replica.

    taskset -c 0 python -m experiments.bench.replica_axis [ROUNDS]

Three compiled calls of one training step race on the same batch: a state
without the axis N; a state with the axis, taken off and put back by
`replicas.each`, which is what a run does; and `jax.vmap` over one replica. They
take turns at going first. A row gives the median step without the axis, then
the time of each of the other two over it in the same round: the median over
rounds (quartiles). Seconds are the processor's.
"""

from collections.abc import Callable
import platform
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.layers import Step, machine, measure, seconds, spread
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import copy_memory, quickstart
from memjax.tasks.base import Stream
from memjax.training import parallel, replicas
from memjax.training.optimisers.optim import optimiser
from memjax.training.state import TrainState
from memjax.training.step import initial_state, make_call
from memjax.types import HostBatch

Call = Callable[[TrainState, HostBatch], TrainState]
WIDTHS = (32, 128)
ROUND = 0.2  # seconds of a competitor in a round
CLOCK = time.process_time


def experiments(width: int) -> dict[str, Experiment]:
  """What is trained, one step a call."""
  lstm, transformer_xl = (
    copy_memory.get_config('lstm'),
    quickstart.get_config('transformer_xl'),
  )
  with lstm.unlocked():
    lstm.task.delay = 100
  with transformer_xl.unlocked():
    transformer_xl.model.layer.head_width = min(WIDTHS)
  built = {}
  for name, config in (
    ('LSTM on copy memory', lstm),
    ('Transformer-XL on text', transformer_xl),
  ):
    with config.unlocked():
      config.model.width = width
      config.evals = {}
      config.parallel.data = 1
      config.train.update(steps_per_call=1, patience=0)
      config.checkpoint.best = ''
    built[name] = read_experiment(config.to_dict())
  return built


def competitors(experiment: Experiment) -> dict[str, Step]:
  """The three calls, each on a state of its own."""
  transformation = optimiser(experiment.optim, experiment.train.steps)
  one = make_call(experiment, transformation)
  axes = (replicas.STATE_AXES, 0), replicas.STATE_AXES
  mesh = parallel.make_mesh(experiment.parallel)
  stream = Stream(0, 0, experiment.train.batch_size)
  rows = experiment.task.rows(stream, 0, np.arange(stream.batch_size))
  host_batch = jax.tree.map(lambda x: jnp.asarray(x)[None], rows)

  def first(seed: jax.Array) -> TrainState:
    state = initial_state(experiment, transformation, seed)
    return jax.tree.map(jnp.copy, state)  # no buffer is given away twice

  def step(call: Call, *, axis: bool) -> Step:
    run = jax.jit(call, donate_argnums=0)
    state = first(jnp.uint32(0))
    batch = host_batch
    if axis:
      state = state._replace(
        **{
          name: jax.tree.map(lambda x: x[None], getattr(state, name))
          for name in state._fields
          if name not in replicas.SHARED
        }
      )
      batch = jax.tree.map(lambda x: x[None], host_batch)

    def take() -> None:
      nonlocal state
      state = jax.block_until_ready(run(state, batch))

    return take

  return {
    'none': step(one, axis=False),
    'each': step(replicas.each(one, 1, mesh, *axes), axis=True),
    'vmap': step(jax.vmap(one, *axes), axis=True),
  }


def repeated(step: Step, times: int) -> Step:
  def steps() -> None:
    for _ in range(times):
      step()

  return steps


def main() -> None:
  """Prints the table."""
  rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
  versions = f'Python {platform.python_version()}, jax {jax.__version__}'
  print(f'{machine()}; {versions}, {rounds} rounds')
  print('| what | width | step, ms | axis taken off | vmap of one |')
  print('|---|---|---|---|---|')
  for width in WIDTHS:
    for name, experiment in experiments(width).items():
      steps = competitors(experiment)
      for step in steps.values():
        step()
      times = max(1, int(ROUND / seconds(steps['none'], CLOCK)))
      taken = measure(
        {key: repeated(step, times) for key, step in steps.items()},
        rounds,
        CLOCK,
      )
      once = 1e3 * np.median(taken['none']) / times
      ratios = [spread(taken[key] / taken['none']) for key in ('each', 'vmap')]
      cells = [name, width, f'{once:.1f}', *ratios]
      print(f'| {" | ".join(map(str, cells))} |', flush=True)


if __name__ == '__main__':
  main()
