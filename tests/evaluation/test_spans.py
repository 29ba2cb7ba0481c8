"""Span F1 is seqeval's: its loop over tags, and figures that it gave."""

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.reader import read_experiment
from memjax.configs import pairs
from memjax.errors import ConfigError
from memjax.evaluation.spans import TAG, measure_spans, parts_of
from memjax.models.base import apply
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.state import initial_params
from memjax.types import Batch

NAMES = ('B-LOC', 'B-PER', 'E-PER', 'I-LOC', 'I-PER', 'O', 'S-LOC')
PARTS = parts_of(NAMES)


def entities(tags: list[str]) -> set[tuple[str, int, int]]:
  """{(type, first word, last word)}, word by word as seqeval finds them."""
  found, begin, before, kind_before = set(), 0, 'O', ''
  for i, tag in enumerate([*tags, 'O']):
    place, kind = tag[0], tag[1:].split('-', 1)[-1] or '_'
    open_before = before != 'O'
    ends = before in 'ES' or (before in 'BI' and place in 'BSO')
    if open_before and (ends or kind_before != kind):
      found.add((kind_before, begin, i - 1))
    starts = place in 'BS' or (before in 'ESO' and place in 'EI')
    if starts or (place != 'O' and kind_before != kind):
      begin = i
    before, kind_before = place, kind
  return found


def figures(
  tags: np.ndarray, targets: np.ndarray, first: np.ndarray, words: np.ndarray
) -> dict[str, Any]:
  arrays = [jnp.asarray(a) for a in (tags, targets, words, first)]
  batch = Batch(arrays[0], arrays[1], arrays[2].astype(jnp.float32), arrays[3])
  metrics = jax.jit(lambda t, b: measure_spans(PARTS, t, b))(arrays[0], batch)
  return {name: (float(m.sum), float(m.count)) for name, m in metrics.items()}


def test_counts_are_those_of_a_loop_over_words() -> None:
  rng = np.random.default_rng(0)
  shape = 40, 30
  targets = rng.integers(0, len(NAMES), shape)
  tags = np.where(rng.random(shape) < 0.7, targets, targets[::-1])
  first = rng.random(shape) < 0.2
  first[:, 0] = True
  words = np.broadcast_to(np.arange(30) < 27, shape)  # three of padding
  right = guessed = there = 0
  for row in range(len(tags)):
    starts = [*np.flatnonzero(first[row, :27]), 27]
    for begin, end in itertools.pairwise(starts):
      one, other = (
        entities([NAMES[i] for i in ids[row, begin:end]])
        for ids in (tags, targets)
      )
      right += len(one & other)
      guessed, there = guessed + len(one), there + len(other)
  assert 50 < right < there
  assert figures(tags, targets, first, words) == {
    'f1': (2 * right, guessed + there),
    'precision': (right, guessed),
    'recall': (right, there),
  }


def test_figures_of_seqeval() -> None:
  """Its own first example: a span one word short, and one that is right."""
  given, found = 'ooobiiopqo', 'oobiiiopqo'
  names = {'b': 'B-LOC', 'i': 'I-LOC', 'p': 'B-PER', 'q': 'I-PER', 'o': 'O'}
  targets, tags = (
    np.array([[NAMES.index(names[letter]) for letter in text]])
    for text in (given, found)
  )
  first = np.arange(10)[None] % 7 == 0
  counts = figures(tags, targets, first, np.ones_like(first))
  assert counts == {'f1': (2, 4), 'precision': (1, 2), 'recall': (1, 2)}


def test_tags_of_spans_are_known() -> None:
  known = ['O', 'B', 'I-PER', 'S-a-b', 'NOUN', 'PER-B', 'b-PER']
  assert [bool(TAG.fullmatch(tag)) for tag in known] == [1, 1, 1, 1, 0, 0, 0]


def config_of(folder: Path, name: str = 'B-PER') -> dict[str, Any]:
  path = folder / 'train.conll'
  text = f'Ada {name}\nsaw O\nBob {name}\n\nBob {name}\nran O\n'
  path.write_text(text)
  (folder / 'valid.conll').write_text(text)
  config = pairs.get_config('gru,quick').to_dict()
  config['task'] |= {'corpus': 'files', 'path': str(folder), 'tokens': 'words'}
  config['task'] |= {'source': '1', 'target': '2', 'answer': 'tags'}
  config['task'] |= {'length': 8}
  config['checkpoint']['best'] = ''
  config['parallel']['data'] = 1
  config['evals'].pop('written')
  config['evals']['validation'] |= {'name': 'spans.SpanF1', 'steps': 0}
  return config


@pytest.mark.slow
def test_a_run_measures_it(tmp_path: Path) -> None:
  experiment = read_experiment(config_of(tmp_path))
  mesh = parallel.make_mesh(experiment.parallel)
  evaluation = experiment.evals['validation']
  task, model = evaluation.task, evaluation.model
  params = initial_params(model, task, jax.random.key(0))
  batched = jax.tree.map(lambda x: x[None], params)
  found = Evaluator('validation', experiment, mesh).measure(batched)
  rows = task.rows(evaluation.stream(0), 0, np.arange(8))
  batch = jax.tree.map(jnp.asarray, rows)
  start = model.initial_carry(8)
  read = jax.jit(
    lambda p: apply(model, p, start, batch.inputs, batch.reset_BT)[1]
  )
  y = read(params)
  marks: Any = task.text_tokenizer
  expected = measure_spans(parts_of(marks.classes), y.argmax(-1), batch)
  assert {name: float(f[0]) for name, f in found.items()} == pytest.approx(
    {name: float(m.value()) for name, m in expected.items()}, nan_ok=True
  )
  assert expected['recall'].count == 3


def test_other_tasks_and_tags_are_refused(tmp_path: Path) -> None:
  experiment = read_experiment(config_of(tmp_path, 'NOUN'))
  mesh = parallel.make_mesh(experiment.parallel)
  with pytest.raises(ConfigError, match='such as O, B-PER and I-PER, not NOUN'):
    Evaluator('validation', experiment, mesh)
  config = config_of(tmp_path)
  config['task'] |= {'answer': 'label'}
  experiment = read_experiment(config)
  with pytest.raises(ConfigError, match='needs a task of pairs'):
    Evaluator('validation', experiment, mesh)
