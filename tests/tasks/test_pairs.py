"""Pairs: layout, marks, splits, classes, tags, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.data.bpe import LETTERS, import_library
from memjax.data.pair_rows import best_fit
from memjax.data.tokenizers import Bytes, Marked, from_json
from memjax.errors import ConfigError
from memjax.evaluation.generation import undefined_rows
from memjax.tasks.base import Stream
from memjax.tasks.composed.delayed import Delayed
from memjax.tasks.language.pairs import Pairs
from memjax.types import Batch, Tokens

TOKENS = Tokens(258, separator_id=256)
SENTIMENT = [
  ('so good', 'yes'),
  ('bad', 'no'),
  ('good', 'yes'),
  ('not bad', 'yes'),
]


def write(folder: Path, pairs: list[tuple[str, str]], split: str) -> None:
  folder.mkdir(exist_ok=True)
  records = ({'source': s, 'target': t} for s, t in pairs)
  text = ''.join(json.dumps(record) + '\n' for record in records)
  (folder / f'{split}.jsonl').write_text(text)


def task_of(folder: Path, pairs: Any = SENTIMENT, **fields: Any) -> Pairs:
  write(folder, pairs, 'train')
  write(folder, pairs[:2], 'validation')
  own: dict[str, Any] = {'corpus': 'files', 'path': str(folder), 'length': 16}
  task = Pairs(**own | fields)
  task.prepare()
  return task


def rows_of(task: Pairs, count: int, step: int = 0) -> Batch:
  return task.rows(Stream(0, 0, count), step, np.arange(count))


def read_back(batch: Batch, marks: Marked) -> list[str]:
  """Each pair of the batch: what was read, then what was to be answered."""
  found = []
  for row in range(len(batch.inputs)):
    starts = np.flatnonzero(batch.reset_BT[row])
    for start, end in zip(starts, [*starts[1:], None], strict=True):
      labels = np.flatnonzero(batch.loss_weights_BT[row][start:end]) + start
      if labels.size:
        source = marks.decode(batch.inputs[row][start : labels[0] + 1])
        found.append(source + marks.decode(batch.targets[row][labels]))
  return found


@pytest.mark.parametrize('packed', [True, False])
def test_every_pair_is_read_once_an_epoch(packed: bool, tmp_path: Path) -> None:
  task = task_of(tmp_path, packed=packed)
  marks = task.text_tokenizer
  assert (task.input_spec, task.output_spec) == (TOKENS, TOKENS)
  lines = sorted(f'{source}\t{target}\n' for source, target in SENTIMENT)
  for epoch in range(2):
    steps = range(
      epoch * task.epoch_steps(2), (epoch + 1) * task.epoch_steps(2)
    )
    batches = [rows_of(task, 2, step) for step in steps]
    found = [pair for b in batches for pair in read_back(b, marks)]
    assert sorted(found) == lines
    for batch in batches:
      assert (batch.reset_BT.sum(1) == 1).all() or packed
      labels_B = batch.loss_weights_BT.sum(1)
      assert labels_B.max() <= task.labels
      assert packed or not undefined_rows(Batch(*map(jnp.asarray, batch))).any()


def test_a_label_sees_its_distance_from_the_source(tmp_path: Path) -> None:
  batch = rows_of(task_of(tmp_path, [('ab', 'xyz')] * 2, length=6), 1)
  assert batch.inputs[0].tolist() == [97, 98, 256, 120, 121, 122]
  assert batch.targets[0].tolist() == [0, 0, 120, 121, 122, 257]
  assert batch.score_axis_BT[0].tolist() == [0, 0, 2, 3, 4, 5]


def test_classes_are_answered_at_the_separator(tmp_path: Path) -> None:
  task = task_of(tmp_path, answer='label')
  assert task.text_tokenizer.classes == ('no', 'yes')
  assert task.output_spec == Tokens(2)
  assert task.baselines == {'accuracy': {'majority': 3 / 4}}
  batch = rows_of(task, 3)
  labelled_BT = batch.loss_weights_BT > 0
  assert set(batch.inputs[labelled_BT]) == {task.text_tokenizer.separator}
  assert sorted(batch.targets[labelled_BT]) == [0, 1, 1, 1]


def test_each_word_has_its_tag(tmp_path: Path) -> None:
  pairs = [('Ann sat', 'PER O'), ('Bo', 'PER'), ('Ann', 'PER')]
  task = task_of(tmp_path, pairs, answer='tags', tokens='words')
  batch = rows_of(task, 1)
  assert batch.loss_weights_BT.sum() == 4
  names = [task.text_tokenizer.classes[i] for i in batch.targets[0][:4]]
  words = task.text_tokenizer.decode(batch.inputs[0][:4]).split()
  tags = dict(zip(words, names, strict=True))
  assert tags == {'Ann': 'PER', 'sat': 'O', 'Bo': 'PER'}


def test_a_trained_tokenizer_reads_another_file(tmp_path: Path) -> None:
  trained = task_of(tmp_path / 'a', answer='label', tokens='words')
  kept = from_json(trained.text_tokenizer.to_json())
  assert kept == trained.text_tokenizer
  other = task_of(
    tmp_path / 'b', [('good new', 'yes')] * 2, answer='label', tokens='words'
  )
  assert other.text_tokenizer != kept
  same = other.with_tokenizer(kept)
  same.prepare()
  assert same.output_spec == Tokens(2)
  assert rows_of(same, 1).targets.max() == 1, 'yes is the second class'
  unknown = task_of(
    tmp_path / 'c', [('x', 'maybe')] * 2, answer='label', tokens='words'
  )
  with pytest.raises(
    ConfigError, match=r"target: 'maybe': the training data do"
  ):
    unknown.with_tokenizer(kept).prepare()
  with pytest.raises(ConfigError, match='not trained on pairs'):
    other.with_tokenizer(Bytes())
  with pytest.raises(ConfigError, match=r"tokens: 'bytes': the model was"):
    task_of(tmp_path / 'a').with_tokenizer(kept)


def tokenizer_file(folder: Path) -> Path:
  """A tokenizer.json: letters that differ from the bytes, and three marks."""
  library = import_library('tokenizer', '')
  ids = {letter: i for i, letter in enumerate(LETTERS)} | {'oo': 256}
  tokenizer = library.Tokenizer(library.models.BPE(ids, [('o', 'o')]))
  tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(False)
  tokenizer.decoder = library.decoders.ByteLevel()
  tokenizer.add_special_tokens(['[SEP]', '[END]', '[MASK]'])
  tokenizer.save(str(folder / 'tokenizer.json'))
  return folder / 'tokenizer.json'


def test_a_pretrained_tokenizer_has_the_marks_itself(tmp_path: Path) -> None:
  file = str(tokenizer_file(tmp_path))
  marked = {'tokenizer': file, 'separator': '[SEP]', 'end': '[END]'}
  task = task_of(tmp_path / 'a', [('good', 'oo')] * 2, length=6, **marked)
  assert task.input_spec == Tokens(260, separator_id=257)
  marks = task.text_tokenizer
  g, d = marks.inner.encode(b'gd')
  batch = rows_of(task, 1)
  assert batch.inputs[0].tolist() == [g, 256, d, 257, 256, 0]
  assert batch.targets[0].tolist() == [0, 0, 0, 256, 258, 0]
  assert marks.decode([g, 256, d, 257, 256, 258]) == 'good\too\n'
  assert marks.restore(marks.encode(b'o\x1fg\x1e')) == b'o\x1fg\x1e'
  assert ''.join(map(marks.decoder(), [256, 257, 256, 258])) == 'oo\too\n'
  assert marks.contents.bytes_V[[256, 257, 258]].tolist() == [2, 0, 0]
  kept = from_json(marks.to_json())
  assert kept == marks
  assert task.with_tokenizer(kept).input_spec == task.input_spec
  one = task_of(tmp_path / 'b', tokenizer=file, separator='[SEP]')
  assert one.text_tokenizer.marks == (257, 257)
  more = task_of(tmp_path / 'b', tokenizer=file)
  assert more.text_tokenizer.marks == (260, 261)
  with pytest.raises(ConfigError, match=r"tokens: 'bytes': the model was"):
    task_of(tmp_path / 'b').with_tokenizer(kept)
  with pytest.raises(ConfigError, match=r"end: '\[EN\]': is not a token of.*"):
    task_of(tmp_path / 'b', **marked | {'end': '[EN]'})


def test_the_padding_of_classes_is_a_run_of_its_own(tmp_path: Path) -> None:
  for packed in (True, False):
    task = task_of(tmp_path, answer='label', packed=packed)
    batch = rows_of(task, task.epoch_steps(1))
    for reset_T, weights_T in zip(
      batch.reset_BT, batch.loss_weights_BT, strict=True
    ):
      last = int(np.flatnonzero(weights_T)[-1])
      assert np.flatnonzero(reset_T)[-1] == last + 1, 'right after the label'
      assert reset_T.sum() == weights_T.sum() + 1
  whole = task_of(tmp_path, [('123', 'a')] * 2, answer='label', length=4)
  assert rows_of(whole, 1).reset_BT.tolist() == [[True, False, False, False]]
  written = task_of(tmp_path, packed=False)
  assert (rows_of(written, 2).reset_BT.sum(1) == 1).all()


def test_a_share_of_the_pairs_keeps_validation(tmp_path: Path) -> None:
  task = task_of(tmp_path, share=0.5, packed=False)
  assert task.epoch_steps(1) == 2
  assert task.fingerprint() != task_of(tmp_path).fingerprint()


def test_long_pairs_are_left_out_and_counted(tmp_path: Path) -> None:
  task = task_of(tmp_path, [*SENTIMENT, ('long' * 5, 'yes')])
  assert task.describe() == [
    'train: 4 pairs in 3 rows',
    '1 of 5 pairs left out: they have more than task.length=16 steps',
  ]


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'length': 3}, 'length: 3: all 4 pairs of train are longer'),
    ({'split': 'test'}, "split: 'test': no name or record says it; there is"),
    ({'answer': 'tag'}, "answer: 'tag': unknown; did you mean tags?"),
    ({'answer': 'tags'}, "tokens: 'bytes': must be 'words' for answer='tags'"),
    ({'separator': '|'}, "separator: '|': needs task.tokenizer"),
    ({'end': '.'}, "end: '.': needs task.separator"),
    ({'tokenizer': 'x', 'tokens': 'words'}, "must be 'bytes', the default"),
    ({'tokenizer': 'x'}, "tokenizer: 'x': cannot be read"),
    ({'share': 0.0}, 'share: 0.0: must be in (0, 1]'),
    ({'corpus': 'docstrings'}, "belongs to corpus='files' only"),
    (
      {'answer': 'tags', 'tokens': 'words'},
      "target: 'yes': has 1 tags for 2 words",
    ),
  ],
)
def test_what_does_not_fit_is_refused(
  fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError) as refused:
    task_of(tmp_path, **fields)
  assert words in str(refused.value)


def test_marked_text_is_restored() -> None:
  marks = Marked(Bytes())
  text = b'\x1fa b\x1fc\n\x1e\x1e'
  ids = marks.encode(text)
  assert ids.dtype == np.uint16
  assert marks.restore(ids) == text
  assert marks.unit == 'bytes'
  assert marks.decode(ids) == '\ta b\tc\n\n\n'
  assert ''.join(map(marks.decoder(), ids)) == marks.decode(ids)
  assert len(marks.contents.bytes_V) == marks.vocab
  assert marks.contents.bytes_V[[marks.separator, marks.end]].sum() == 0


def test_best_fit_overlaps_nothing_and_wastes_little() -> None:
  sizes = np.random.default_rng(0).integers(1, 30, 200).tolist()
  rows, starts = best_fit(sizes, 32)
  filled = np.zeros((rows.max() + 1, 32), int)
  for size, row, start in zip(sizes, rows, starts, strict=True):
    filled[row, start : start + size] += 1
  assert filled.max() == 1
  assert filled.sum() == sum(sizes)
  assert filled.mean() > 0.9


def test_late_labels_stay_in_the_run_of_their_pair(tmp_path: Path) -> None:
  task = task_of(tmp_path, answer='label')
  late = Delayed(task=task, steps=2)
  plain = rows_of(task, 2)
  seen = late.batch(late.rows(Stream(0, 0, 2), 0, np.arange(2)))
  assert seen.inputs.shape == (2, 16 + 2 * task.runs)
  assert task.runs > 1
  for row in range(2):
    starts, moved = map(
      np.flatnonzero, (plain.reset_BT[row], seen.reset_BT[row])
    )
    assert moved.tolist() == [s + 2 * i for i, s in enumerate(starts)]
    labels = np.flatnonzero(plain.loss_weights_BT[row])
    run = np.searchsorted(starts, labels, 'right')
    places = labels + 2 * run
    assert np.flatnonzero(seen.loss_weights_BT[row]).tolist() == list(places)
    for name in ('targets', 'score_axis_BT'):
      one, other = getattr(plain, name)[row], getattr(seen, name)[row]
      np.testing.assert_array_equal(other[places], one[labels])
    np.testing.assert_array_equal(
      seen.inputs[row][places - 2], plain.inputs[row][labels]
    )
    after = np.asarray(seen.inputs[row][places])
    assert (after == task.input_spec.size).all(), 'blanks after each run'
