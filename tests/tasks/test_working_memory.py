"""N-back, delayed XOR, sequence recall: oracles with memory and without."""

import math

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import GeneratedTask
from memjax.tasks.working_memory.delayed_xor import DelayedXOR
from memjax.tasks.working_memory.n_back import NBack
from memjax.tasks.working_memory.sequence_recall import SequenceRecall
from tests.tasks.drawn import assert_as_it_was, assert_uniform, draw, score

ROWS = 2000
BACK = NBack(n=3, length=17, symbols=5, matches=0.4)
XOR = DelayedXOR(shortest=2, longest=6)
RECALL = SequenceRecall(symbols=4, shortest=2, longest=5, delay=3)
GOLDEN = {
  NBack: '665ebe45c58d5273',
  DelayedXOR: '6e8810633ed94c03',
  SequenceRecall: '81fb470b734f8304',
}
every_task = pytest.mark.parametrize(
  'task', [BACK, XOR, RECALL], ids=lambda task: type(task).__name__
)


def play_back(tokens: list[int]) -> list[int]:
  kept: list[int] = []
  predicted = []
  for token in tokens:
    kept.append(token)
    predicted.append(int(len(kept) > 3 and kept.pop(0) == token))
  return predicted


def play_xor(tokens: list[int]) -> list[int]:
  parity, predicted = 0, []
  for token in tokens:
    parity ^= token == 4
    predicted.append(int(parity) if token == 5 else 0)
  return predicted


def play_recall(tokens: list[int]) -> list[int]:
  kept: list[int] = []
  predicted = []
  cue = 0
  for token in tokens:
    if token < 4:
      kept.append(token)
    answers = cue and kept
    predicted.append(kept.pop(0 if cue == 5 else -1) if answers else 0)
    cue = token if token in (5, 6) else cue
  return predicted


PLAY = {NBack: play_back, DelayedXOR: play_xor, SequenceRecall: play_recall}


@pytest.mark.fast_cases(1)
@every_task
def test_the_oracle_scores_everything(task: GeneratedTask) -> None:
  batch = draw(task, ROWS)
  oracle = PLAY[type(task)]
  answers = np.array([oracle(row) for row in np.asarray(batch.inputs).tolist()])
  labelled = np.asarray(batch.loss_weights_BT) > 0
  np.testing.assert_array_equal(np.where(labelled, answers, 0), batch.targets)
  scores = score(task, 40 * np.eye(task.output_spec.size)[answers], batch)
  assert scores['accuracy'] == scores.get('exact_match', 1) == 1
  assert scores['loss'] < 1e-6


@every_task
def test_guessing_scores_the_baselines(task: GeneratedTask) -> None:
  batch, rng = draw(task, ROWS), np.random.default_rng(0)
  [(name, share)] = task.baselines['accuracy'].items()
  vocab, shape = task.output_spec.size, batch.loss_weights_BT.shape
  chances = np.full(vocab, 1 / vocab)
  guess = rng.integers(0, vocab, shape)
  if name == 'without memory':
    chances, guess = np.array([0.6, 0.4]), np.zeros(shape, int)
  scores = score(task, np.eye(vocab)[guess], batch)
  deviation = math.sqrt(
    share * (1 - share) / float(batch.loss_weights_BT.sum())
  )
  assert abs(scores['accuracy'] - share) < 4 * deviation
  if 'exact_match' in task.baselines:
    rows = task.baselines['exact_match'][name]
    spread = math.sqrt(rows * (1 - rows) / ROWS)
    assert abs(scores['exact_match'] - rows) < 4 * spread
  logits = np.broadcast_to(np.log(chances), (*shape, vocab))
  loss = score(task, logits, batch)['loss'] - task.baselines['loss'][name]
  assert abs(loss) < 4 * deviation * np.ptp(np.log(chances)) + 1e-5


@every_task
def test_the_data_is_what_it_was(task: GeneratedTask) -> None:
  assert_as_it_was(task, ROWS, GOLDEN[type(task)])


@pytest.mark.parametrize(
  'task', [BACK, NBack(n=2, length=8, symbols=3, matches=0.9)]
)
def test_symbols_match_with_the_specified_probability(task: NBack) -> None:
  tokens, last = np.asarray(draw(task, ROWS).inputs), task.symbols - 1
  assert_uniform(tokens[:, : task.n].ravel(), 0, last)
  assert_uniform(tokens[:, 7], 0, last)
  before, after = tokens[:, : -task.n], tokens[:, task.n :]
  same, share = before == after, task.matches
  deviation = math.sqrt(share * (1 - share) / same.size)
  assert abs(same.mean() - share) < 4 * deviation
  assert_uniform((after - before)[~same] % task.symbols, 1, last)


def test_the_step_before_tells_nothing_of_a_match() -> None:
  tokens, targets = map(np.asarray, draw(BACK, ROWS)[:2])
  repeats = (tokens[:, 3:] == tokens[:, 2:-1]).ravel()
  yes = targets[:, 3:].ravel()[repeats]
  assert abs(yes.mean() - 0.4) < 4 * math.sqrt(0.24 / yes.size)


