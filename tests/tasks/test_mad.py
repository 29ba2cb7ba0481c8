"""The MAD suite: oracles score everything, guesses score chance."""

import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import TokenTask
from memjax.tasks.mad.compression import Compression
from memjax.tasks.mad.fuzzy_recall import FuzzyRecall
from memjax.tasks.mad.in_context_recall import InContextRecall
from memjax.tasks.mad.memorization import Memorization
from memjax.tasks.mad.noisy_recall import NoisyRecall
from memjax.types import Batch
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

ROWS = 1000
RECALL = InContextRecall(length=8, vocab=8)
NOISY = NoisyRecall(length=16, vocab=13, noise_vocab=5, noise=0.4)
FUZZY = FuzzyRecall(length=36, vocab=10)
MEMORIZATION = Memorization(length=8, vocab=12, map_seed=3)
COMPRESSION = Compression(length=6, vocab=5)
GOLDEN = {
  RECALL: '4dd14c928df46a70',
  NOISY: 'c654f80e8248912c',
  FUZZY: '7b46cf3161e3fc3c',
  MEMORIZATION: '5d7e9cba370d034d',
  COMPRESSION: 'd731b2fd0df48dea',
}
PAIRED = pytest.mark.parametrize('task', [RECALL, NOISY])
RECALLS = pytest.mark.parametrize('task', [RECALL, NOISY, FUZZY])

Motif = tuple[int, ...]


def vocabularies(task: TokenTask) -> tuple[int, int]:
  """The first value, and the first token after the values."""
  return {RECALL: (4, 8), NOISY: (4, 8), FUZZY: (4, 9)}[task]


def oracle(task: TokenTask, tokens: np.ndarray) -> list[int]:
  """Reads a row from left to right with a dictionary of motifs."""
  first, end = vocabularies(task)
  known: dict[Motif, Motif] = {}
  key: Motif = ()
  value: Motif = ()
  predicted = []
  for token in tokens:
    if token < first:
      key, value = (() if value else key) + (token,), ()
    elif token < end:
      # A value of old is complete: what is read is what is known.
      value += (token,)
      if len(value) > len(known.get(key, ())):
        known[key] = value
    else:
      key, value = (), ()
    rest = known.get(key, ())[len(value) :]
    predicted.append(rest[0] if rest else 0)
  return predicted


def pairs_of(row: np.ndarray, first: int) -> list[tuple[int, Motif, Motif]]:
  """Where each pair begins, its key and its value."""
  found: list[tuple[int, Motif, Motif]] = []
  for t, token in enumerate(row):
    if token < first and (not found or found[-1][2]):
      found.append((t, (token,), ()))
    elif token < first:
      begin, key, _ = found[-1]
      found[-1] = begin, (*key, token), ()
    else:
      begin, key, value = found[-1]
      found[-1] = begin, key, (*value, token)
  return found


def whole(batch: Batch) -> np.ndarray:
  """The rows with the last token, which is a label only."""
  last = np.asarray(batch.targets)[:, -1:]
  return np.append(np.asarray(batch.inputs), last, axis=1)


@PAIRED
def test_pairs_keep_to_their_map(task: TokenTask) -> None:
  first, end = vocabularies(task)
  batch = draw(task, ROWS)
  for row, targets, weights in zip(*map(np.asarray, batch[:3]), strict=True):
    known: dict[int, int] = {}
    for t in range(0, len(row), 2):
      key, value = row[t : t + 2]
      if key >= end:
        assert value >= end
        assert not weights[t : t + 2].any()
        continue
      assert key < first <= value < end
      assert (weights[t], weights[t + 1]) == (key in known, 0)
      assert targets[t] == known.get(key, 0)
      assert known.setdefault(key, value) == value
    assert weights[-2] == 1
  assert (
    np.asarray(batch.targets)[np.asarray(batch.loss_weights_BT) == 0] == 0
  ).all()


def test_keys_and_values_are_uniform() -> None:
  inputs = np.asarray(draw(RECALL, ROWS).inputs)
  for place in range(0, 6, 2):
    assert_uniform(inputs[:, place], 0, 3)
    assert_uniform(inputs[:, place + 1], 4, 7)


