"""Augmented: what may change in training, and what stays."""

import itertools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.composed.augmented import Augmented, swapped, without
from memjax.tasks.language.pairs import Pairs
from memjax.tasks.language.text import Text
from memjax.tasks.recall.tones import Tones
from memjax.types import Batch

ROWS, LENGTH = 64, 64
SOURCE, TARGET = 'abcdefghijklmnopqrstuvwx', 'xyz'


def task_of(folder: Path, **fields: Any) -> Augmented:
  path = folder / 'pairs.jsonl'
  record = {'source': SOURCE, 'target': TARGET, 'split': 'train'}
  path.write_text((json.dumps(record) + '\n') * 2 * ROWS)
  task = Augmented(
    task=Pairs(corpus='files', path=str(path), length=LENGTH), **fields
  )
  task.prepare()
  return task


def batch_of(task: Augmented, number: int = 0, step: int = 0) -> Batch:
  host_batch = task.rows(Stream(3, number, ROWS), step, np.arange(ROWS))
  return jax.tree.map(np.asarray, jax.jit(task.batch)(host_batch))


def pairs_of(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
  """Source, answer and distances of each pair."""
  found = []
  for row in range(ROWS):
    starts = [*np.flatnonzero(batch.reset_BT[row]), LENGTH]
    for start, end in itertools.pairwise(starts):
      labels = np.flatnonzero(batch.loss_weights_BT[row][start:end]) + start
      if labels.size:
        source = batch.inputs[row][start : labels[0]].tolist()
        answer = batch.targets[row][labels].tolist()
        distance = (batch.score_axis_BT[row][labels] - labels + start).tolist()
        found.append((source, answer, distance))
  return found


def test_nothing_changes_but_in_training(tmp_path: Path) -> None:
  task = task_of(tmp_path, swap=0.3, mask=0.3, drop=0.3)
  inner = task.task.rows(Stream(3, 5, ROWS), 0, np.arange(ROWS))
  held_out = batch_of(task, number=5)
  jax.tree.map(np.testing.assert_array_equal, held_out, inner)
  one, same, other = batch_of(task), batch_of(task), batch_of(task, step=1)
  jax.tree.map(np.testing.assert_array_equal, one, same)
  assert (one.inputs != other.inputs).any()


def test_drops_shorten_sources_and_nothing_else(tmp_path: Path) -> None:
  task = task_of(tmp_path, drop=0.25)
  pairs = pairs_of(batch_of(task))
  assert len(pairs) == 2 * ROWS
  kept = []
  for source, answer, distance in pairs:
    assert answer == [*TARGET.encode(), 257]
    assert source[0] == ord('a'), 'the first step of a run stays'
    assert sorted(set(source)) == source
    assert distance == [0] * 4, 'a label counts the steps to its source'
    kept.append((len(source) - 1) / (len(SOURCE) - 1))
  assert abs(np.mean(kept) - 0.75) < 0.03
  assert batch_of(task).reset_BT.sum(axis=1).max() <= task.runs


def test_swaps_exchange_neighbours(tmp_path: Path) -> None:
  moved = []
  for source, answer, _ in pairs_of(batch_of(task_of(tmp_path, swap=0.2))):
    assert sorted(source) == [*SOURCE.encode()]
    assert answer == [*TARGET.encode(), 257]
    places = np.array(source) - ord('a') - np.arange(len(source))
    assert np.abs(places).max() <= 1
    moved.append((places > 0).mean())
  assert 0.12 < np.mean(moved) < 0.2


def test_masks_are_a_further_id(tmp_path: Path) -> None:
  task = task_of(tmp_path, mask=0.2)
  assert task.input_spec == task.output_spec
  assert task.input_spec.size == task.task.input_spec.size + 1
  assert task.input_spec.separator_id == task.task.input_spec.separator_id
  share = []
  for source, answer, _ in pairs_of(batch_of(task)):
    hidden = np.array(source) == task.task.input_spec.size
    assert (hidden | (np.array(source) == [*SOURCE.encode()])).all()
    assert answer == [*TARGET.encode(), 257]
    share.append(hidden.mean())
  assert abs(np.mean(share) - 0.2) < 0.03


def test_answers_are_masked_if_asked_for(tmp_path: Path) -> None:
  task = task_of(tmp_path, mask=0.5, labelled=True)
  batch = batch_of(task)
  labelled = batch.loss_weights_BT > 0
  read = batch.inputs[labelled]
  assert (read == task.task.input_spec.size).any()
  assert (read == task.task.input_spec.separator_id).sum() == 2 * ROWS
  assert (batch.targets[labelled] < task.task.input_spec.size).all()


def test_no_step_leaves_its_run() -> None:
  all_T, begins_T = jnp.ones(6, bool), jnp.arange(6) == 3
  found = swapped(jnp.arange(6), all_T, all_T, begins_T)
  assert found.tolist() == [1, 0, 2, 4, 3, 5]
  row = Batch(*(jnp.arange(1, 7),) * 2, jnp.ones(6), begins_T)
  shorter = without(row, jnp.array([1, 0, 0, 0, 1, 0]) > 0, distances=False)
  assert shorter.inputs.tolist() == [2, 3, 4, 6, 0, 0]
  assert shorter.loss_weights_BT.tolist() == [1, 1, 1, 1, 0, 0]
  assert shorter.reset_BT.tolist() == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'drop': 1.0}, 'drop: 1.0: must be in [0, 1)'),
    ({'task': Text(), 'drop': 0.1}, 'drop: 0.1: must be 0 where rows continue'),
    ({'drop': 0.1, 'labelled': True}, 'labelled: True: must be False with'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Augmented(**fields)
  assert words in str(refused.value)


def test_a_task_of_vectors_is_refused() -> None:
  with pytest.raises(ConfigError, match=r"task.name: 'Tones': reads no tokens"):
    Augmented(task=Tones(), mask=0.1).prepare()
