"""Text: every label once an epoch, lanes that flow on, figures in bits."""

from collections.abc import Iterator
import dataclasses
import hashlib
import lzma
import math
import os
from pathlib import Path
import pickle
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.reader import prepare_task, read_experiment
from memjax.data import corpora
from memjax.data.corpus import close_corpora, open_corpus
from memjax.data.tokenizers import BPE, Bytes, Characters, Tokenizer
from memjax.errors import ConfigError
from memjax.runs.interface import read_interface
from memjax.runs.load import Run
from memjax.runs.workdir import claim
from memjax.tasks.base import Stream, invalid_ids
from memjax.tasks.language.text import Text
from memjax.tasks.ruler.niah import NIAH
from memjax.training.metrics import metric_values
from memjax.training.replicas import summary
from memjax.types import Batch, Metric, Sums, Tokens
from tests.small import small

SHAKESPEARE = '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed'


@pytest.fixture(scope='module')
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
  """Documents of 0 to 20 letters; ö and 😀 occur only in the last four."""
  folder = tmp_path_factory.mktemp('texts')
  rng = random.Random(1)
  for i in range(100):
    letters = 'abcdé€' if i < 96 else 'abcdé€ö😀'
    text = ''.join(rng.choices(letters, k=rng.randint(0, 20)))
    (folder / f'{i:02}').write_text(text, encoding='utf-8')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('MEMJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
    close_corpora()
    yield folder
    close_corpora()


@pytest.fixture(scope='module')
def spaced(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
  """One text of words in lines."""
  rng = random.Random(2)
  path = tmp_path_factory.mktemp('spaced') / 'text'
  words = ['the', 'thé', 'cat', 'a', 'mat', '  sat\n', '\n', '<unk>']
  text = ' '.join(rng.choices(words, range(8, 0, -1), k=2000))
  path.write_text(text, encoding='utf-8')
  return path


def files(path: Path, **fields: Any) -> Text:
  return Text(corpus='files', path=str(path), **fields)


def tokenizer_of(task: Text) -> Tokenizer:
  tokenizer = task.text_tokenizer
  assert tokenizer is not None
  return tokenizer


def step_of(task: Text, batch_size: int, step: int) -> Batch:
  stream = Stream(0, 0, batch_size)
  return task.rows(stream, step, np.arange(batch_size))


def text_of(folder: Path) -> bytes:
  """The documents, each but the last ended as a line is."""
  if folder.is_file():
    return folder.read_bytes()
  texts = [path.read_bytes() for path in sorted(folder.iterdir())]
  *others, last = filter(None, texts)
  ended = [text if text.endswith(b'\n') else text + b'\n' for text in others]
  return b''.join([*ended, last])


def split_text(task: Text) -> bytes:
  """The bytes of the task's split, from the files themselves."""
  source = open_corpus(task.corpus, task.path, task.tokens, task.vocab).source
  _, first, last = source.spans[task.split]
  return text_of(Path(task.path))[first:last]


@pytest.mark.parametrize('length', [1, 2, 5, 16, 40])
@pytest.mark.parametrize('split', ['train', 'validation', 'test'])
def test_lanes_are_the_text_in_order_each_label_once(
  texts: Path, split: str, length: int
) -> None:
  task = files(texts, split=split, length=length)
  text = np.frombuffer(split_text(task), np.uint8).astype(int)
  labels = len(text) - 1
  for rows in (1, 2, 3, 7, 8, 64, labels - 1, labels, labels + 3):
    lane = math.ceil(labels / rows)
    steps = task.epoch_steps(rows)
    assert steps == math.ceil(lane / length)
    epoch = [step_of(task, rows, step) for step in range(steps)]
    inputs, targets, weights, reset = (
      np.concatenate(parts, 1)
      for parts in zip(*(b[:4] for b in epoch), strict=True)
    )
    assert inputs.shape == (rows, steps * length)
    for b in range(rows):
      expected = text[b * lane : (b + 1) * lane + 1]
      inside = max(len(expected) - 1, 0)
      assert inputs[b, :inside].tolist() == expected[:-1].tolist()
      assert targets[b, :inside].tolist() == expected[1:].tolist()
      assert (weights[b, :inside] == 1).all()
      for padding in (inputs, targets, weights):
        assert (padding[b, inside:] == 0).all()
    assert weights.sum() == labels
    assert reset[:, 0].all()
    assert not reset[:, 1:].any()


@pytest.mark.parametrize(('length', 'stride'), [(7, 1), (7, 5), (7, 7), (4, 0)])
@pytest.mark.parametrize('tail', [0, 1, 2, 3])
def test_windows_score_each_label_once_behind_enough_of_the_text(
  texts: Path, tmp_path: Path, length: int, stride: int, tail: int
) -> None:
  (tmp_path / 'text').write_bytes(text_of(texts)[: 600 + 20 * tail])
  fields = {'split': 'test', 'length': length, 'carry_over': False}
  task = files(tmp_path, stride=stride, **fields)
  text = np.frombuffer(split_text(task), np.uint8).astype(int)
  labels, stride = len(text) - 1, stride or length
  for rows in (1, 3, 64):
    epoch = [
      step_of(task, rows, step) for step in range(task.epoch_steps(rows))
    ]
    scored = []
    for i, (inputs, targets, weights, reset) in enumerate(
      row for step in epoch for row in zip(*step[:4], strict=True)
    ):
      first = i * stride
      inside = text[first : first + length + 1]
      labels_inside = max(len(inside) - 1, 0)
      places = np.flatnonzero(weights)
      scored += (first + places).tolist()
      assert inputs[:labels_inside].tolist() == inside[:-1].tolist()
      assert targets[places].tolist() == inside[places + 1].tolist()
      assert (places >= length - stride).all() or i == 0
      assert reset.tolist() == [True] + [False] * (length - 1)
    assert scored == list(range(labels))
    assert len(epoch) == 1 or epoch[-1].loss_weights_BT.any()


def test_each_epoch_is_as_the_first(texts: Path) -> None:
  task = files(texts, length=10)
  steps = task.epoch_steps(4)
  assert steps > 3
  for step in (0, 1, steps - 1):
    first, third = step_of(task, 4, step), step_of(task, 4, 2 * steps + step)
    jax.tree.map(np.testing.assert_array_equal, first, third)


@pytest.mark.parametrize('carry_over', [True, False])
def test_training_is_shuffled_and_evaluation_is_not(
  texts: Path, carry_over: bool
) -> None:
  plain = files(texts, length=10, carry_over=carry_over)
  task = dataclasses.replace(plain, order='shuffled')
  ids, steps = np.arange(4), plain.epoch_steps(4)

  def epoch(task: Text, stream: Stream, number: int) -> np.ndarray:
    some = range(number * steps, (number + 1) * steps)
    return np.stack([task.rows(stream, step, ids).targets for step in some])

  first = epoch(task, Stream(0, 0, 4), 0)
  for other in (Stream(1, 0, 4), 0), (Stream(0, 0, 4), 1):
    again = epoch(task, *other)
    assert (again != first).any()
    assert len(again[again > 0]) == len(first[first > 0])
  for number in (0, 1):
    same = epoch(task, Stream(0, 7, 4), number)
    np.testing.assert_array_equal(same, epoch(plain, Stream(0, 0, 4), number))
  assert (first != same).any()


def test_a_row_does_not_depend_on_the_rows_beside_it(texts: Path) -> None:
  task = files(texts, length=10)
  for step in range(3):
    whole = step_of(task, 8, step)
    some = task.rows(Stream(9, 1, 8), step, np.array([6, 1], np.int32))
    jax.tree.map(np.testing.assert_array_equal, whole[0][[6, 1]], some[0])
    jax.tree.map(np.testing.assert_array_equal, whole[3][[6, 1]], some[3])


@pytest.mark.parametrize('tokens', ['bytes', 'characters'])
@pytest.mark.parametrize('split', ['train', 'test'])
def test_memory_is_forgotten_where_documents_start(
  texts: Path, split: str, tokens: str
) -> None:
  task = files(
    texts, split=split, length=7, tokens=tokens, reset_at_documents=True
  )
  corpus = open_corpus('files', str(texts), tokens, 0)
  _, first, last = corpus.source.spans[split]
  expected = []
  end = 0
  for number, size in enumerate(corpus.source.sizes_D):
    text = corpus.source.path_of(number).read_bytes()
    text += b'\n' * int(size - len(text))
    inside = text[max(first - end, 0) : max(last - end, 0)]
    end += len(text)
    size = len(inside) if tokens == 'bytes' else len(inside.decode())
    expected += [True] + [False] * (size - 1) if size else []
  rows, labels = 3, len(expected) - 1
  lane = math.ceil(labels / rows)
  steps = [step_of(task, rows, step) for step in range(task.epoch_steps(rows))]
  reset = np.concatenate([step.reset_BT for step in steps], 1)
  for b in range(rows):
    wanted = expected[b * lane : min((b + 1) * lane, labels)]
    wanted[0] = True
    assert reset[b, : len(wanted)].tolist() == wanted
    assert not reset[b, len(wanted) :].any()
  assert reset.sum() > rows


def test_a_batch_is_ready_for_a_model(texts: Path) -> None:
  task = files(texts, length=9, tokens='characters')
  batch = jax.jit(task.batch)(step_of(task, 5, 0))
  kinds = [(x.shape, x.dtype.name) for x in jax.tree.leaves(batch)]
  shape = (5, 9)
  assert kinds[:2] == [(shape, 'int32')] * 2
  assert kinds[2:] == [(shape, 'float32'), (shape, 'bool')]
  assert task.input_spec == task.output_spec == Tokens(8)
  assert invalid_ids(task, batch) == 0
  assert (
    tokenizer_of(task).decode(batch.inputs[0]) == text_of(texts).decode()[:9]
  )


def epoch_figures(task: Text, rows: int, seed: int = 0) -> tuple[dict, list]:
  """(sums over counts, of an epoch of random logits), (nats of each label)."""
  rng = np.random.default_rng(seed)
  totals: dict = {}
  nats: list[tuple[float, int]] = []
  for step in range(task.epoch_steps(rows)):
    batch = step_of(task, rows, step)
    logits = rng.normal(size=(*batch.inputs.shape, task.output_spec.vocab))
    logits = logits.astype(np.float32)
    metrics = task.measure(jnp.asarray(logits), jax.tree.map(jnp.array, batch))
    metrics = jax.tree.map(np.float64, metrics)
    totals = jax.tree.map(np.add, totals, metrics) if totals else metrics
    log_sum = np.log(np.exp(logits.astype(np.float64)).sum(-1))
    here = log_sum - np.take_along_axis(
      logits, batch.targets[..., None], -1
    ).squeeze(-1)
    counted = batch.loss_weights_BT > 0
    nats += zip(here[counted], batch.targets[counted], strict=True)
  return totals, nats


def words_behind_space(text: str, line_ends: bool = True) -> int:
  """The words that begin with a label, and the ends of lines."""
  words = len(text[1:].split()) - (not text[0].isspace())
  return words + text[1:].count('\n') * line_ends


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('tokens', 'vocab'), [('bytes', 0), ('characters', 0), ('bpe', 300)]
)
def test_one_sum_of_nats_over_what_the_labels_stand_for(
  spaced: Path, tokens: str, vocab: int
) -> None:
  task = files(spaced, length=11, split='test', tokens=tokens, vocab=vocab)
  totals, nats = epoch_figures(task, 3)
  first = tokenizer_of(task).decode(task._splits[0].tokens[:1])
  text = split_text(task).decode()
  assert text.startswith(first)
  left = text[len(first) :]
  total = sum(n for n, _ in nats)
  for name, (expected, count) in {
    'loss': (total, len(task._splits[0].tokens) - 1),
    'bits_per_byte': (total / math.log(2), len(left.encode())),
    'bits_per_character': (total / math.log(2), len(left)),
    'perplexity_per_word': (total, words_behind_space(text)),
  }.items():
    if name == 'perplexity_per_word' and tokens != 'bpe':
      assert name not in totals, 'letters have none'
      continue
    assert totals[name].sum == pytest.approx(expected, rel=1e-6)
    assert totals[name].count == count, name
  assert len(totals) == (5 if tokens == 'bpe' else 4)


@pytest.mark.parametrize('vocab', [0, 4])
def test_words_have_the_perplexity_of_their_tokens(
  spaced: Path, vocab: int
) -> None:
  task = files(spaced, length=11, split='test', tokens='words', vocab=vocab)
  text = split_text(task).decode()
  totals, nats = epoch_figures(task, 3)
  assert set(totals) == {'loss', 'accuracy', 'perplexity_per_word'}
  words = text.replace('\n', ' <eos> ').split()
  assert totals['perplexity_per_word'].count == len(words) - 1
  total = sum(n for n, _ in nats)
  assert totals['perplexity_per_word'].sum == pytest.approx(total, rel=1e-6)
  perplexity = math.exp(totals['loss'].value())
  assert totals['perplexity_per_word'].value() == pytest.approx(perplexity)
  assert task.baselines == {}


def test_ends_of_lines_are_no_words_where_the_corpus_says_so(
  spaced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  corpus = open_corpus('files', str(spaced), 'words', 0)
  source = dataclasses.replace(corpus.source, line_ends=False)
  changed = dataclasses.replace(corpus, source=source)
  monkeypatch.setattr(corpora, 'open_corpus', lambda *_: changed)
  task = files(spaced, length=11, split='test', tokens='words')
  totals, nats = epoch_figures(task, 3)
  text = split_text(files(spaced, length=11, split='test')).decode()
  assert totals['perplexity_per_word'].count == words_behind_space(text, False)
  assert totals['loss'].count == words_behind_space(text)
  total = sum(n for n, _ in nats)
  assert totals['perplexity_per_word'].sum == pytest.approx(total, rel=1e-6)


def test_the_perplexity_of_replicas_is_the_median_of_theirs() -> None:
  nats_N = np.array([1.0, 3.0, 8.0, 900.0])
  ones_N = np.ones(4)
  metrics = {
    'perplexity_per_word': Metric(2 * nats_N, 2 * ones_N, finish='exp'),
    'loss': Metric(nats_N, ones_N),
  }
  row = summary(metric_values(Sums(metrics, 0 * ones_N, 0 * ones_N)))
  each = row['replicas']['perplexity_per_word']
  assert each == [*np.exp(nats_N[:3]), math.inf]
  assert row['metrics']['perplexity_per_word'] == np.exp(3.0)  # of the finite
  assert row['metrics']['loss'] == 5.5


def test_text_that_is_not_utf8_has_no_characters(
  tmp_path: Path,
) -> None:
  (tmp_path / 'text').write_bytes(b'some \xff words ' * 40)
  task = files(tmp_path / 'text', length=8)
  totals, _ = epoch_figures(task, 1)
  assert set(totals) == {'loss', 'accuracy', 'bits_per_byte'}
  assert set(task.baselines) == {'bits_per_byte'}
  with pytest.raises(ConfigError, match='not UTF-8'):
    files(tmp_path / 'text', length=8, tokens='bpe', vocab=300).prepare()


def test_text_without_white_space_has_no_words(tmp_path: Path) -> None:
  (tmp_path / 'text').write_text('abcdab' * 400, encoding='utf-8')
  task = files(
    tmp_path / 'text', length=11, split='test', tokens='bpe', vocab=258
  )
  totals, _ = epoch_figures(task, 3)
  assert 'perplexity_per_word' not in totals


def test_bits_of_characters_pay_for_the_unknown_ones(texts: Path) -> None:
  task = files(texts, length=11, split='test', tokens='characters')
  totals, nats = epoch_figures(task, 3)
  text = split_text(task).decode()
  unknown = [c for c in text if c in 'ö😀']
  assert unknown
  assert text[0] not in 'ö😀'
  bits = sum(n for n, _ in nats) / math.log(2)
  assert totals['loss'].sum / math.log(2) == pytest.approx(bits, rel=1e-6)
  symbols = len('abcdé€\n')
  bits += len(unknown) * math.log2(0x110000 - 0x800 - symbols)
  for name in ('bits_per_character', 'bits_per_byte'):
    assert totals[name].sum == pytest.approx(bits, rel=1e-6)
  assert totals['bits_per_character'].count == len(text) - 1
  assert totals['bits_per_byte'].count == pytest.approx(len(text[1:].encode()))


@pytest.mark.parametrize(('tokens', 'vocab'), [('words', 5), ('bpe', 270)])
def test_the_tokenizer_stays_in_the_workdir(
  spaced: Path, tmp_path: Path, tokens: str, vocab: int
) -> None:
  given = {'path': str(spaced), 'tokens': tokens, 'vocab': vocab}
  fields = {f'task.{name}': value for name, value in given.items()}
  experiment = small('text', 'lstm', fields | {'task.corpus': 'files'})
  claim(tmp_path, experiment)
  claim(tmp_path, experiment)  # the second start of the same run
  face = read_interface(tmp_path)
  assert face.tokenizer == experiment.task.text_tokenizer
  assert face.input_spec == face.output_spec == Tokens(vocab)


def test_other_merges_are_other_data(
  spaced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  task = files(spaced, tokens='bpe', vocab=270)
  corpus = open_corpus('files', str(spaced), 'bpe', 270)
  before = task.fingerprint()
  other = dataclasses.replace(corpus, tokenizer=BPE(((97, 98),)))
  monkeypatch.setattr(corpora, 'open_corpus', lambda *_: other)
  again = files(spaced, tokens='bpe', vocab=270)
  assert again.fingerprint() != before == task.fingerprint()


def other_text(folder: Path) -> Path:
  """A text with as many different characters as `spaced`, but others."""
  path = folder / 'other'
  path.write_text('the xyz in it\n' * 200, encoding='utf-8')
  return path


@pytest.mark.parametrize(
  ('tokens', 'vocab'), [('characters', 0), ('words', 5), ('bpe', 260)]
)
def test_an_evaluation_set_has_the_tokenizer_of_training(
  spaced: Path, tmp_path: Path, tokens: str, vocab: int
) -> None:
  other = other_text(tmp_path)
  fields: dict[str, Any] = {'corpus': 'files', 'path': f'{spaced}'}
  fields |= {'tokens': tokens, 'vocab': vocab}
  experiment = small(
    'text',
    'lstm',
    {f'task.{name}': value for name, value in fields.items()}
    | {'evals.validation.task.path': f'{other}'},
  )
  trained = experiment.task.text_tokenizer
  assert trained is not None
  task = experiment.evals['validation'].task
  assert isinstance(task, Text)
  assert task.text_tokenizer == trained
  assert files(other, tokens=tokens, vocab=vocab).text_tokenizer != trained
  text = other.read_bytes()
  corpus = task._corpora.alone
  assert corpus is not None
  _, first, last = corpus.source.spans['validation']
  expected = trained.encode(text[first:last])
  assert task._splits[0].tokens.tolist() == expected.tolist()


def test_a_run_keeps_its_tokenizer_when_its_text_changes(
  tmp_path: Path,
) -> None:
  path = tmp_path / 'text'
  path.write_text('the cat ' * 200, encoding='utf-8')
  fields = {'corpus': 'files', 'path': f'{path}', 'tokens': 'characters'}
  experiment = small(
    'text', 'lstm', {f'task.{k}': v for k, v in fields.items()}
  )
  path.write_text('the dog ' * 200, encoding='utf-8')
  close_corpora()
  trained = experiment.task.text_tokenizer
  assert trained is not None
  again = read_experiment(experiment.config, trained)
  run = Run(experiment.config, experiment.model, {}, None, trained, 0, {})
  for task in (
    again.task,
    again.evals['validation'].task,
    run.experiment.task,
    run.experiment.evals['validation'].task,
  ):
    assert task.text_tokenizer == trained
    assert trained.decode(task.rows(Stream(0, 0, 1), 0, np.arange(1))[0][0])


def test_a_set_of_every_0_is_left_out(tmp_path: Path) -> None:
  for name in ('train', 'valid'):
    (tmp_path / f'{name}.txt').write_text(f'the {name} text\n' * 60)
  fields = {'task.corpus': 'files', 'task.path': f'{tmp_path}'}
  with pytest.raises(ConfigError, match=r'evals.test.*split.*every=0'):
    small('text', 'lstm', fields)
  experiment = small('text', 'lstm', fields | {'evals.test.every': 0})
  assert [*experiment.evals] == ['validation']
  assert experiment.describe() == [
    f'{tmp_path}: 2 files as bytes, vocabulary 256',
    '  train: train.txt, 900 tokens',
    '  validation: valid.txt, 900 tokens',
    '  test: none, as no name says it',
  ]


def test_another_tokenizer_than_the_trained_one_is_refused(
  spaced: Path,
) -> None:
  task = files(spaced, length=4)
  assert task.with_tokenizer(Bytes()).text_tokenizer == Bytes()
  with pytest.raises(ConfigError, match="trained with tokens='characters'"):
    task.with_tokenizer(Characters('abc'))
  with pytest.raises(ConfigError, match='was not trained on text'):
    task.with_tokenizer(None)
  niah = NIAH(corpus='files', path=f'{spaced}')
  assert niah.with_tokenizer(Bytes()) is niah
  with pytest.raises(ConfigError, match='another tokenizer than the trained'):
    niah.with_tokenizer(Characters('abc'))


def test_the_tokenizer_is_not_a_field_of_a_config(spaced: Path) -> None:
  spec = {'name': 'text.Text', 'corpus': 'files', 'path': f'{spaced}'}
  with pytest.raises(ConfigError, match='no such field'):
    prepare_task(spec | {'_tokenizer': 'x'})


@pytest.mark.parametrize('tokens', ['bytes', 'characters'])
def test_the_baseline_is_xz(texts: Path, tokens: str) -> None:
  task = files(texts, length=4, split='test', tokens=tokens)
  text = split_text(task)
  bits = 8 * len(lzma.compress(text, preset=9))
  assert task.baselines == {
    'bits_per_byte': {'xz -9': bits / len(text)},
    'bits_per_character': {'xz -9': bits / len(text.decode())},
  }


def test_a_task_is_its_fields(texts: Path) -> None:
  task = files(texts, length=4)
  assert task == files(texts, length=4)
  again = pickle.dumps(task)
  assert len(again) < 1000
  assert pickle.loads(again) == task
  validation = files(texts, length=4, split='validation')
  assert validation.fingerprint() == task.fingerprint() != ''
  assert validation.text_tokenizer is task.text_tokenizer


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'length': 0}, ['task.length', 'at least 1']),
    ({'split': 'valid'}, ['task.split', 'did you mean validation?']),
    ({'tokens': 'word'}, ['task.tokens', 'did you mean words?']),
    ({'vocab': 9}, ['task.vocab', '9', "belongs to tokens='words', 'bpe'"]),
    ({'tokens': 'words', 'vocab': 2}, ['task.vocab', 'must be at least 3']),
    ({'tokens': 'words', 'vocab': -1}, ['task.vocab', 'must be at least 3']),
    ({'tokens': 'bpe'}, ['task.vocab', 'must be at least 257']),
    ({'corpus': 'enwiki8'}, ['task.corpus', 'did you mean enwik8?']),
    ({'corpus': 'wikitext2'}, ['task.corpus', 'did you mean wikitext-2?']),
    ({'corpus': 'text8'}, ['task.path', "corpus='files' only"]),
    ({'corpus': 'file'}, ['task.corpus', 'did you mean files?']),
    ({'carry': 'flows'}, ['task.carry', 'did you mean carry_over?']),
    ({'stride': 3}, ['task.stride', 'needs carry_over=false']),
    ({'order': 'shuffle'}, ['task.order', 'did you mean shuffled?']),
    ({'stride': 5}, ['task.stride', 'from 0 to', '4']),
    ({'path': ''}, ['task.path', 'must be given']),
    ({'corpus': 'standard_library'}, ['task.path', "corpus='files' only"]),
    ({'path': '/no/such'}, ['task.path', '/no/such', 'does not exist']),
    (
      {'split': 'test', 'length': 5000},
      ['task.split', "'test'", 'tokens in', 'of length 5000 needs 5001'],
    ),
  ],
)
def test_a_bad_field_is_one_line(
  texts: Path, fields: dict, words: list
) -> None:
  spec = {'name': 'text.Text', 'corpus': 'files', 'path': str(texts)}
  with pytest.raises(ConfigError) as error:
    prepare_task(spec | {'length': 4} | fields)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_one_document_is_shuffled_in_windows_only(spaced: Path) -> None:
  files(spaced, order='shuffled', carry_over=False).prepare()
  with pytest.raises(
    ConfigError, match='carry_over=false shuffles windows'
  ) as error:
    files(spaced, order='shuffled').prepare()
  assert error.value.field == 'order'