def test_the_last_key_is_one_of_those_before_however_often_each_came() -> None:
  inputs = np.asarray(draw(RECALL, ROWS).inputs)
  two_one = inputs[
    (inputs[:, 0] == inputs[:, 2]) & (inputs[:, 0] != inputs[:, 4])
  ]
  assert len(two_one) > 100
  rare = two_one[:, 6] == two_one[:, 4]
  assert (rare | (two_one[:, 6] == two_one[:, 0])).all()
  assert_uniform(rare.astype(int), 0, 1)


def test_noise_has_the_specified_frequency_and_is_uniform() -> None:
  inputs = np.asarray(draw(NOISY, ROWS).inputs)
  noise = inputs[:, ::2] >= 8
  assert (noise.sum(axis=1) <= 6).all()
  trials = ROWS * 6  # not the last pair, and one that is spared
  deviation = math.sqrt(trials * 0.4 * 0.6)
  assert abs(noise.sum() - trials * 0.4) < 4 * deviation
  assert_uniform(inputs[inputs >= 8], 8, 12)
  same = inputs[:, ::2][noise] == inputs[:, 1::2][noise]
  assert abs(same.mean() - 1 / 5) < 4 * math.sqrt(4 / 25 / noise.sum())


@pytest.mark.slow
def test_fuzzy_rows_are_as_specified() -> None:
  batch = draw(FUZZY, ROWS)
  queried = map(np.asarray, (batch.loss_weights_BT, batch.targets))
  for row, weighted, targets in zip(whole(batch), *queried, strict=True):
    begin = int((row != 9).argmax())
    assert (row[begin:] != 9).all()
    pairs = pairs_of(row[begin:], 4)
    known: dict[Motif, Motif] = {}
    weights = np.zeros(len(row))
    for t, key, value in pairs:
      assert len(set(key)) == len(key) <= 3
      assert len(set(value)) == len(value) <= 3
      if key in known:
        at = begin + t + len(key) - 1
        weights[at : at + len(value)] = 1
      assert known.setdefault(key, value) == value
    last, key, value = pairs[-1]
    assert key in [pair[1] for pair in pairs[:-1]]
    longest = 36 - len(key + value) - 6
    assert all(t < longest for t, _, _ in pairs[:-1])
    assert last >= longest
    assert list(weighted) == list(weights[:-1])
    assert list(targets) == list(row[1:] * weights[:-1])


def test_fuzzy_motifs_are_uniform() -> None:
  rows = whole(draw(FUZZY, ROWS))
  firsts = [pairs_of(row[row != 9], 4)[0] for row in rows]
  keys, values = [pair[1] for pair in firsts], [pair[2] for pair in firsts]
  for motifs, low, high in ((keys, 0, 3), (values, 4, 8)):
    assert_uniform(np.array([len(motif) for motif in motifs]), 1, 3)
    for w in range(3):
      tokens = np.array([motif[w] for motif in motifs if len(motif) > w])
      assert_uniform(tokens, low, high)


@pytest.mark.slow
def test_fuzzy_asks_for_any_of_the_pairs() -> None:
  """Those that begin before T - 12, in rows in which no other key repeats."""
  queried = []
  task = FuzzyRecall(length=36, vocab=40, shortest_key=3)
  for row in whole(draw(task, ROWS)):
    *pairs, last = pairs_of(row[row != 39], 19)
    keys = [key for _, key, _ in pairs]
    assert {len(key) for key in keys} == {3}
    able = sum(t < 24 for t, _, _ in pairs)
    if len(set(keys)) == len(keys) and able == 5:
      queried.append(keys.index(last[1]))
  assert len(queried) > 300
  assert_uniform(np.array(queried), 0, 4)


def test_memorization_is_one_map_for_all_rows() -> None:
  known: dict[int, int] = {}
  for seed in (0, 1):
    batch = draw(MEMORIZATION, ROWS, seed)
    assert_uniform(np.asarray(batch.inputs)[:, ::2].reshape(-1), 0, 4)
    np.testing.assert_array_equal(batch.inputs[:, 1::2], 11)
    np.testing.assert_array_equal(batch.loss_weights_BT, [[0, 1] * 4] * ROWS)
    queried = np.asarray(batch.inputs)[:, ::2].flat
    predicted = np.asarray(batch.targets)[:, 1::2].flat
    for key, value in zip(queried, predicted, strict=True):
      assert known.setdefault(key, value) == value
  assert len(set(known.values())) == len(known) == 5
  assert all(5 <= value <= 10 for value in known.values())
  other = draw(Memorization(length=8, vocab=12, map_seed=4), 50)
  queried = np.asarray(other.inputs)[:, ::2].flat
  predicted = np.asarray(other.targets)[:, 1::2].flat
  found = dict(zip(queried, predicted, strict=True))
  assert found != known


