"""Several texts in exact shares, as a function of seed, step and row."""

from collections.abc import Sequence
import hashlib
from typing import Any

import numpy as np
import pytest

from memjax.data.mixture import Mixture, _deal, parse_mix
from memjax.data.text_rows import TextRows
from memjax.errors import ConfigError
from memjax.types import Batch

THOUSAND = 1000  # token 1000 k + i is token i of text k


def mixture(
  shares: tuple[int, ...], sizes: Sequence[int] = (300, 500, 170), **given: Any
) -> Mixture:
  fields = {'length': 5, 'stride': 5, 'carry_over': True, **given}
  texts = [
    TextRows(
      tokens=np.arange(THOUSAND * k, THOUSAND * k + size, dtype=np.uint16),
      starts=np.arange(0, size, 37),
      reset_at_documents=False,
      **fields,
    )
    for k, size in zip(range(len(shares)), sizes, strict=False)
  ]
  return Mixture(tuple(texts), shares)


def mixed(
  texts: Mixture, batch_size: int, steps: range, seed: tuple[int, ...] = ()
) -> Batch:
  """`(S, B, T)` batches of the steps."""
  ids = np.arange(batch_size)
  batches = [texts.read_mixed(batch_size, s, ids, seed) for s in steps]
  return Batch(
    *(np.stack(x) for x in zip(*(b[:4] for b in batches), strict=True))
  )


def text_of(batch: Batch) -> np.ndarray:
  """`(S, B)` the text of each row."""
  return batch.targets.max(-1) // THOUSAND


@pytest.mark.parametrize('carry_over', [True, False])
@pytest.mark.parametrize(
  ('shares', 'batch_size'),
  [((7, 3), 32), ((7, 3), 1), ((1, 1), 2), ((50, 1, 49), 1), ((97, 2, 1), 8)],
)
def test_the_shares_are_exact_in_every_cycle_and_close_before(
  shares: tuple[int, ...], batch_size: int, carry_over: bool
) -> None:
  texts, total = mixture(shares, carry_over=carry_over), sum(shares)
  batch = mixed(texts, batch_size, range(3 * total))
  text_SB = text_of(batch)
  for k, share in enumerate(shares):
    read_S = (text_SB == k).sum(1).cumsum()
    assert read_S[total - 1 :: total].tolist() == [
      cycles * share * batch_size for cycles in (1, 2, 3)
    ]
    due_S = np.arange(1, 3 * total + 1) * batch_size * share / total
    assert np.abs(read_S - due_S).max() < len(shares)


def test_windows_of_each_text_come_in_its_own_order_without_gaps() -> None:
  texts = mixture((7, 3), carry_over=False)
  batch = mixed(texts, 8, range(100))
  text_SB = text_of(batch)
  for k, text in enumerate(texts.texts):
    firsts = batch.inputs[text_SB == k][:, 0] - THOUSAND * k
    expected = np.arange(len(firsts)) % text.windows * 5
    assert firsts.tolist() == expected.tolist()
  assert batch.reset_BT[:, :, 0].all()


