"""Masked language modelling: what is hidden, how often, and in what way."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import Stream, Task
from memjax.tasks.language.hidden_tags import HiddenTags
from memjax.tasks.language.masked import Masked
from memjax.tasks.language.text import Text
from memjax.types import Batch, Tokens

LENGTH, ROWS = 32, 64


def text_of(folder: Path) -> Text:
  rng = np.random.default_rng(0)
  path = folder / 'text.txt'
  path.write_bytes(rng.integers(97, 123, 5000, np.uint8).tobytes())
  return Text(corpus='files', path=str(path), length=LENGTH, carry_over=False)


def batch_of(task: Task, step: int = 0, ids: range = range(ROWS)) -> Batch:
  rows = task.rows(Stream(3, 0, ROWS), step, np.array(ids))
  return jax.tree.map(jnp.asarray, jax.jit(task.batch)(rows))


def test_tokens_are_hidden_as_often_as_the_paper_says(tmp_path: Path) -> None:
  task = Masked(task=text_of(tmp_path))
  task.prepare()
  assert (task.input_spec, task.output_spec) == (Tokens(257), Tokens(256))
  parts = [batch_of(task, step) for step in range(8)]
  seen, token, weight = (
    np.concatenate([part[i] for part in parts]) for i in range(3)
  )
  counted = np.concatenate(
    [batch_of(task.task, step).loss_weights_BT for step in range(8)]
  )
  chosen = weight > 0
  assert not chosen[counted == 0].any()
  assert (seen == token)[~chosen & (counted > 0)].all()

  def near(share: float, of: np.ndarray) -> bool:
    deviation = np.sqrt(share * (1 - share) / of.size)
    return abs(of.mean() - share) < 4 * deviation

  assert near(0.15, chosen[counted > 0])
  assert near(0.8, seen[chosen] == 256)
  assert near(0.1 + 0.1 / 256, seen[chosen] == token[chosen])
  others = seen[chosen & (seen < 256) & (seen != token)]
  assert others.max() > 200, 'any token of the vocabulary, letters or not'


@pytest.mark.slow
def test_a_row_is_hidden_by_its_own_number(tmp_path: Path) -> None:
  task = Masked(task=text_of(tmp_path))
  whole, part = batch_of(task, 1), batch_of(task, 1, range(5, 9))
  for one, other in zip(whole, part, strict=True):
    np.testing.assert_array_equal(one[5:9], other)
  again = batch_of(task, 1 + task.epoch_steps(ROWS))
  np.testing.assert_array_equal(again.targets, whole.targets)
  assert (again.loss_weights_BT != whole.loss_weights_BT).any()


@pytest.mark.slow
def test_passes_hide_each_token_once(tmp_path: Path) -> None:
  text = text_of(tmp_path)
  task = Masked(task=text, passes=LENGTH)
  steps = text.epoch_steps(ROWS)
  total = np.zeros((ROWS, LENGTH), int)
  assert task.epoch_steps(ROWS) == LENGTH * steps
  for turn in range(LENGTH):
    batch = batch_of(task, turn * steps)
    chosen = np.asarray(batch.loss_weights_BT) > 0
    assert not np.delete(chosen, turn, axis=1).any()
    assert (np.asarray(batch.inputs)[:, turn] == 256).all()
    total += chosen
  np.testing.assert_array_equal(total, batch_of(text).loss_weights_BT)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'task': HiddenTags()}, "task.name: 'HiddenTags': is no text"),
    ({'task': Text()}, 'task.carry_over: True: must be False'),
    ({'random': 0.3}, 'random: 0.3: must be at most 1 - masked, 0.2'),
    ({'passes': 129}, 'passes: 129: must be from 0 to the length, 128'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Masked(**fields)
  assert words in str(refused.value)


def test_the_mask_may_be_a_token_of_the_vocabulary(tmp_path: Path) -> None:
  task = Masked(task=text_of(tmp_path), masked=1.0, random=0.0, mask_id=35)
  task.prepare()
  assert task.input_spec == task.output_spec == Tokens(256)
  batch = batch_of(task)
  chosen = np.asarray(batch.loss_weights_BT) > 0
  assert (np.asarray(batch.inputs)[chosen] == 35).all()
  assert (np.asarray(batch.targets)[chosen] != 35).all()
  outside = Masked(task=text_of(tmp_path), mask_id=256)
  with pytest.raises(ConfigError, match='must be below the number of tokens'):
    outside.prepare()