def test_the_shortest_split_that_fits(texts: Path) -> None:
  have = len(split_text(files(texts, length=1, split='test')))
  task = files(texts, length=have - 1, split='test')
  assert task.epoch_steps(1) == 1
  with pytest.raises(ConfigError, match=f'{have} tokens.*needs {have + 1}'):
    files(texts, length=have, split='test').prepare()


@pytest.mark.skipif(
  'MEMJAX_DATA' not in os.environ, reason='MEMJAX_DATA names no data folder'
)
def test_tiny_shakespeare(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = Path(os.environ['MEMJAX_DATA']) / 'tinyshakespeare' / 'input.txt'
  text = path.read_bytes()
  assert hashlib.sha256(text).hexdigest() == SHAKESPEARE
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path))
  tasks = [
    files(path, tokens='characters', split=split)
    for split in ('train', 'validation', 'test')
  ]
  assert tasks[0].input_spec == Tokens(66)  # 65 characters and the unknown
  read = b''
  for task in tasks:
    steps = [step_of(task, 1, step) for step in range(task.epoch_steps(1))]
    targets, weights = (
      np.concatenate([step[i] for step in steps], 1)[0] for i in (1, 2)
    )
    first = tokenizer_of(task).decode(steps[0].inputs[0, :1])
    read += (first + tokenizer_of(task).decode(targets[weights > 0])).encode()
  assert hashlib.sha256(read).hexdigest() == SHAKESPEARE
  assert tasks[2].baselines['bits_per_byte']['xz -9'] == pytest.approx(
    8 * len(lzma.compress(text[len(text) * 95 // 100 :], preset=9)) / 55770
  )


def test_windows_of_a_text_grow_by_a_curriculum(spaced: Path) -> None:
  small = files(spaced, carry_over=False, length=6)
  grows = files(spaced, carry_over=False, length=16, curriculum='0 length=6; 3')
  grows.prepare()
  whole = files(spaced, carry_over=False, length=16)
  for task, step, used in ((small, 2, 6), (whole, 3, 16)):
    batch, alone = (step_of(t, 4, step) for t in (grows, task))
    assert batch.inputs.shape == (4, 16)
    for one, other in zip(batch, alone, strict=True):
      if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one[:, :used], other)
        assert not one[:, used:].any()
  evaluated = grows.rows(Stream(0, 7, 4), 0, np.arange(4))
  np.testing.assert_array_equal(
    evaluated.inputs, whole.rows(Stream(0, 7, 4), 0, np.arange(4)).inputs
  )
  with pytest.raises(ConfigError, match=r'curriculum: .*needs carry'):
    files(spaced, length=16, curriculum='0 length=6').prepare()


def test_resets_of_a_stream_become_rare_by_a_curriculum(spaced: Path) -> None:
  stages = '0 reset_every=3; 2 reset_every=5; 4'
  task = files(spaced, length=8, curriculum=stages)
  task.prepare()
  alone = files(spaced, length=8)
  for step in range(min(6, alone.epoch_steps(2))):
    batch, whole = step_of(task, 2, step), step_of(alone, 2, step)
    np.testing.assert_array_equal(batch.inputs, whole.inputs)
    place_T = 8 * step + np.arange(8)
    every = 3 if step < 2 else 5 if step < 4 else 10**9
    np.testing.assert_array_equal(
      batch.reset_BT, np.tile(place_T % every == 0, (2, 1))
    )
  evaluated = task.rows(Stream(0, 7, 2), 1, np.arange(2))
  assert not evaluated.reset_BT.any()
  for fields in ({'reset_every': -1}, {'reset_every': 2, 'carry_over': False}):
    with pytest.raises(ConfigError, match=r'^reset_every: .*must be at least'):
      files(spaced, length=8, **fields)
