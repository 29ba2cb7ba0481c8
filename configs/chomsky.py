"""The fifteen Chomsky-hierarchy tasks, each with any of the memories.

Paper: Deletang et al. 2022, https://arxiv.org/abs/2207.02098: batches of 128,
lengths 1-40, Adam at 1e-3 (the best of three rates), norm clipped to 1, RNNs of
256 units, a million steps. Its result is the best of 10 seeds by the mean
accuracy over lengths 41-500, here `unseen/score`; 0.9 is solved. Deviations:
20,000 steps; attention and slot memories hold 128 steps or slots.
Command: python launch.py --config=configs/chomsky.py:parity-lstm
Result: with fewer steps, in experiments/leaderboard/earlier.md. Not measured
  with the settings here.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

TASKS = {
  'parity': 'Parity',
  'even_pairs': 'EvenPairs',
  'modular_arithmetic': 'ModularArithmetic',
  'cycle_navigation': 'CycleNavigation',
  'reverse': 'Reverse',
  'stack_manipulation': 'StackManipulation',
  'modular_arithmetic_brackets': 'ModularArithmeticBrackets',
  'solve_equation': 'SolveEquation',
  'duplicate': 'Duplicate',
  'missing_duplicate': 'MissingDuplicate',
  'odds_first': 'OddsFirst',
  'binary_addition': 'BinaryAddition',
  'binary_multiplication': 'BinaryMultiplication',
  'square_root': 'SquareRoot',
  'bucket_sort': 'BucketSort',
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'parity-lstm') -> ConfigDict:
  """A task and a model, `parity-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  config = base()
  config.task = ConfigDict(
    {
      'name': f'{task}.{TASKS[task]}',
      'shortest': 1,
      'longest': 40,
    }
  )
  config.model = model(name, width=256, depth=1, window=128)
  config.train.update(steps=20_000, batch_size=128, steps_per_call=50)
  config.optim.update(name='adam', learning_rate=1e-3, schedule='constant')
  config.log.every = 500
  rows = {'every': 5000, 'batch_size': 128, 'steps': 4}
  config.evals.seen = ConfigDict(rows)
  shortest = config.task.get_oneway_ref('longest') + 1
  config.evals.unseen = ConfigDict(
    rows | {'task': {'shortest': shortest, 'longest': 500}}
  )
  config.checkpoint.update(every=5000, best='seen/loss')
  if size == 'quick':
    config.task.longest = 6
    config.model = model(name, width=16, depth=1, window=8)
    config.evals.unseen.task.longest = 9
    quick(config)
  return config.lock()