def test_n_back_asks_from_step_n_on() -> None:
  batch = draw(BACK, ROWS)
  labelled = np.tile(np.arange(17) >= 3, (ROWS, 1))
  np.testing.assert_array_equal(batch.loss_weights_BT, labelled)
  np.testing.assert_array_equal(batch.score_axis_BT, 3 * labelled)


def test_a_row_of_xor_is_as_specified() -> None:
  batch = draw(XOR, ROWS)
  tokens = np.asarray(batch.inputs)
  kept = [np.flatnonzero(row > 2).tolist() for row in tokens]
  assert all(len(places) == 3 for places in kept)
  first, second, go = np.array(kept).T
  assert not first.any()
  assert_uniform(second - 1, 2, 6)
  assert_uniform(go - second - 1, 2, 6)
  np.testing.assert_array_equal(tokens[np.arange(ROWS), go], 5)
  steps = np.arange(XOR.length)
  np.testing.assert_array_equal(tokens == 0, steps > go[:, None])
  np.testing.assert_array_equal(batch.loss_weights_BT, steps == go[:, None])
  np.testing.assert_array_equal(batch.score_axis_BT.max(axis=1), go)
  distracting = tokens[(tokens == 1) | (tokens == 2)]
  assert abs(distracting.mean() - 1.5) < 2 / math.sqrt(distracting.size)


def test_one_bit_of_the_two_is_worth_nothing() -> None:
  batch = draw(XOR, ROWS)
  labels = np.asarray(batch.targets).max(axis=1)
  tokens = np.asarray(batch.inputs)
  second = (tokens[:, 1:] > 2).argmax(axis=1) + 1
  for bit in (tokens[:, 0] - 3, tokens[np.arange(ROWS), second] - 3):
    assert set(bit) == {0, 1}
    assert abs((bit == labels).mean() - 0.5) < 4 * 0.5 / math.sqrt(ROWS)


def test_a_row_of_recall_is_as_specified() -> None:
  batch = draw(RECALL, ROWS)
  tokens = np.asarray(batch.inputs)
  counts, waits, cues = [], [], []
  for row, labelled, length in zip(
    tokens,
    np.asarray(batch.loss_weights_BT),
    np.asarray(batch.score_axis_BT),
    strict=True,
  ):
    count = int((row < 4).sum())
    [cue] = np.flatnonzero(row > 4)
    assert (row[:count] < 4).all()
    assert np.flatnonzero(labelled).tolist() == [
      *range(cue + 1, cue + count + 1)
    ]
    assert set(length[labelled > 0]) == {count}
    counts.append(count)
    waits.append(cue - count)
    cues.append(row[cue])
  assert_uniform(np.array(counts), 2, 5)
  assert_uniform(np.array(waits), 0, 3)
  assert_uniform(np.array(cues), 5, 6)
  assert_uniform(tokens[:, 0], 0, 3)
  assert tokens.shape == (ROWS, 14)


@pytest.mark.parametrize(('cues', 'token'), [('forward', 5), ('backward', 6)])
def test_recall_can_ask_for_one_order_only(cues: str, token: int) -> None:
  task = SequenceRecall(symbols=4, shortest=3, longest=3, delay=0, cues=cues)
  inputs, targets = map(np.asarray, draw(task, 50)[:2])
  assert (inputs[:, 3] == token).all()
  order = 1 if cues == 'forward' else -1
  np.testing.assert_array_equal(targets[:, 4:], inputs[:, :3][:, ::order])


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (NBack, {'n': 0}, 'n: 0: must be at least 1'),
    (NBack, {'n': 3, 'length': 3}, 'length: 3: must be above n, 3'),
    (NBack, {'symbols': 1}, 'symbols: 1: must be at least 2'),
    (NBack, {'matches': 0.0}, 'matches: 0.0: must be above 0 and below 1'),
    (NBack, {'matches': math.nan}, 'matches: nan'),
    (DelayedXOR, {'shortest': 0}, 'shortest: 0: must be at least 1'),
    (DelayedXOR, {'shortest': 5, 'longest': 4}, 'longest: 4: .*shortest, 5'),
    (SequenceRecall, {'symbols': 0}, 'symbols: 0: must be at least 1'),
    (SequenceRecall, {'longest': 0}, 'longest: 0: must be at least shortest'),
    (SequenceRecall, {'delay': -1}, 'delay: -1: must not be negative'),
    (SequenceRecall, {'cues': 'back'}, "cues: 'back': .*did you mean backw"),
  ],
)
def test_a_bad_field_is_refused(task: type, fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    task(**fields)


def test_the_smallest_tasks_work() -> None:
  inputs, targets, weights, *_ = draw(NBack(n=1, length=2, symbols=2), 40)
  np.testing.assert_array_equal(targets[:, 1], inputs[:, 0] == inputs[:, 1])
  assert set(np.unique(targets)) == {0, 1}
  assert weights.sum() == 40
  tokens = np.asarray(draw(DelayedXOR(shortest=1, longest=1), 40).inputs)
  assert ((tokens[:, [0, 2]] > 2) & (tokens[:, [1, 3]] < 3)).all()
  small = SequenceRecall(symbols=1, shortest=1, longest=1, delay=0)
  tokens = np.asarray(draw(small, 40).inputs)
  np.testing.assert_array_equal(tokens[:, [0, 2]], [[0, 1]] * 40)