def test_an_oracle_that_read_other_rows_wins_memorization() -> None:
  seen, batch = draw(MEMORIZATION, 50, seed=5), draw(MEMORIZATION, ROWS)
  known = np.zeros(12, int)
  known[np.asarray(seen.inputs)[:, ::2]] = np.asarray(seen.targets)[:, 1::2]
  before = np.roll(np.asarray(batch.inputs), 1, axis=1)
  scores = score(MEMORIZATION, 20 * np.eye(12)[known[before]], batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)


def test_compression_asks_for_every_token_at_the_end() -> None:
  batch = draw(COMPRESSION, ROWS)
  inputs = np.asarray(batch.inputs)
  assert (inputs[:, -1] == 4).all()
  for place in range(5):
    assert_uniform(inputs[:, place], 0, 3)
  np.testing.assert_array_equal(batch.loss_weights_BT, [[0] * 5 + [1]] * ROWS)
  np.testing.assert_array_equal(batch.score_axis_BT, [[0] * 5 + [5]] * ROWS)
  targets = np.asarray(batch.targets)
  assert not targets[:, :-1].any()
  label = targets[:, -1].reshape(ROWS, 5, 4)
  np.testing.assert_array_equal(label, np.eye(4)[inputs[:, :-1]])


def test_an_oracle_that_outputs_all_tokens_wins_compression() -> None:
  batch = draw(COMPRESSION, ROWS)
  y = np.zeros((ROWS, 6, 20))
  y[:, -1] = 20 * np.eye(4)[np.asarray(batch.inputs)[:, :-1]].reshape(ROWS, 20)
  scores = score(COMPRESSION, y, batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)
  assert scores['loss'] < 1e-6
  y[0, -1, :4] = np.roll(y[0, -1, :4], 1)
  scores = score(COMPRESSION, y, batch)
  assert scores['exact_match'] == pytest.approx(1 - 1 / ROWS)
  assert scores['accuracy'] == pytest.approx(1 - 1 / (5 * ROWS))


def test_compression_is_guessed_at_the_baseline() -> None:
  batch, rng = draw(COMPRESSION, ROWS), np.random.default_rng(0)
  guess = np.eye(4)[rng.integers(0, 4, (ROWS, 6, 5))].reshape(ROWS, 6, 20)
  accuracy = score(COMPRESSION, guess, batch)['accuracy']
  deviation = math.sqrt(3 / 16 / (5 * ROWS))
  share = COMPRESSION.baselines['accuracy']['any token']
  assert abs(accuracy - share) < 4 * deviation
  loss = score(COMPRESSION, np.zeros((ROWS, 6, 20)), batch)['loss']
  expected = COMPRESSION.baselines['loss']['any token']
  assert loss == pytest.approx(expected, rel=1e-5)


@RECALLS
def test_the_distance_leads_back_to_the_value(task: TokenTask) -> None:
  """To its token's last appearance: the motif does not appear in between."""
  first, _ = vocabularies(task)
  batch = draw(task, ROWS)
  inputs = np.asarray(batch.inputs)
  for row, targets, weights, extent in zip(
    inputs,
    *map(
      np.asarray, (batch.targets, batch.loss_weights_BT, batch.score_axis_BT)
    ),
    strict=True,
  ):
    last: dict[tuple[Motif, int], int] = {}
    key: Motif = ()
    place = 0
    for t, token in enumerate(row):
      if token < first:
        key, place = (() if place else key) + (token,), 0
      else:
        last[key, place] = t
        place += 1
      if weights[t]:
        shown = t - extent[t]
        assert row[shown] == targets[t]
        assert shown == last[key, place]


