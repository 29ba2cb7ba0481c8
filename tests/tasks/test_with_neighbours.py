"""A text with neighbours: what is read, from where, and by which laws."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from memjax.data.chunk_keys import chunk_keys
from memjax.errors import ConfigError
from memjax.store.index import normed
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text
from memjax.tasks.language.with_neighbours import WithNeighbours
from memjax.types import Batch, Tokens

LENGTH, CHUNK, AFTER, ROWS = 24, 8, 5, 6
STREAM = Stream(3, 0, ROWS)


@pytest.fixture
def task(tmp_path: Path) -> WithNeighbours:
  """Letters at random, but the sentence at 400 comes again at 1200."""
  letters = np.random.default_rng(0).integers(97, 123, 3000, np.uint8)
  letters[1200:1224] = letters[400:424]
  (tmp_path / 'text.txt').write_bytes(letters.tobytes())
  return of(tmp_path)


def of(folder: Path, **fields: Any) -> WithNeighbours:
  text = Text(
    corpus='files',
    path=str(folder / 'text.txt'),
    length=LENGTH,
    carry_over=False,
    order='shuffled',
  )
  fields = {'neighbours': 2, 'chunk': CHUNK, 'continuation': AFTER} | fields
  return WithNeighbours(task=text, **fields)


def batch_of(
  task: WithNeighbours, step: int = 0, ids: range = range(ROWS)
) -> Batch:
  return jax.tree.map(
    np.asarray, task.batch(task.rows(STREAM, step, np.array(ids)))
  )


def rounded(key_ND: np.ndarray) -> np.ndarray:
  return normed(key_ND).astype(np.float16).astype(np.float64)


def test_neighbours_stand_between_the_chunks(task: WithNeighbours) -> None:
  task.prepare()
  between = 2 * (AFTER + 1) + 1
  assert task.length == LENGTH + 2 * between
  assert (task.input_spec, task.output_spec) == (Tokens(258), Tokens(256))
  text = jax.tree.map(np.asarray, task.task.rows(STREAM, 0, np.arange(ROWS)))
  batch = batch_of(task)
  token_NM, after_NF = task.chunks()
  key_ND = rounded(chunk_keys(token_NM, task.width, task.grams))
  places = np.concatenate(
    [CHUNK * i + between * i + np.arange(CHUNK) for i in range(3)]
  )
  for name in ('inputs', 'targets', 'loss_weights_BT', 'reset_BT'):
    whole, part = getattr(batch, name), getattr(text, name)
    np.testing.assert_array_equal(whole[:, places], part)
    if name != 'inputs':
      assert not np.delete(whole, places, axis=1).any()
  for row in range(ROWS):
    own = text.inputs[row].reshape(-1, CHUNK)
    allowed = [not (own == chunk).all(1).any() for chunk in token_NM]
    for u in range(2):
      query = rounded(chunk_keys(own[u : u + 1], task.width, task.grams))[0]
      score_N = (key_ND * query).sum(1).astype(np.float32)
      score_N = np.where(allowed, score_N, -1)
      begin = (u + 1) * CHUNK + u * between
      read = batch.inputs[row, begin : begin + between]
      assert read[0] == read[AFTER + 1] == 256
      assert read[-1] == 257
      best = np.argsort(-score_N, kind='stable')[:2]
      np.testing.assert_array_equal(read[1 : AFTER + 1], after_NF[best[0]])
      np.testing.assert_array_equal(read[AFTER + 2 : -1], after_NF[best[1]])


def test_what_comes_again_is_found_and_a_text_does_not_find_itself(
  task: WithNeighbours,
) -> None:
  """The row of the second sentence reads how the first one went on."""
  assert isinstance(task.task, Text)
  plain = dataclasses.replace(task.task, order='as_is')
  task = dataclasses.replace(task, task=plain, neighbours=1)
  task.prepare()
  [tokens] = plain.tokens_of('train')
  again = 1200 // LENGTH
  batch = batch_of(task, again // ROWS, range(again % ROWS, again % ROWS + 1))
  read = batch.inputs[0, CHUNK + 1 : CHUNK + 1 + AFTER]
  # Chunks of the sentence are equal, and so no neighbours of its row.
  assert not (read == tokens[408 : 408 + AFTER]).all()
  changed = tokens.copy()
  changed[1200] = 35  # one letter is another: the chunks differ
  row = changed[1200 : 1200 + LENGTH].astype(np.int32)
  [places] = task._places([row.tobytes()])
  _, after_NF = task.chunks()
  np.testing.assert_array_equal(after_NF[places[0, 0]], tokens[408:413])


def test_a_batch_is_a_function_of_seed_step_and_row(
  task: WithNeighbours, tmp_path: Path
) -> None:
  for choice in ('nearest', 'random'):
    one = dataclasses.replace(task, choice=choice)
    one.prepare()
    whole = batch_of(one, 2)
    other = of(tmp_path, choice=choice)  # another process, a part of the rows
    other.prepare()
    part = batch_of(other, 2, range(3, 5))
    for field in range(4):
      np.testing.assert_array_equal(part[field], whole[field][3:5])
    later = batch_of(other, 3)
    assert (later.inputs != whole.inputs).any()
  assert one.fingerprint() == other.fingerprint()
  fewer = of(tmp_path, share=0.5)
  fewer.prepare()
  assert fewer.fingerprint() != one.fingerprint()
  none = of(tmp_path, neighbours=0)
  none.prepare()
  assert none.length == LENGTH
  assert none.fingerprint() not in (one.fingerprint(), fewer.fingerprint())
  text = none.task.rows(STREAM, 2, np.arange(ROWS))
  np.testing.assert_array_equal(batch_of(none, 2).inputs, text.inputs)


def test_random_neighbours_are_others(task: WithNeighbours) -> None:
  task.prepare()
  drawn = dataclasses.replace(task, choice='random')
  drawn.prepare()
  row = task.task.rows(STREAM, 0, np.arange(1)).inputs[0].tobytes()
  [near], [far] = task._places([row]), drawn._places([row])
  assert near.shape == far.shape == (2, 2)
  assert not np.isin(far, near).all()
  assert len(np.unique(far)) == 4


def test_keys_count_equal_n_grams() -> None:
  token_CM = np.array([[1, 2, 3, 4], [1, 2, 3, 9], [5, 6, 7, 8]])
  key_CD = chunk_keys(token_CM, 1 << 14, 3)
  # Of 4 + 3 + 2 n-grams the first two share 3 + 2 + 1.
  product_CC = key_CD @ key_CD.T
  np.testing.assert_allclose(np.diag(product_CC), 1, atol=1e-6)
  assert product_CC[0, 1] == pytest.approx(6 / 9, abs=1e-6)
  assert product_CC[0, 2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'chunk': 7}, 'chunk: 7: must divide'),
    ({'continuation': 9}, 'continuation: 9: must be at most chunk'),
    ({'neighbours': -1}, 'neighbours: -1: must be at least 0'),
    ({'choice': 'nearst'}, 'did you mean nearest'),
    ({'share': 0.0}, 'share: 0.0: must be in'),
    ({'share': 0.5, 'snapshot': 'a'}, 'share: 0.5: must be in'),
  ],
)
def test_a_bad_field_is_refused(
  fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError) as refused:
    of(tmp_path, **fields)
  assert words in str(refused.value)
  with pytest.raises(ConfigError, match=r'^task.carry_over'):
    WithNeighbours(task=Text())


def test_more_neighbours_than_chunks_are_refused(task: WithNeighbours) -> None:
  few = dataclasses.replace(task, share=0.01, neighbours=4)
  with pytest.raises(ConfigError, match='neighbours: 4: has 3 chunks'):
    few.prepare()
