"""Memories learn what no player without memory can."""

from typing import Any

import pytest

from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from tests.small import run, small

SHORT = {
  'parallel.data': 1,
  'train.batch_size': 32,
  'train.steps': 600,
  'train.steps_per_call': 100,
  'log.every': 100,
  'checkpoint.every': 100,
  'evals.held_out.every': 100,
  'evals.twice.every': 100,
  'evals.held_out.batch_size': 128,
  'optim.learning_rate': 5e-3,
}


@pytest.mark.slow
@pytest.mark.parametrize(
  ('family', 'variant', 'task', 'metric', 'memoryless', 'bound'),
  [
    ('adding', 'gru', {}, 'loss', 1 / 6, 0.02),
    (
      'mqar',
      'transformer_xl',
      {'task.length': 16, 'task.pairs': 2, 'model.depth': 2},
      'accuracy',
      1 / 2,
      0.9,
    ),
  ],
  ids=['gru', 'transformer_xl'],
)
def test_a_memory_beats_the_memoryless(
  family: str,
  variant: str,
  task: dict[str, Any],
  metric: str,
  memoryless: float,
  bound: float,
) -> None:
  options = SHORT | task | {'model.width': 32}
  experiment = small(family, variant, options)
  mesh = parallel.make_mesh(experiment.parallel)
  state = run(experiment, 6)
  figures = Evaluator('held_out', experiment, mesh).measure(state.params)
  gain = figures[metric] - bound
  assert (gain < 0) if bound < memoryless else (gain > 0), figures
