"""The Chomsky hierarchy: plain Python solves every row, guessers do not."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.chomsky.binary_addition import BinaryAddition
from memjax.tasks.chomsky.binary_multiplication import BinaryMultiplication
from memjax.tasks.chomsky.bucket_sort import BucketSort
from memjax.tasks.chomsky.cycle_navigation import CycleNavigation
from memjax.tasks.chomsky.episode import SequenceTask
from memjax.tasks.chomsky.modular_arithmetic import ModularArithmetic
from memjax.tasks.chomsky.modular_arithmetic_brackets import (
  ModularArithmeticBrackets,
)
from memjax.tasks.chomsky.parity import Parity
from memjax.tasks.chomsky.reverse import Reverse
from memjax.tasks.chomsky.solve_equation import SolveEquation
from memjax.tasks.chomsky.square_root import SquareRoot
from memjax.types import Batch
from tests.tasks.chomsky import (
  LONGEST,
  ODD,
  ROWS,
  TASKS,
  drawn,
  every_task,
  oracle,
  sequence,
)
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score


def assert_solved(task: SequenceTask, batch: Batch) -> np.ndarray:
  predicted = oracle(task, np.asarray(batch.inputs))
  np.testing.assert_array_equal(batch.loss_weights_BT, predicted >= 0)
  np.testing.assert_array_equal(batch.targets, np.maximum(predicted, 0))
  return predicted


@pytest.mark.fast_cases(1)
@every_task
def test_the_oracle_scores_everything(kind: type[SequenceTask]) -> None:
  task, batch = drawn(kind)
  predicted = assert_solved(task, batch)
  scores = score(task, 40 * np.eye(task.output_spec.vocab)[predicted], batch)
  assert (scores['accuracy'], scores['score'], scores['exact_match']) == (
    1,
    1,
    1,
  )
  assert scores['loss'] < 1e-6


def test_scaled_accuracy_is_0_at_chance_and_1_at_best() -> None:
  task, batch = drawn(Parity)
  right = np.asarray(batch.targets)
  for answers, expected in ((right, 1), (1 - right, -1)):
    scores = score(task, np.eye(2)[answers], batch)
    assert scores['scaled_accuracy'] == pytest.approx(expected)
  zeros = score(task, np.eye(2)[0 * right], batch)
  scaled = 2 * zeros['accuracy'] - 1
  assert zeros['scaled_accuracy'] == pytest.approx(scaled)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'kind', [BinaryAddition, BinaryMultiplication, SquareRoot]
)
def test_big_numbers_are_exact(kind: type[SequenceTask]) -> None:
  task = kind(shortest=499, longest=500)
  assert_solved(task, draw(task, 12))


@pytest.mark.fast_cases(4)
@every_task
def test_a_row_is_symbols_a_marker_and_blanks(
  kind: type[SequenceTask],
) -> None:
  task, batch = drawn(kind)
  marker, blank = task.input_spec.vocab - 2, task.input_spec.vocab - 1
  lengths = []
  for tokens, score_axis, weights in zip(
    *map(
      np.asarray, (batch.inputs, batch.score_axis_BT, batch.loss_weights_BT)
    ),
    strict=True,
  ):
    symbols = sequence(task, tokens)
    assert all(0 <= symbol < marker for symbol in symbols)
    assert all(tokens[len(symbols) + 1 :] == blank)
    np.testing.assert_array_equal(score_axis, len(symbols) * weights)
    lengths.append(len(symbols))
  steps = 2 if kind in ODD else 1
  assert {n % steps for n in lengths} <= {1 % steps}
  assert_uniform((np.array(lengths) - 1) // steps, 0, LONGEST // steps - 1)


@every_task
def test_every_symbol_is_seen(kind: type[SequenceTask]) -> None:
  task, batch = drawn(kind)
  seen = set(np.unique(batch.inputs))
  assert seen == set(range(task.input_spec.vocab))
  labelled = np.asarray(batch.loss_weights_BT) > 0
  predicted = set(np.unique(np.asarray(batch.targets)[labelled]))
  assert predicted == set(range(task.output_spec.vocab))


@pytest.mark.fast_cases(4)
@every_task
def test_guessing_scores_the_baselines(kind: type[SequenceTask]) -> None:
  task, batch = drawn(kind)
  classes = task.output_spec.vocab
  guess = np.random.default_rng(0).integers(0, classes, batch.inputs.shape)
  scores = score(task, np.eye(classes)[guess], batch)
  labels_B = np.asarray(batch.loss_weights_BT).sum(axis=1)
  for name, errors in (
    ('accuracy', 1 / labels_B.sum()),
    ('score', (1 / labels_B).sum() / ROWS**2),
  ):
    share = task.baselines[name]['chance']
    deviation = math.sqrt(share * (1 - share) * errors)
    assert abs(scores[name] - share) < 4 * deviation, name
  level = score(task, np.zeros((*batch.inputs.shape, classes)), batch)['loss']
  assert level == pytest.approx(task.baselines['loss']['chance'], rel=1e-5)


@pytest.mark.slow
def test_the_codes_score_weighs_labels_of_one_length_and_then_lengths() -> None:
  """Answers of binary addition have several lengths for one of the sequence."""
  task = BinaryAddition(longest=12)
  batches = [draw(task, ROWS), draw(BinaryAddition(longest=9), ROWS)]
  rng, sums = np.random.default_rng(0), []
  rows: list[tuple[int, int, int]] = []
  for batch in batches:
    guess_BT = rng.integers(0, 3, batch.targets.shape)
    metrics = task.measure(jnp.asarray(np.eye(3)[guess_BT]), batch)
    sums.append(metrics['score_by_length'])
    labelled_BT = np.asarray(batch.loss_weights_BT) > 0
    right_BT = labelled_BT & (guess_BT == np.asarray(batch.targets))
    length_B = np.asarray(batch.score_axis_BT).max(axis=1)
    rows += zip(length_B, right_BT.sum(1), labelled_BT.sum(1), strict=True)
  expected = [
    sum(r[1] for r in rows if r[0] == n) / sum(r[2] for r in rows if r[0] == n)
    for n in range(1, 13)
  ]
  both = jax.device_get(jax.tree.map(jnp.add, *sums))
  assert both.value() == pytest.approx(np.mean(expected), rel=1e-5)
  labels = {n: len({r[2] for r in rows if r[0] == n}) for n in range(5, 13)}
  assert min(labels.values()) > 1


def test_every_row_has_the_same_weight_in_the_score() -> None:
  task, batch = drawn(Reverse)
  right_B = np.asarray(batch.score_axis_BT).max(axis=1) > 30
  y = np.eye(2)[np.asarray(batch.targets) ^ ~right_B[:, None]]
  scores = score(task, y, batch)
  assert scores['score'] == pytest.approx(right_B.mean())
  assert scores['exact_match'] == pytest.approx(right_B.mean())
  assert scores['accuracy'] > right_B.mean() + 0.1


@pytest.mark.slow
@every_task
def test_the_smallest_task_works(kind: type[SequenceTask]) -> None:
  task = kind(longest=1)
  assert_solved(task, draw(task, 16))


@every_task
def test_the_data_is_what_it_was(kind: type[SequenceTask]) -> None:
  assert_as_it_was(kind(longest=LONGEST), ROWS, TASKS[kind][1])


@every_task
@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'shortest': 0}, 'shortest: 0: must be at least 1'),
    (
      {'shortest': 5, 'longest': 4},
      'longest: 4: must be at least shortest, 5',
    ),
  ],
)
def test_bad_lengths_are_refused(
  kind: type[SequenceTask], fields: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    kind(**fields)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
  ('kind', 'fields', 'message'),
  [
    (Reverse, {'symbols': 1}, 'symbols: 1: must be at least 2'),
    (BucketSort, {'symbols': 0}, 'symbols: 0: must be at least 2'),
    (CycleNavigation, {'places': 1}, 'places: 1: must be at least 2'),
    (ModularArithmetic, {'modulus': 1}, 'modulus: 1: must be in 2..1000'),
    (SolveEquation, {'modulus': 1001}, 'modulus: 1001: must be in 2..1000'),
    (ModularArithmeticBrackets, {'modulus': 0}, 'modulus: 0: must be in 2'),
  ],
)
def test_a_bad_field_is_refused(
  kind: type[SequenceTask], fields: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    kind(**fields)
