"""The recall split: n-grams found by hand, and parts that add up."""

from pathlib import Path
import random
from typing import Any

import jax
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.evaluation.base import KnownMeasure
from memjax.evaluation.recall_split import RecallSplit, repeated, seen_labels
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text
from memjax.training import parallel
from memjax.training.state import initial_params
from tests.small import small


def by_hand(inputs: list, targets: list, reset: list, ngram: int) -> list:
  """Reads token by token and keeps every n-gram since the last reset."""
  known: set[tuple] = set()
  context: list[int] = []
  seen = []
  for token, target, forgets in zip(inputs, targets, reset, strict=True):
    if forgets:
      known, context = set(), []
    context.append(token)
    gram = (*context[-(ngram - 1) :], target)
    seen.append(len(gram) == ngram and gram in known)
    known.add(gram)
  return seen


@pytest.mark.parametrize('ngram', [2, 3, 5])
def test_repetitions_are_those_found_by_hand(ngram: int) -> None:
  rng = np.random.default_rng(ngram)
  tokens = rng.integers(0, 3, 301)
  reset = rng.random(300) < 0.02
  for forgets in (reset, np.arange(300) == 0, np.zeros(300, bool)):
    seen = repeated(tokens[:-1], tokens[1:], forgets, ngram)
    expected = by_hand(
      tokens[:-1].tolist(), tokens[1:].tolist(), forgets.tolist(), ngram
    )
    np.testing.assert_array_equal(seen, expected)
    assert 20 < seen.sum() < 300


def experiment_of(folder: Path, **fields: Any) -> Any:
  rng = random.Random(1)
  (folder / 'text').write_text(''.join(rng.choices('abcd', k=600)))
  given = {
    'task.corpus': 'files',
    'task.path': str(folder),
    'task.length': 8,
    'evals.validation.name': 'recall_split.RecallSplit',
    'evals.validation.ngram': 3,
    'evals.validation.task': {'split': 'train'},
    'evals.validation.batch_size': 2,
    'evals.validation.steps': 0,
    'parallel.data': 1,
  }
  return small('text', 'lstm', given | fields)


def test_the_parts_add_up_and_the_stream_goes_on(tmp_path: Path) -> None:
  experiment = experiment_of(tmp_path)
  evaluation = experiment.evals['validation']
  assert isinstance(evaluation, RecallSplit)
  task, steps = evaluation.task, evaluation.number_of_steps
  stream = evaluation.stream(experiment.seed)
  seen = seen_labels(task, stream, steps, 3)
  assert seen.shape == (steps, 2, 8)
  assert isinstance(task, Text)
  text = task._splits[0].tokens.tolist()
  half = -(-(len(text) - 1) // 2)
  start = [True] + [False] * (half - 1)
  expected = by_hand(text[:half], text[1 : half + 1], start, 3)
  np.testing.assert_array_equal(seen[:, 0].ravel()[:half], expected)
  mesh = parallel.make_mesh(experiment.parallel)
  params = jax.tree.map(
    lambda x: x[None],
    initial_params(experiment.model, task, jax.random.key(0)),
  )
  measure = evaluation.prepare(experiment, mesh)
  assert isinstance(measure, KnownMeasure)
  figures = measure(params).figures
  assert set(figures) == measure.metrics()
  share = figures['seen_share']
  for metric in ('loss', 'accuracy'):
    both = share * figures[f'{metric}_seen']
    both += (1 - share) * figures[f'{metric}_new']
    np.testing.assert_allclose(both, figures[metric], rtol=1e-6)
  weights = np.concatenate(
    [
      task.rows(stream, step, np.arange(2)).loss_weights_BT
      for step in range(steps)
    ],
    axis=1,
  )
  flat = np.concatenate(list(seen), axis=1)
  np.testing.assert_allclose(share, (flat * weights).sum() / weights.sum())


def test_windows_are_read_alone(tmp_path: Path) -> None:
  fields = {'task.carry_over': False, 'task.length': 24}
  evaluation = experiment_of(tmp_path, **fields).evals['validation']
  seen = seen_labels(evaluation.task, Stream(0, 1, 2), 2, 2)
  assert not seen[:, :, 0].any()
  assert seen.any(axis=-1).all()  # of 23 bigrams, 16 can differ


def test_a_task_without_positions_is_refused(tmp_path: Path) -> None:
  fields = {'evals.held_out.name': 'recall_split.RecallSplit'}
  with pytest.raises(ConfigError, match=r'needs a task that reads tokens'):
    small('mqar', 'gru', fields)
  with pytest.raises(ConfigError, match='ngram: 1: must be at least 2'):
    experiment_of(tmp_path, **{'evals.validation.ngram': 1})
