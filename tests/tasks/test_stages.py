"""Curricula and mixtures: functions of seed, step and row, in training only."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import GeneratedTask, Stream
from memjax.tasks.long_range.adding import Adding
from memjax.tasks.recall.mqar import MQAR
from memjax.tasks.state_tracking.group_words import GroupWords
from memjax.types import Batch
from tests.tasks.drawn import compiled

ROWS = 600
WORDS = GroupWords(length=8)
CURRICULUM = GroupWords(length=8, curriculum='0 length=2; 10 length=4; 20')
SIZES = '3 length=16 pairs=2; 1 length=32 pairs=4'
MIXTURE = MQAR(length=64, pairs=8, vocab=64, mixture=SIZES)


def rows(
  task: GeneratedTask, step: int, number: int = 0, size: int = ROWS
) -> Batch:
  feed = task.rows(Stream(5, number, size), step, np.arange(size))
  return jax.tree.map(np.asarray, compiled(task)(feed))


def arrays(one: Batch, other: Batch) -> list[tuple[np.ndarray, np.ndarray]]:
  """The fields of two batches, without those that are empty."""
  leaves = jax.tree.leaves(one), jax.tree.leaves(other)
  return [(np.asarray(a), np.asarray(b)) for a, b in zip(*leaves, strict=True)]


def lengths(batch: Batch) -> set[int]:
  return set(batch.loss_weights_BT.sum(axis=1).astype(int).tolist())


def test_a_curriculum_changes_at_its_steps() -> None:
  steps = {0: {2}, 9: {2}, 10: {4}, 19: {4}, 20: {8}, 10**6: {8}}
  assert {step: lengths(rows(CURRICULUM, step)) for step in steps} == steps


def test_its_rows_are_those_of_the_smaller_task_then_padding() -> None:
  small = dataclasses.replace(WORDS, length=4)
  for one, other in arrays(rows(CURRICULUM, 13), rows(small, 13)):
    np.testing.assert_array_equal(one[:, :4], other)
    assert not one[:, 4:].any()


@pytest.mark.slow
def test_evaluation_reads_the_whole_task_at_every_step() -> None:
  for one, other in arrays(rows(CURRICULUM, 0, 7), rows(WORDS, 0, 7)):
    np.testing.assert_array_equal(one, other)
  alone = dataclasses.replace(MIXTURE, mixture='')
  for one, other in arrays(rows(MIXTURE, 0, 7), rows(alone, 0, 7)):
    np.testing.assert_array_equal(one, other)


def test_features_are_padded_too() -> None:
  task = Adding(length=12, curriculum='0 length=6; 3 length=12')
  batch = rows(task, 2, size=3)
  assert batch.inputs.shape == (3, 12, 2)
  assert not batch.inputs[:, 6:].any()
  assert batch.inputs[:, :6].any()


@pytest.mark.slow
def test_a_mixture_has_its_shares_and_its_rows() -> None:
  batch = rows(MIXTURE, 3)
  pairs_B = batch.loss_weights_BT.sum(axis=1)
  assert set(pairs_B) == {2, 4}
  assert abs((pairs_B == 2).mean() - 3 / 4) < 4 * np.sqrt(3 / 16 / ROWS)
  whole = MQAR(length=32, pairs=4, vocab=64)
  alone = rows(whole, 3)
  for one, other in arrays(batch, alone):
    np.testing.assert_array_equal(one[pairs_B == 4, :32], other[pairs_B == 4])
    assert not one[pairs_B == 4, 32:].any()
  later = rows(MIXTURE, 4).loss_weights_BT.sum(axis=1)
  assert not np.array_equal(later, pairs_B)


@pytest.mark.slow
def test_a_row_does_not_depend_on_the_others() -> None:
  whole = rows(MIXTURE, 3)
  feed = MIXTURE.rows(Stream(5, 0, ROWS), 3, np.array([7, 3]))
  some = MIXTURE.batch(feed)
  for one, other in arrays(whole, some):
    np.testing.assert_array_equal(one[[7, 3]], other)


def test_a_mixture_measures_each_number_of_pairs() -> None:
  batch = jax.tree.map(jnp.asarray, rows(MIXTURE, 3))
  answers = jnp.where(
    batch.loss_weights_BT.sum(axis=1, keepdims=True) == 2, batch.targets, 0
  )
  metrics = MIXTURE.measure(jax.nn.one_hot(answers, 64), batch)
  assert metrics['accuracy_2_pairs'].value() == 1
  assert metrics['accuracy_4_pairs'].value() == 0
  sums = [metrics[f'accuracy_{n}_pairs'] for n in (2, 4)]
  assert sum(m.count for m in sums) == metrics['accuracy'].count
  assert sum(m.sum for m in sums) == metrics['accuracy'].sum


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'curriculum': '5 length=16'}, 'curriculum: .*must begin at step 0'),
    ({'curriculum': '0; 9 length=16; 9'}, 'its steps must rise'),
    ({'curriculum': '0.5 length=16'}, "must be like '0 length=16"),
    ({'mixture': 'nan length=16'}, 'shares must be above 0'),
    ({'curriculum': 'length=8'}, "must be like '0 length=16"),
    ({'curriculum': '0 length'}, "must be like '0 length=16"),
    ({'curriculum': '0 size=8'}, 'no such field: size; .*known: length, pairs'),
    ({'curriculum': '0 length=x'}, 'length=x: must be of type int'),
    ({'curriculum': '0 length=7'}, 'length: 7: must be even'),
    ({'curriculum': '0 vocab=64'}, 'another vocabulary'),
    ({'curriculum': '0 length=128'}, 'rows of 128 steps, and the task 64'),
    ({'curriculum': '0 pairs=8'}, '8 labels, and the task 4'),
    ({'curriculum': '0 curriculum=1'}, 'no such field: curriculum'),
    ({'mixture': '0 length=16'}, 'mixture: .*shares must be above 0'),
    ({'mixture': '1', 'curriculum': '0'}, 'only one of curriculum and mixture'),
  ],
)
def test_a_bad_part_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    MQAR(**fields).prepare()
