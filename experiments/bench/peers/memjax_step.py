"""memjax's side of a race: the step that `memjax` itself compiles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.peers.race import (
  CLIP,
  LEARNING_RATE,
  WEIGHT_DECAY,
  Competitor,
  draw_tokens,
)
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs.base import base
from memjax.tasks.base import Stream, Task
from memjax.training.optimisers.optim import optimiser
from memjax.training.step import initial_state, make_step
from memjax.types import Batch, HostBatch, Tokens

STEPS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnTokens(Task):
  """The tokens of `draw_tokens`, the same in every step.

  Attributes:
    length: T.
    vocab: V.
    predicted: number of labels of a row; 0: every position.
    flows: whether the carry goes on from step to step.
  """

  length: int = 128
  vocab: int = 256
  predicted: int = 0
  flows: bool = False
  measures_positions = True

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  output_spec = input_spec

  @property
  def carry_over(self) -> bool:
    return self.flows

  @property
  def labels(self) -> int:
    return self.predicted

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    tokens = draw_tokens(
      stream.batch_size, self.length, self.vocab, self.predicted
    )
    return tuple(part[row_ids] for part in tokens)

  def batch(self, host_batch: HostBatch) -> Batch:
    inputs, targets, label_BL = map(jnp.asarray, host_batch)
    row_B1 = jnp.arange(len(inputs))[:, None]
    weights_BT = jnp.zeros(inputs.shape).at[row_B1, label_BL].set(1.0)
    reset_BT = jnp.zeros(inputs.shape, bool)
    if not self.flows:
      reset_BT = reset_BT.at[:, 0].set(True)
    return Batch(inputs, targets, weights_BT, reset_BT, jnp.zeros_like(inputs))


def experiment(model: dict, rows: int, **task: int | bool) -> Experiment:
  """A config that trains this model on drawn tokens."""
  config = base()
  with config.unlocked():
    name = f'{DrawnTokens.__module__}.{DrawnTokens.__name__}'
    config.task = {'name': name} | task
    config.model = model
    config.train.batch_size = rows
    config.train.steps = STEPS
    config.optim.schedule = 'constant'
    config.optim.learning_rate = LEARNING_RATE
    config.optim.weight_decay = WEIGHT_DECAY
    config.optim.clip_norm = CLIP
    config.parallel.data = 1
  return read_experiment(config.to_dict())


def competitor(experiment: Experiment) -> Competitor:
  """The compiled step on one batch, whose state it takes and returns."""
  rows, task = experiment.train.batch_size, experiment.task
  update = optimiser(experiment.optim, STEPS)
  state = initial_state(experiment, update, jnp.uint32(0))
  state = jax.tree.map(jnp.copy, state)  # no buffer is given away twice
  batch = task.batch(task.rows(Stream(0, 0, rows), 0, np.arange(rows)))
  run = jax.jit(make_step(experiment, update), donate_argnums=0)
  compiled = run.lower(state, batch).compile()

  def step() -> float:
    nonlocal state
    state, sums = compiled(state, batch)
    return float(sums.metrics['loss'].value())

  weights = jax.device_get(state.params)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(weights))
  return Competitor(step, parameters, f'jax {jax.__version__}', weights)
