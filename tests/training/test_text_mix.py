"""A mix of corpora: one tokenizer, exact shares, and a run that goes on."""

from collections.abc import Iterator
from pathlib import Path
import random
from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.reader import prepare_task
from memjax.data.corpus import close_corpora
from memjax.errors import ConfigError
from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text
from memjax.training import parallel
from memjax.training.loop import train
from memjax.training.prefetch import prefetch
from tests.small import small


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
  """`low/` of the letters a to e, `high/` of v to z, in documents."""
  folder = tmp_path_factory.mktemp('texts')
  rng = random.Random(1)
  for name, letters in (('low', 'abcde '), ('high', 'vwxyz ')):
    (folder / name).mkdir()
    for i in range(60):
      text = ''.join(rng.choices(letters, k=rng.randint(5, 60)))
      (folder / name / f'{i:02}.txt').write_text(text)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('MEMJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
    close_corpora()
    yield folder
    close_corpora()


def mix_of(folders: Path, low: str = '0.7', high: str = '0.3') -> str:
  return f'{folders}/low:{low},{folders}/high:{high}'


def labels(task: Text, number: int, steps: range, rows: int) -> list[str]:
  """The text of the labels of each step."""
  batches = [
    task.rows(Stream(0, number, rows), step, np.arange(rows)) for step in steps
  ]
  tokenizer = task.text_tokenizer
  assert tokenizer is not None
  return [
    tokenizer.decode(b.targets[b.loss_weights_BT > 0].tolist()) for b in batches
  ]


@pytest.mark.parametrize('carry_over', [True, False])
@pytest.mark.parametrize('order', ['as_is', 'shuffled'])
def test_a_batch_of_training_has_the_shares(
  folders: Path, carry_over: bool, order: str
) -> None:
  task = Text(mix=mix_of(folders), length=6, carry_over=carry_over, order=order)
  task.prepare()
  rows, low = 16, 0.0
  for step in range(50):
    batch = task.rows(Stream(0, 0, rows), step, np.arange(rows))
    read_B = batch.loss_weights_BT.any(1)
    low_B = (batch.targets < ord('f')).all(1) & read_B
    # A stream that has ended is a row without labels, of either corpus.
    low += int(low_B.sum()) + 0.7 * int((~read_B).sum())
  assert abs(low - 0.7 * 50 * rows) < 0.02 * 50 * rows


def test_an_evaluation_reads_one_corpus_after_another_each_label_once(
  folders: Path,
) -> None:
  task = Text(mix=mix_of(folders), length=6, split='train')
  parts = [
    Text(corpus='files', path=f'{folders}/{name}', length=6)
    for name in ('low', 'high')
  ]
  steps = [part.epoch_steps(4) for part in parts]
  assert task.epoch_steps(4) == sum(steps)
  together = labels(task, 9, range(sum(steps)), 4)
  apart = [
    labels(part, 9, range(n), 4) for part, n in zip(parts, steps, strict=True)
  ]
  assert together == apart[0] + apart[1]
  shares = [line for line in task.describe() if 'of training' in line]
  assert [line.split(', ')[-1] for line in shares] == [
    '70.0% of training',
    '30.0% of training',
  ]
  names = [[*part.documents] for part in parts]
  assert task.documents == [
    f'{folders}/{corpus}/{name}'
    for corpus, own in zip(('low', 'high'), names, strict=True)
    for name in own
  ]


@pytest.mark.parametrize('tokens', ['characters', 'words', 'bpe'])
def test_one_tokenizer_is_fitted_to_all_training_texts(
  folders: Path, tokens: str
) -> None:
  vocab = 270 if tokens == 'bpe' else 0
  task = Text(mix=mix_of(folders), length=6, tokens=tokens, vocab=vocab)
  task.prepare()
  tokenizer = task.text_tokenizer
  assert tokenizer is not None
  for split in task._splits:
    assert split.unknown == 0
    assert int(split.tokens.max()) < tokenizer.vocab
  if tokens == 'characters':
    assert tokenizer.to_json()['symbols'] == '\n abcdevwxyz'
  alone = Text(mix=f'{folders}/low:1', tokens=tokens, vocab=vocab)
  same = Text(corpus='files', path=f'{folders}/low', tokens=tokens, vocab=vocab)
  assert alone.text_tokenizer == same.text_tokenizer != tokenizer
  assert alone.fingerprint() == same.fingerprint() != task.fingerprint()
  # An evaluation of one corpus with the tokenizer of the mix.
  assert same.with_tokenizer(tokenizer).text_tokenizer == tokenizer


def settings(folders: Path, carry_over: bool) -> dict[str, Any]:
  return {
    'task.mix': mix_of(folders),
    'task.order': 'shuffled',
    'task.carry_over': carry_over,
    'task.length': 6,
    'train.steps': 6,
    'log.every': 1,
    'checkpoint.every': 4,
    'checkpoint.best': '',
    'evals.validation.every': 6,
    'evals.validation.steps': 0,
    'evals.test.every': 6,
    'parallel.data': 1,
  }


@pytest.mark.slow
@pytest.mark.parametrize(
  'carry_over', [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_a_stopped_run_goes_on_bit_for_bit(
  folders: Path,
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  carry_over: bool,
) -> None:
  experiment = small('text', 'lstm', settings(folders, carry_over))

  def run(workdir: Path, stop: int) -> list[Any]:
    monkeypatch.setattr(Interrupts, 'stop', lambda self, step: step == stop)
    train(experiment, workdir, lambda *run: None)
    rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
    return [(row['step'], row['split'], row['metrics']) for row in rows]

  whole = run(tmp_path / 'whole', 0)
  assert len({row[2]['loss'] for row in whole if row[1] == 'train'}) == 6
  run(tmp_path / 'parts', 3)
  assert run(tmp_path / 'parts', 0) == whole


@pytest.mark.parametrize('carry_over', [True, False])
def test_any_number_of_devices_reads_the_same(
  folders: Path, carry_over: bool
) -> None:
  task = prepare_task(
    {
      'name': 'text.Text',
      'mix': mix_of(folders),
      'order': 'shuffled',
      'carry_over': carry_over,
      'length': 6,
    }
  )
  read = []
  for data in (1, 8):
    fields = {'parallel.data': data}
    mesh = parallel.make_mesh(small('mqar', 'lstm', fields).parallel)
    batches = prefetch(task, Stream(3, 0, 16), mesh, range(0, 60, 20), 20, 1)
    read.append([jax.tree.map(np.asarray, batch) for batch in batches])
  jax.tree.map(np.testing.assert_array_equal, *read)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'mix': 'low'}, ['task.mix', 'NAME:SHARE']),
    ({'mix': '/no/such:1,enwik8:2'}, ['task.mix', '/no/such', 'not exist']),
    ({'mix': 'enwik8:1', 'corpus': 'text8'}, ['task.corpus', 'text8', 'mix']),
    ({'mix': 'enwik8:1', 'path': '/x'}, ['task.path', '/x', 'mix']),
  ],
)
def test_a_bad_field_is_one_line(
  folders: Path, fields: dict[str, str], words: list[str]
) -> None:
  with pytest.raises(ConfigError) as error:
    prepare_task({'name': 'text.Text', 'length': 4, **fields})
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)
