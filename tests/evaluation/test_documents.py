"""Figures of documents: they add up, whatever the devices and the memory."""

from collections.abc import Mapping
import csv
import dataclasses
import json
import math
from pathlib import Path
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.evaluation.base import Evaluation
from memjax.evaluation.stream import Loss
from memjax.logs.metrics_file import load_rows
from memjax.logs.writers import JsonLines
from memjax.models.base import apply
from memjax.tasks.language.text import Text
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.state import initial_params
from memjax.types import Params
from tests.small import small


@pytest.fixture(scope='module')
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """40 documents of 1 to 60 letters."""
  folder = tmp_path_factory.mktemp('texts')
  rng = random.Random(1)
  for i in range(40):
    text = ''.join(
      rng.choices('abc é\n', k=1 if i == 5 else rng.randint(2, 60))
    )
    (folder / f'{i:02}.txt').write_text(text, encoding='utf-8')
  return folder


def experiment_of(folder: Path, **fields: Any) -> Experiment:
  """One set over the training split; its figures are those of a whole epoch."""
  given = {
    'task.corpus': 'files',
    'task.path': str(folder),
    'task.length': 8,
    'evals.validation.task': {'split': 'train'},
    'evals.validation.per': 'document',
    'evals.validation.batch_size': 8,
    'evals.validation.steps': 0,
  }
  return small('text', 'lstm', given | fields)


def text_of(experiment: Experiment) -> Text:
  task = experiment.evals['validation'].task
  assert isinstance(task, Text)
  return task


def params_of(experiment: Experiment) -> Params:
  """Parameters of two seeds, `(N, ...)`, or of one."""
  keys = jax.random.split(jax.random.key(0), experiment.train.replicas)
  model, task = experiment.model, experiment.task
  parts = [initial_params(model, task, key) for key in keys]
  return jax.tree.map(lambda *x: jnp.stack(x), *parts)


def row_of(experiment: Experiment, per: str) -> dict[str, Any]:
  evaluation = experiment.evals['validation']
  assert isinstance(evaluation, Loss)
  evals: dict[str, Evaluation] = {
    'validation': dataclasses.replace(evaluation, per=per)
  }
  changed = dataclasses.replace(experiment, evals=evals)
  mesh = parallel.make_mesh(experiment.parallel)
  return Evaluator('validation', changed, mesh).row(7, params_of(experiment))


SETTINGS: Mapping[str, Mapping[str, Any]] = {
  'carry': {},
  'resets': {'task.reset_at_documents': True},
  'windows': {'task.carry_over': False, 'task.stride': 3},
  'characters': {'task.tokens': 'characters'},
  'words': {'task.tokens': 'words'},
  'one device': {'parallel.data': 1},
  'fsdp': {'parallel.data': 2, 'parallel.fsdp': 2},
}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'setting',
  [
    'carry',
    'fsdp',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in ('resets', 'windows', 'characters', 'words', 'one device')
    ),
  ],
)
def test_the_documents_add_up_to_the_set(texts: Path, setting: str) -> None:
  experiment = experiment_of(texts, **SETTINGS[setting])
  whole, row = row_of(experiment, 'set'), row_of(experiment, 'document')
  assert 'documents' not in whole
  assert whole['metrics'].keys() == row['metrics'].keys()
  documents = row['documents']
  for metric, figure in row['metrics'].items():
    assert figure == pytest.approx(whole['metrics'][metric], rel=2e-5)
    counts = [document['counts'][metric] for document in documents]
    sums = [document['sums'][metric][0] for document in documents]
    total = math.fsum(sums) / math.fsum(counts)
    is_log = metric.startswith('perplexity')
    assert (math.exp(total) if is_log else total) == pytest.approx(figure)
    for document, count, part in zip(documents, counts, sums, strict=True):
      if count:
        own = document['metrics'][metric]
        value = math.exp(part / count) if is_log else part / count
        assert own == pytest.approx(value)
  task = text_of(experiment)
  labels = sum(document['counts']['loss'] for document in documents)
  assert labels == len(task._splits[0].tokens) - 1
  names = [document['name'] for document in documents]
  assert names == sorted(names)
  assert set(names) <= {path.name for path in texts.iterdir()}
  assert len(task.documents) == len(task._splits[0].starts)


@pytest.mark.slow
def test_replicas_have_documents_of_their_own(texts: Path) -> None:
  fields = {'train.replicas': 2, 'parallel.data': 2}
  row = row_of(experiment_of(texts, **fields), 'document')
  document = row['documents'][3]
  both = document['replicas']['loss']
  assert both[0] != both[1]
  assert document['metrics']['loss'] == pytest.approx(np.median(both))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('resets', [False, True])
def test_a_document_is_read_with_the_memory_of_the_protocol(
  texts: Path, resets: bool
) -> None:
  experiment = experiment_of(
    texts,
    **{
      'task.reset_at_documents': resets,
      'evals.validation.batch_size': 1,
      'parallel.data': 1,
    },
  )
  documents = row_of(experiment, 'document')['documents']
  task, model = text_of(experiment), experiment.model
  params = jax.tree.map(lambda x: x[0], params_of(experiment))
  tokens = jnp.asarray(task._splits[0].tokens.astype(np.int32))
  starts = task._splits[0].starts
  reset = np.isin(np.arange(len(tokens)), starts if resets else [0])
  _, y = apply(
    model, params, model.initial_carry(1), tokens[None], jnp.array(reset)[None]
  )
  nats_T = -jax.nn.log_softmax(y[0, :-1])[
    np.arange(len(tokens) - 1), tokens[1:]
  ]
  nats = np.asarray(nats_T)
  for document in documents:
    first = starts[document['document']]
    last = [*starts, len(tokens)][document['document'] + 1]
    own = nats[max(first - 1, 0) : last - 1]
    assert document['counts']['loss'] == len(own)
    assert document['metrics']['loss'] == pytest.approx(own.mean(), rel=1e-5)


def test_rows_and_csv_lie_beside_the_metrics(
  texts: Path, tmp_path: Path
) -> None:
  row = row_of(experiment_of(texts), 'document')
  lines = JsonLines(tmp_path / 'metrics.jsonl')
  lines.write(row)
  lines.close()
  (kept,) = load_rows(tmp_path / 'metrics.jsonl')
  assert kept['documents'] == 'documents/validation-7.csv'
  assert kept['metrics'] == row['metrics']
  with (tmp_path / kept['documents']).open(newline='') as file:
    table = list(csv.DictReader(file))
  names = [document['name'] for document in row['documents']]
  assert [line['name'] for line in table] == names
  rows = (tmp_path / 'documents/validation-7.jsonl').read_text().splitlines()
  for line, text, document in zip(table, rows, row['documents'], strict=True):
    assert (line['step'], line['split']) == ('7', 'validation')
    loss = document['metrics']['loss']
    assert float(line['loss']) == json.loads(text)['metrics']['loss'] == loss
    assert float(line['loss/count']) == document['counts']['loss']
    assert float(line['loss/sum']) == document['sums']['loss'][0]
  assert len(list((tmp_path / 'documents').iterdir())) == 2


def test_documents_need_a_text(texts: Path) -> None:
  with pytest.raises(ConfigError, match='did you mean document') as error:
    experiment_of(texts, **{'evals.validation.per': 'documents'})
  assert error.value.field == 'evals.validation.per'
  with pytest.raises(ConfigError, match='needs a task whose text') as error:
    small('mqar', 'lstm', {'evals.held_out.per': 'document'})
  assert error.value.field == 'evals.held_out.per'
