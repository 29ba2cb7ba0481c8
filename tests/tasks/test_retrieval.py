"""Retrieval: rows, the loss by hand, and the search of a whole split."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.reader import read_experiment
from memjax.configs import mqar, retrieval
from memjax.data.ranks import rank_figures
from memjax.data.tokenizers import Marked
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.tasks.base import Stream
from memjax.tasks.language.pairs import Pairs
from memjax.tasks.language.retrieval import Retrieval
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.state import initial_params
from memjax.types import Batch
from tests.tasks.drawn import measuring

PAIRS = [
  ('one', 'the first'),
  ('two', 'a second thing'),
  ('one', 'number 1'),
  ('uno', 'the first'),
  ('three', 'and a third'),
]

KEY = 4  # of parameters that find some documents, but not all


def write(folder: Path) -> str:
  path = folder / 'pairs.jsonl'
  records = [
    {'source': source, 'target': target, 'split': split}
    for split in ('train', 'validation')
    for source, target in PAIRS
  ]
  path.write_text(''.join(json.dumps(record) + '\n' for record in records))
  return str(path)


def task_of(folder: Path, **fields: Any) -> Retrieval:
  own: dict[str, Any] = {'length': 24, 'packed': False, 'split': 'validation'}
  own |= fields
  task = Retrieval(
    task=Pairs(corpus='files', path=write(folder), **own), vector=4
  )
  task.prepare()
  return task


def rows_of(task: Retrieval, count: int, step: int = 0) -> Batch:
  return task.rows(Stream(0, 0, count), step, np.arange(count))


def test_a_row_is_a_query_then_its_document(tmp_path: Path) -> None:
  task = task_of(tmp_path)
  batch = rows_of(task, 5)
  marks = task.text_tokenizer
  assert isinstance(marks, Marked)
  assert marks.decode(batch.inputs[0][:14]) == 'one\tthe first\n'
  assert np.flatnonzero(batch.reset_BT[0]).tolist() == [0, 4, 14]
  assert np.flatnonzero(batch.loss_weights_BT[0]).tolist() == [3, 13]
  of_queries = [
    int(batch.targets[row, len(q)]) for row, (q, _) in enumerate(PAIRS)
  ]
  assert of_queries == [0, 1, 0, 2, 3]
  of_documents = [
    int(batch.targets[row, len(q) + 1 + len(d)])
    for row, (q, d) in enumerate(PAIRS)
  ]
  assert of_documents == [0, 1, 2, 0, 3]
  assert task.length == 25
  assert task.epoch_steps(2) == 3


def test_a_text_that_fills_its_row_has_no_padding(tmp_path: Path) -> None:
  batch = rows_of(task_of(tmp_path, length=18), 5)
  two = [len(q) + len(d) for q, d in PAIRS].index(17)
  assert np.flatnonzero(batch.reset_BT[two]).tolist() == [0, 4]
  assert batch.loss_weights_BT[two, -1] == 1


def expected_metrics(
  task: Retrieval, query_BD: np.ndarray, document_BD: np.ndarray
) -> tuple[float, float]:
  """Loss and accuracy of the five pairs, row by row."""
  unit = [
    x / np.linalg.norm(x, axis=1)[:, None] for x in (query_BD, document_BD)
  ]
  score = unit[0] @ unit[1].T / task.temperature
  nats, right = 0.0, 0
  for i, (query, _) in enumerate(PAIRS):
    others = [
      score[i, j] for j, (_, d) in enumerate(PAIRS) if (query, d) not in PAIRS
    ]
    nats += np.log(np.exp([score[i, i], *others]).sum()) - score[i, i]
    right += score[i, i] > max(others)
  return nats, right


def test_the_loss_is_that_of_the_equation(tmp_path: Path) -> None:
  task = task_of(tmp_path)
  batch = rows_of(task, 6)  # the sixth is padding
  assert not batch.loss_weights_BT[5].any()
  y = np.random.default_rng(0).normal(size=(6, task.length, 4))
  places = [np.flatnonzero(batch.loss_weights_BT[row]) for row in range(5)]
  query, document = (
    np.stack([y[row, place[which]] for row, place in enumerate(places)])
    for which in (0, 1)
  )
  nats, right = expected_metrics(task, query, document)
  metrics = measuring(task)(y.astype(np.float32), batch)
  assert float(metrics['loss'].sum) == pytest.approx(nats, rel=1e-5)
  assert float(metrics['accuracy'].sum) == right
  assert float(metrics['loss'].count) == 5


def test_an_oracle_finds_every_document(tmp_path: Path) -> None:
  task = task_of(tmp_path)
  batch = rows_of(task, 5)
  documents = list(dict.fromkeys(document for _, document in PAIRS))
  y = np.zeros((5, task.length, 4), np.float32)
  for row, (query, document) in enumerate(PAIRS):
    for right in (d for q, d in PAIRS if q == query):
      y[row, len(query), documents.index(right)] = 1
    y[row, len(query) + 1 :, documents.index(document)] = 1
  assert measuring(task)(y, batch)['accuracy'].value() == 1
  same = measuring(task)(np.ones_like(y), batch)
  assert same['accuracy'].value() == 0, 'equal scores find nothing'


def test_bm25_stands_beside_it(tmp_path: Path) -> None:
  baselines = task_of(tmp_path).baselines
  assert set(baselines) == {'recall_1', 'recall_10', 'mrr_10', 'ndcg_10'}
  assert baselines['recall_10']['BM25'] == 1
  # No word is shared: the right ones of 4 documents are the last ones.
  of_one = (1 / 3, 1 / 4, 1 / 4, 1 / 4)
  assert baselines['mrr_10']['BM25'] == pytest.approx(np.mean(of_one))


def config_of(folder: Path) -> dict[str, Any]:
  config = retrieval.get_config('gru,quick').to_dict()
  config['task']['task'] |= {'corpus': 'files', 'path': write(folder)}
  config['task'] |= {'vector': 4}
  config['task']['task'] |= {'tokens': 'characters', 'length': 24}
  config['parallel']['data'] = 1
  search = config['evals'].pop('search') | {'batch_size': 2, 'steps': 0}
  return config | {'evals': {'search': search}}


@pytest.mark.slow
def test_a_search_ranks_vectors_of_texts_read_alone(tmp_path: Path) -> None:
  experiment = read_experiment(config_of(tmp_path))
  model, task = (
    experiment.evals['search'].model,
    experiment.evals['search'].task,
  )
  marks = task.text_tokenizer
  assert isinstance(marks, Marked)
  params = initial_params(model, task, jax.random.key(KEY))
  read = jax.jit(lambda *state: apply(model, params, *state))

  def vector(text: str, mark: int) -> np.ndarray:
    carry = model.initial_carry(1)
    for t, token in enumerate([*marks.encode(text.encode()), mark]):
      step = jnp.array([[int(token)]]), jnp.array([[t == 0]])
      carry, y = read(carry, *step)
    return np.asarray(y[0, 0], float) / np.linalg.norm(y[0, 0])

  documents = list(dict.fromkeys(document for _, document in PAIRS))
  index = np.stack([vector(text, marks.end) for text in documents])
  expected = rank_figures(
    (
      index @ vector(query, marks.separator),
      np.array([documents.index(d) for q, d in PAIRS if q == query]),
    )
    for query in dict.fromkeys(query for query, _ in PAIRS)
  )
  assert 0 < expected['recall_1'] < 1
  mesh = parallel.make_mesh(experiment.parallel)
  batched = jax.tree.map(lambda x: x[None], params)
  figures = Evaluator('search', experiment, mesh).measure(batched)
  assert {k: pytest.approx(v) for k, v in expected.items()} == {
    k: float(v[0]) for k, v in figures.items()
  }


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'vector': 0}, 'vector: 0: must be at least 1'),
    ({'temperature': 0.0}, 'temperature: 0.0: must be above 0'),
    ({'task': Pairs()}, 'task.packed: True: must be False: a row is one'),
    (
      {'task': Pairs(answer='label', packed=False)},
      "task.answer: 'label': must be 'tokens'",
    ),
    ({'task': Retrieval()}, "task.name: 'Retrieval': is no task of pairs"),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Retrieval(**fields)
  assert words in str(refused.value)


def test_a_search_needs_vectors(tmp_path: Path) -> None:
  config = mqar.get_config('gru,quick').to_dict()
  config['evals'] = {'held_out': {'every': 1, 'batch_size': 8, 'steps': 1}}
  config['evals']['held_out']['name'] = 'ranking.Ranking'
  config['checkpoint']['best'] = ''
  experiment = read_experiment(config)
  with pytest.raises(ConfigError, match='needs a task of vectors'):
    Evaluator('held_out', experiment, parallel.make_mesh(experiment.parallel))