@RECALLS
def test_the_oracle_scores_everything(task: TokenTask) -> None:
  batch = draw(task, ROWS)
  predicted = np.array([oracle(task, row) for row in np.asarray(batch.inputs)])
  scores = score(task, 20 * np.eye(task.input_spec.size)[predicted], batch)
  assert (scores['accuracy'], scores['exact_match']) == (1, 1)
  assert scores['loss'] < 1e-5


@pytest.mark.parametrize('task', [RECALL, NOISY, FUZZY, MEMORIZATION])
def test_guessing_scores_the_baselines(task: TokenTask) -> None:
  batch, rng = draw(task, ROWS), np.random.default_rng(0)
  first, end = (5, 11) if task is MEMORIZATION else vocabularies(task)
  shape, vocab = batch.inputs.shape, task.input_spec.size
  guess = np.eye(vocab)[rng.integers(first, end, shape)]
  share = task.baselines['accuracy']['any value']
  deviation = math.sqrt(
    share * (1 - share) / float(batch.loss_weights_BT.sum())
  )
  assert abs(score(task, guess, batch)['accuracy'] - share) < 4 * deviation
  y = np.full((*shape, vocab), -1e4)
  y[..., first:end] = 0
  expected = task.baselines['loss']['any value']
  assert score(task, y, batch)['loss'] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('task', GOLDEN, ids=lambda task: type(task).__name__)
def test_the_data_is_what_it_was(task: TokenTask) -> None:
  assert_as_it_was(task, ROWS, GOLDEN[task])


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (InContextRecall, {'length': 5}, 'length: 5: must be even'),
    (InContextRecall, {'length': 2}, 'length: 2: must be at least 4'),
    (InContextRecall, {'vocab': 3}, 'vocab: 3: must be at least 4'),
    (NoisyRecall, {'length': 5}, 'length: 5: must be even'),
    (NoisyRecall, {'noise_vocab': 0}, 'noise_vocab: 0: must be at least 1'),
    (NoisyRecall, {'vocab': 19}, 'vocab: 19: .* noise_vocab \\+ 4, 20'),
    (NoisyRecall, {'noise': 1.0}, 'noise: 1.0: must be in'),
    (FuzzyRecall, {'length': 12}, 'length: 12: must be at least .* 13'),
    (FuzzyRecall, {'vocab': 6}, 'vocab: 6: must leave 3 tokens for keys'),
    (FuzzyRecall, {'longest_value': 0}, 'longest_value: 0: must be at least 1'),
    (FuzzyRecall, {'longest_value': 9}, 'vocab: 16: .* 9 tokens for values'),
    (FuzzyRecall, {'shortest_key': 0}, 'shortest_key: 0: must be at least 1'),
    (FuzzyRecall, {'shortest_key': 4}, 'longest_key: 3: must be at least'),
    (
      FuzzyRecall,
      {'vocab': 3000, 'longest_key': 3},
      'longest_key: 3: allows more keys than 32 bits',
    ),
    (Memorization, {'length': 3}, 'length: 3: must be even'),
    (Memorization, {'length': 0}, 'length: 0: must be at least 2'),
    (Memorization, {'vocab': 4}, 'vocab: 4: must be at least 5'),
    (Memorization, {'map_seed': -1}, 'map_seed: -1: must be in'),
    (Compression, {'length': 1}, 'length: 1: must be at least 2'),
    (Compression, {'vocab': 2}, 'vocab: 2: must be at least 3'),
  ],
)
def test_a_bad_field_is_refused(
  task: type[TokenTask], fields: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    task(**fields)


@pytest.mark.slow
@pytest.mark.parametrize(
  'task',
  [
    InContextRecall(length=4, vocab=4),
    NoisyRecall(length=4, vocab=5, noise_vocab=1),
    Memorization(length=2, vocab=5),
    Compression(length=2, vocab=3),
    FuzzyRecall(length=5, vocab=4, longest_key=1, longest_value=1),
  ],
  ids=lambda task: type(task).__name__,
)
def test_the_smallest_task_works(task: TokenTask) -> None:
  batch = draw(task, 5)
  assert (batch.loss_weights_BT.sum(axis=1) >= 1).all()
  if not isinstance(task, Memorization):
    b, t = np.nonzero(batch.loss_weights_BT)
    assert (np.asarray(batch.score_axis_BT)[b, t] > 0).all()
