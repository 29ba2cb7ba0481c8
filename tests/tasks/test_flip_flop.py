"""Flip-flops: an oracle that keeps one bit reads it right."""

import itertools
import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.state_tracking.flip_flop import IGNORE, READ, WRITE, FlipFlop
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

TASK = FlipFlop(length=40, ignore=0.6)
ROWS = 400
GOLDEN = 'd6a349107abe0d5d'


def test_the_oracle_keeps_the_bit_that_was_written() -> None:
  batch = draw(TASK, ROWS)
  answers = np.zeros((ROWS, 40), int)
  for b, row in enumerate(np.asarray(batch.inputs)):
    kept, where = 0, 0
    assert (row[0], row[-2]) == (WRITE, READ)
    for t in range(0, 40, 2):
      if row[t] == WRITE:
        kept, where = row[t + 1], t + 1
      elif row[t] == READ:
        answers[b, t] = kept
        assert row[t + 1] == kept
        assert batch.score_axis_BT[b, t] == t - where
    np.testing.assert_array_equal(batch.loss_weights_BT[b], row == READ)
  scores = score(TASK, 40 * np.eye(5)[answers], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1


def test_instructions_and_bits_have_their_probabilities() -> None:
  batch = draw(TASK, ROWS)
  instructions = np.asarray(batch.inputs)[:, 2:-2:2].ravel()
  for kind, share in ((WRITE, 0.2), (READ, 0.2), (IGNORE, 0.6)):
    deviation = np.sqrt(share * (1 - share) / instructions.size)
    assert abs((instructions == kind).mean() - share) < 4 * deviation
  assert_uniform(np.asarray(batch.inputs)[:, 1], 0, 1)


@pytest.mark.parametrize('fields', [{}, {'length': 4}, {'length': 6}])
def test_players_score_the_baselines(fields: dict) -> None:
  task = FlipFlop(**{'length': 40, 'ignore': 0.6} | fields)
  batch, rng = draw(task, ROWS), np.random.default_rng(0)
  inputs = np.asarray(batch.inputs)
  players = {
    'chance': rng.integers(0, 2, inputs.shape),
    'the bit before': np.roll(inputs, 1, axis=1),
  }
  for name, share in task.baselines['accuracy'].items():
    seen = score(task, np.eye(5)[players[name]], batch)['accuracy']
    deviation = np.sqrt(max(share * (1 - share), 1e-6) / ROWS)
    assert abs(seen - share) < 4 * deviation, name


@pytest.mark.parametrize('length', [4, 6, 8, 10])
def test_the_bit_before_is_right_as_often_as_counted(length: int) -> None:
  shares = {WRITE: 0.2, READ: 0.2, IGNORE: 0.6}
  right = reads = 0.0
  for between in itertools.product(shares, repeat=length // 2 - 2):
    p = math.prod(shares[one] for one in between)
    instructions = [WRITE, *between, READ]
    for before, now in itertools.pairwise(instructions):
      reads += p * (now == READ)
      right += p * (now == READ) * (0.5 if before == IGNORE else 1)
  task = FlipFlop(length=length, ignore=0.6)
  counted = task.baselines['accuracy']['the bit before']
  assert counted == pytest.approx(right / reads)


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, ROWS, GOLDEN)


@pytest.mark.parametrize(
  'fields', [{'length': 2}, {'length': 9}, {'ignore': 1.0}, {'ignore': -0.1}]
)
def test_a_bad_field_is_refused(fields: dict) -> None:
  with pytest.raises(ConfigError, match=r'(length|ignore): .*must be'):
    FlipFlop(**fields)
