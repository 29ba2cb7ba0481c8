"""Experiments small enough to train in a test."""

from collections.abc import Iterator, Mapping
import contextlib
import logging
from typing import Any

import jax
from ml_collections import ConfigDict
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import (
  adding,
  babi,
  copy_memory,
  mqar,
  ntm_tasks,
  segments,
  text,
  with_neighbours,
)
from memjax.tasks.base import Stream
from memjax.training import parallel, prefetch, program
from memjax.training.state import TrainState

FAMILIES = {
  'adding': adding,
  'babi': babi,
  'copy_memory': copy_memory,
  'mqar': mqar,
  'ntm_tasks': ntm_tasks,
  'segments': segments,
  'text': text,
  'with_neighbours': with_neighbours,
}


def small(
  family: str, variant: str, overrides: Mapping[str, Any] | None = None
) -> Experiment:
  """A family's quick variant with some fields changed, {'train.steps': 4}."""
  config = FAMILIES[family].get_config(f'{variant},quick')
  with config.unlocked():
    for path, value in (overrides or {}).items():
      section = config
      *parents, field = path.split('.')
      for parent in parents:
        if parent not in section:
          section[parent] = ConfigDict()
        section = section[parent]
      section[field] = value
  return read_experiment(config.to_dict())


def run(experiment: Experiment, calls: int) -> TrainState:
  """The state after this number of calls from the start."""
  mesh = parallel.make_mesh(experiment.parallel)
  functions = program.program(experiment, mesh)
  state = functions.initial_state()
  train = experiment.train
  stream = Stream(experiment.seed, 0, train.batch_size)
  per_call = experiment.steps_per_call()
  starts = range(0, calls * per_call, per_call)
  with compilations() as compiled, jax.log_compiles():
    for host_batch in prefetch.prefetch(
      experiment.task, stream, mesh, starts, per_call, train.replicas
    ):
      state = functions.advance(state, host_batch)
  assert compiled.count('jit(advance)') == min(calls, 1), compiled
  return state


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
  """The names of the programs that jax compiles within."""
  names: list[str] = []

  class Note(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
      words = record.getMessage().split()
      if words[0] == 'Compiling':
        names.append(words[1])

  logger, note = logging.getLogger('jax'), Note()
  logger.addHandler(note)
  propagate, logger.propagate = logger.propagate, False
  try:
    yield names
  finally:
    logger.propagate = propagate
    logger.removeHandler(note)


def assert_close(one: Any, other: Any, tolerance: float) -> None:
  """Every array of one tree equals the other's to within the tolerance."""
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance),
    one,
    other,
  )
