"""A user's own splits are kept: by name, by setting or by a field."""

import json
from pathlib import Path
from typing import Any

import pytest

from memjax.data.local_sources import text_files
from memjax.data.sources import Source
from memjax.data.splits import SPLITS, FileOptions, split_of
from memjax.errors import ConfigError

TEXTS = {split: f'the {split} text\n' * 50 for split in SPLITS}


def fill(folder: Path, names: dict[str, str]) -> str:
  for name, text in names.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
  return str(folder)


def texts_of(source: Source) -> dict[str, str]:
  return {
    split: b''.join(p.text for p in source.pieces(split)).decode()
    for split in source.spans
  }


@pytest.mark.parametrize(
  'names',
  [
    ['train.txt', 'valid.txt', 'test.txt'],
    ['wiki.train.tokens', 'wiki.valid.tokens', 'wiki.test.tokens'],
    ['ptb.train.txt', 'ptb.dev.txt', 'ptb.test.txt'],
    ['TRAIN.md', 'Val.md', 'Test.md'],
    ['train-00000-of-00001.txt', 'validation-0.txt', 'test-0.txt'],
    ['books_train.txt', 'books_val.txt', 'books_test.txt'],
    ['train/a.txt', 'dev/b.txt', 'test/c.txt'],
    ['train/a/train.txt', 'valid/test.txt', 'test/train.txt'],
    ['part_train_000.txt', 'part_val_000.txt', 'part_test_000.txt'],
  ],
)
def test_names_say_the_splits(tmp_path: Path, names: list[str]) -> None:
  given = dict(zip(names, TEXTS.values(), strict=True))
  assert texts_of(text_files(fill(tmp_path, given))) == TEXTS


@pytest.mark.parametrize(
  ('name', 'split'),
  [
    ('test_model.py', ''),
    ('latest.txt', ''),
    ('trainer.py', ''),
    ('contest/a.txt', ''),
    ('valuable.txt', ''),
    ('train-test.txt', ''),
    ('notes/validation.txt', 'validation'),
  ],
)
def test_other_names_say_none(name: str, split: str) -> None:
  assert split_of(name) == split


@pytest.mark.parametrize(
  ('names', 'words'),
  [
    (['train.txt', 'test.txt', 'notes.txt'], ['test.txt', 'notes.txt']),
    (['test.txt', 'b.txt', 'c.txt'], ['test.txt says the split test', 'b.txt']),
    (['valid.txt', 'test.txt'], ['no name says train']),
    (['test/a.txt', 'a.txt'], ['test/a.txt', 'split_names=false']),
  ],
)
def test_names_that_say_only_some_splits_are_refused(
  tmp_path: Path, names: list[str], words: list[str]
) -> None:
  path = fill(tmp_path, dict.fromkeys(names, 'some text\n' * 40))
  with pytest.raises(ConfigError) as error:
    text_files(path)
  message = str(error.value)
  assert message.startswith(f'path: {path!r}')
  assert '\n' not in message
  assert 'task.include' in message
  assert 'split_names=false' in message
  for word in words:
    assert word in message
  assert set(text_files(path, FileOptions(split_names=False)).spans) == {
    *SPLITS
  }


def test_include_chooses_the_files(tmp_path: Path) -> None:
  names = {'train.txt': TEXTS['train'], 'valid.txt': TEXTS['validation']}
  names |= {'README.md': 'of no split', 'code/a.py': 'x = 1'}
  path = fill(tmp_path, names)
  source = text_files(path, FileOptions(include='*.txt'))
  assert [file.path.name for file in source.files] == ['train.txt', 'valid.txt']
  source = text_files(path, FileOptions(include='*.md, code/*'))
  names_read = [file.path.name for file in source.files]
  assert names_read == ['README.md', 'a.py']
  with pytest.raises(ConfigError, match=r"include: '\*.csv': no file of"):
    text_files(path, FileOptions(include='*.csv'))


def test_settings_say_the_splits_outright(tmp_path: Path) -> None:
  names = {'own/test.txt': 'for training\n' * 50, 'held/a.txt': 'valid\n' * 9}
  names['other.txt'] = 'test\n' * 9
  fill(tmp_path, names)
  options = FileOptions(
    validation_path=f'{tmp_path}/held', test_path=f'{tmp_path}/other.txt'
  )
  source = text_files(f'{tmp_path}/own', options)
  assert list(texts_of(source).values()) == list(names.values())
  with pytest.raises(ConfigError, match=r"^test_path: 'no': does not exist"):
    text_files(f'{tmp_path}/own', FileOptions(test_path='no'))


def test_without_validation_the_end_of_train_is_it(tmp_path: Path) -> None:
  path = fill(tmp_path, {s: TEXTS[s] for s in ('train', 'test')})
  texts = texts_of(text_files(path))
  assert list(texts) == [*SPLITS]
  assert texts['train'] + texts['validation'] == TEXTS['train']
  assert len(texts['validation']) == pytest.approx(len(TEXTS['train']) / 20, 1)
  assert texts['test'] == TEXTS['test']


def test_without_a_test_name_there_is_no_test_split(tmp_path: Path) -> None:
  path = fill(tmp_path, {'train.txt': 'a' * 90, 'val.txt': 'b' * 9})
  texts = texts_of(text_files(path))
  assert texts == {'train': 'a' * 90, 'validation': 'b' * 9}


def records(path: Path, rows: list[dict[str, Any]]) -> str:
  path.write_text('\n'.join(map(json.dumps, rows)), encoding='utf-8')
  return str(path)


def test_a_field_of_records_says_the_split(tmp_path: Path) -> None:
  rows = [
    {'text': f'{split} {i}', 'split': name}
    for i in range(3)
    for split, name in (
      ('train', 'train'),
      ('validation', 'dev'),
      ('test', 'test'),
    )
  ]
  source = text_files(records(tmp_path / 'all.jsonl', rows))
  assert texts_of(source) == {
    split: '\n'.join(f'{split} {i}' for i in range(3)) for split in SPLITS
  }


@pytest.mark.parametrize(
  ('name', 'extra', 'rule'),
  [
    ('a.jsonl', {'text': 'no split'}, 'has records without a split'),
    ('train.jsonl', {}, "the split 'test', but its name says train"),
  ],
)
def test_records_that_contradict_are_refused(
  tmp_path: Path, name: str, extra: dict[str, str], rule: str
) -> None:
  rows = [{'text': 'a', 'split': s} for s in ('train', 'test')]
  records(tmp_path / name, [*rows, extra] if extra else rows)
  with pytest.raises(ConfigError, match=rule) as error:
    text_files(str(tmp_path))
  assert name in str(error.value)


def test_the_fingerprint_knows_the_splits(tmp_path: Path) -> None:
  texts = {'train': 'a\n' * 90, 'valid': 'b\n' * 90, 'test': 'c\n' * 90}
  other = {'train': 'a\n' * 90, 'test': 'b\n' * 90, 'valid': 'c\n' * 90}
  one, two = fill(tmp_path / '1', texts), fill(tmp_path / '2', other)
  assert text_files(one).fingerprint != text_files(two).fingerprint
  cut = text_files(one, FileOptions(split_names=False))
  assert cut.fingerprint != text_files(one).fingerprint