@pytest.mark.parametrize(
  'shares', [(7, 3), (2, 1), (50, 1, 49), (3, 5, 2), (1, 999)]
)
def test_streams_go_on_where_they_were_left(shares: tuple[int, ...]) -> None:
  batch_size = 12
  texts = mixture(shares)
  batch = mixed(texts, batch_size, range(1200))
  cycle_SB = _deal(shares, batch_size, streams=True).text_SB
  text_SB = np.resize(cycle_SB, (1200, batch_size))
  read = batch.loss_weights_BT.any(-1)
  assert (text_of(batch) == text_SB)[read].all()
  for k, text in enumerate(texts.texts):
    rows = np.flatnonzero((text_SB == k).any(0))
    labels = -(-text.labels // len(rows))
    steps = -(-labels // 5)
    for lane, b in enumerate(rows):
      at_S = np.flatnonzero(text_SB[:, b] == k)
      first_S = batch.inputs[at_S, b, 0] - THOUSAND * k
      expected_S = lane * labels + np.arange(len(at_S)) % steps * 5
      inside_S = read[at_S, b]
      assert (first_S == expected_S)[inside_S].all()
      assert (expected_S < text.labels).tolist() == inside_S.tolist()
      # The memory is empty where an epoch or a visit begins.
      starts = np.arange(len(at_S)) % steps == 0
      visits = np.diff(at_S, prepend=-9) > 1
      if at_S[0] == 0:
        visits[0] = True
      assert batch.reset_BT[at_S, b, 0].tolist() == (starts | visits).tolist()
  most = (np.diff(text_SB, axis=0) != 0).any(0).sum()
  assert most <= 2 * (len(shares) - 1)  # the other rows read one text always


@pytest.mark.parametrize('carry_over', [True, False])
def test_each_row_is_a_function_of_seed_step_and_row(carry_over: bool) -> None:
  texts = mixture((7, 3), carry_over=carry_over)
  again = mixture((7, 3), carry_over=carry_over)
  batch = mixed(texts, 8, range(400), (1, 0))
  for step in (399, 17, 203):
    rows = again.read_mixed(8, step, np.array([6, 1, 5]), (1, 0))
    for whole, some in zip(batch[:4], rows[:4], strict=True):
      np.testing.assert_array_equal(whole[step][[6, 1, 5]], some)
  other = mixed(texts, 8, range(400), (2, 0))
  assert (text_of(other) == text_of(batch)).all()
  assert (other.targets != batch.targets).any()


@pytest.mark.parametrize(
  ('carry_over', 'seed', 'golden'),
  [
    (True, (), 'd9a3a7d6f2bbb32e'),
    (True, (3, 0), 'd615e8c48d7ab429'),
    (False, (), '4e5c7470711c89fa'),
    (False, (3, 0), 'e236e9c8a4a50654'),
  ],
)
def test_the_batches_never_change(
  carry_over: bool, seed: tuple[int, ...], golden: str
) -> None:
  batch = mixed(
    mixture((50, 1, 49), carry_over=carry_over), 12, range(90), seed
  )
  assert digest(batch) == golden


def digest(batch: Batch) -> str:
  sha256 = hashlib.sha256()
  for x in batch[:4]:
    sha256.update(np.ascontiguousarray(x).tobytes())
  return sha256.hexdigest()[:16]


@pytest.mark.parametrize('carry_over', [True, False])
def test_in_turn_every_label_of_every_text_is_read_once(
  carry_over: bool,
) -> None:
  texts = mixture((97, 2, 1), carry_over=carry_over)
  ids = np.arange(4)
  labels: list[int] = []
  document_starts = [
    THOUSAND * k + int(start)
    for k, text in enumerate(texts.texts)
    for start in text.starts
  ]
  for step in range(texts.epoch_steps(4)):
    batch = texts.read_in_turn(4, step, ids)
    here = batch.targets[batch.loss_weights_BT > 0]
    labels += here.tolist()
    documents = texts.label_documents(4, step, ids)[batch.loss_weights_BT > 0]
    for label, document in zip(here, documents, strict=True):
      assert document_starts[document] <= label < document_starts[document] + 37
  sizes = [len(text.tokens) for text in texts.texts]
  expected = [
    THOUSAND * k + i for k, size in enumerate(sizes) for i in range(1, size)
  ]
  assert sorted(labels) == expected


@pytest.mark.parametrize(
  ('mix', 'shares'),
  [
    ('a:0.7,b:0.3', {'a': 7, 'b': 3}),
    ('a:70, b:30', {'a': 7, 'b': 3}),
    ('/x/y:1/3,~/z:2/3', {'/x/y': 1, '~/z': 2}),
    ('c:\\x:1', {'c:\\x': 1}),
  ],
)
def test_shares_are_whole_numbers(mix: str, shares: dict[str, int]) -> None:
  assert parse_mix(mix) == shares


@pytest.mark.parametrize(
  ('mix', 'rule'),
  [
    ('a', 'must be NAME:SHARE'),
    ('a:0.7,b', 'must be NAME:SHARE'),
    ('a:0,b:1', 'must be NAME:SHARE'),
    ('a:-1,b:2', 'must be NAME:SHARE'),
    ('a:nan,b:2', 'must be NAME:SHARE'),
    ('a:1/0', 'must be NAME:SHARE'),
    (':1', 'must be NAME:SHARE'),
    ('a:1,a:2', "names 'a' twice"),
    ('a:0.12345,b:1', 'too fine'),
  ],
)
def test_a_bad_mix_is_one_line(mix: str, rule: str) -> None:
  with pytest.raises(ConfigError, match=rule) as error:
    parse_mix(mix)
  assert error.value.field == 'mix'
  assert '\n' not in str(error.value)
