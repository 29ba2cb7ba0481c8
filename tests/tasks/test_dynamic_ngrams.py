"""Dynamic n-grams: an oracle that counts has the score of the Bayes optimum."""

from collections import defaultdict
import math

import numpy as np
import pytest
from scipy.stats import kstest

from memjax.errors import ConfigError
from memjax.tasks.ntm.dynamic_ngrams import DynamicNGrams
from tests.tasks.drawn import assert_as_it_was, assert_fair, draw, score

ROWS = 1000
TASK = DynamicNGrams()
GOLDEN = '6a970e3608d79c8b'


def oracle(bits: np.ndarray, context: int) -> list[float]:
  """Reads a row from left to right; predicts the probability of a 1."""
  zeros: dict[tuple, int] = defaultdict(int)
  ones: dict[tuple, int] = defaultdict(int)
  chances: list[float] = []
  seen: tuple[int, ...] = ()
  for n, bit in enumerate(map(int, bits)):
    if n >= context:
      (ones if bit else zeros)[seen] += 1
    seen = (*seen, bit)[-context:]
    n0, n1 = zeros[seen], ones[seen]
    full = len(seen) == context
    chances.append((n1 + 0.5) / (n0 + n1 + 1) if full else 0.5)
  return chances


def played(context: int) -> tuple[dict[str, float], np.ndarray]:
  """Scores of an oracle with a context of some bits, and each row's cost."""
  batch = draw(TASK, ROWS)
  bits = np.asarray(batch.inputs[..., 0])
  p = np.array([oracle(row, context) for row in bits])[..., None]
  right = np.where(np.asarray(batch.targets) == 1, p, 1 - p)
  cost_B = -np.log2(right).sum((1, 2))
  return score(TASK, np.log(p / (1 - p)), batch), cost_B


def test_the_player_by_hand() -> None:
  assert oracle(np.array([1, 1, 1, 0, 1]), 1) == [0.5, 0.75, 5 / 6, 0.5, 5 / 8]


def test_the_best_player_scores_the_baseline() -> None:
  scores, cost_B = played(5)
  assert scores['bits_per_sequence'] == pytest.approx(cost_B.mean(), rel=1e-5)
  baselines = {k: v['optimal'] for k, v in TASK.baselines.items() if len(v) > 1}
  assert baselines['loss'] == pytest.approx(
    baselines['bits_per_sequence'] * math.log(2) / 199
  )
  # Deviations of one sequence, as of the million.
  for name, deviation in (('bits_per_sequence', 35.8), ('bits_wrong', 14.6)):
    far = abs(scores[name] - baselines[name]) / (deviation / math.sqrt(ROWS))
    assert far < 4, name
  assert cost_B.std() == pytest.approx(35.8, rel=0.1)


@pytest.mark.parametrize('context', [4, 6])
def test_no_other_context_is_as_good(context: int) -> None:
  best, other = played(5)[1], played(context)[1]
  gap = other - best
  assert gap.mean() > 10 * gap.std() / math.sqrt(ROWS)


def test_the_next_bit_is_the_label_of_every_step() -> None:
  inputs, targets, loss_weights_BT, *_ = draw(TASK, ROWS)
  assert inputs.shape == targets.shape == (ROWS, 199, 1)
  np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
  assert (loss_weights_BT == 1).all()
  assert_fair(np.asarray(inputs[:, :6]))


def test_chances_follow_beta() -> None:
  """Of order 1, the share of ones in a long row is the row's only chance."""
  task = DynamicNGrams(order=1, sequence=20_001)
  share = np.asarray(draw(task, 300).inputs).mean((1, 2))
  assert kstest(share, 'beta', (0.5, 0.5)).pvalue > 1e-4


def test_chances_depend_on_the_context_and_on_nothing_else() -> None:
  """In one row, what follows a context is as likely early as late."""
  task = DynamicNGrams(order=3, sequence=20_001)
  for row in np.asarray(draw(task, 8).inputs[..., 0], int):
    context = 2 * row[:-2] + row[1:-1]
    for value in range(4):
      after = row[2:][context == value]
      early, late = np.array_split(after, 2)
      p = after.mean() if len(after) else 0.0
      deviation = math.sqrt(p * (1 - p) * 4 / max(len(after), 1))
      assert len(after) < 50 or abs(early.mean() - late.mean()) <= 5 * deviation


def test_the_data_is_what_it_was() -> None:
  assert_as_it_was(TASK, 20, GOLDEN)  # the sine's last bit is no promise


def test_other_sizes_have_no_known_optimum() -> None:
  assert 'optimal' not in DynamicNGrams(sequence=100).baselines['loss']


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'order': 0}, r'order: 0: must be in 1\.\.20'),
    ({'order': 21}, r'order: 21: must be in 1\.\.20'),
    ({'sequence': 5}, 'sequence: 5: must be at least 6'),
    ({'order': 1, 'sequence': 1}, 'sequence: 1: must be at least 2'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    DynamicNGrams(**fields)
