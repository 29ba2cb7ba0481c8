"""Pairs of texts from files, and the split of each."""

import json
from pathlib import Path

import pytest

from memjax.data.pairs import (
  DOCSTRINGS,
  Pair,
  open_pairs,
  pairs_of_module,
  split_of_source,
)
from memjax.data.splits import FileOptions
from memjax.errors import ConfigError

PAIRS = [Pair(f'source {i}', f'target {i}') for i in range(60)]


def read(path: Path, source: str = 'en', target: str = 'de') -> dict:
  return dict(open_pairs('files', str(path), FileOptions(), source, target))


def as_jsonl(pairs: list[Pair]) -> str:
  records = ({'en': p.source, 'de': p.target, 'id': 3} for p in pairs)
  return ''.join(json.dumps(record) + '\n' for record in records)


def as_table(pairs: list[Pair], sign: str, header: bool) -> str:
  rows = [('x', 'en', 'de')] * header + [('0', *pair) for pair in pairs]
  return ''.join(f'{sign.join(row)}\n' for row in rows)


@pytest.mark.parametrize(
  ('name', 'text', 'fields'),
  [
    ('a.jsonl', as_jsonl(PAIRS), ('en', 'de')),
    ('a.csv', as_table(PAIRS, ',', header=True), ('en', 'de')),
    ('a.tsv', as_table(PAIRS, '\t', header=True), ('en', 'de')),
    ('a.tsv', as_table(PAIRS, '\t', header=False), ('2', '3')),
    ('a.csv', as_table(PAIRS, ',', header=False), ('2', '3')),
  ],
)
def test_records_are_pairs(
  name: str, text: str, fields: tuple[str, str], tmp_path: Path
) -> None:
  (tmp_path / name).write_text(text)
  found = read(tmp_path / name, *fields)
  assert sorted(sum(found.values(), ())) == sorted(PAIRS)
  for split, pairs in found.items():
    assert all(split_of_source(pair.source) == split for pair in pairs)
  assert set(found) == {'train', 'validation', 'test'}


def test_a_longer_file_moves_no_pair(tmp_path: Path) -> None:
  path = tmp_path / 'a.jsonl'
  path.write_text(as_jsonl(PAIRS[:30]))
  before = read(path)
  path.write_text(as_jsonl(PAIRS))
  after = read(path)
  for split, pairs in before.items():
    assert after[split][: len(pairs)] == pairs


def test_quotes_in_columns_without_a_header_are_signs(tmp_path: Path) -> None:
  (tmp_path / 'a.tsv').write_text('"Go.\tVa !\r\nHi"\tSalut\n')
  found = sum(read(tmp_path / 'a.tsv', '1', '2').values(), ())
  assert set(found) == {Pair('"Go.', 'Va !'), Pair('Hi"', 'Salut')}


def test_names_and_records_say_the_split(tmp_path: Path) -> None:
  (tmp_path / 'train.jsonl').write_text(as_jsonl(PAIRS[:20]))
  (tmp_path / 'dev.jsonl').write_text(as_jsonl(PAIRS[20:30]))
  found = read(tmp_path)
  assert found == {
    'train': tuple(PAIRS[:20]),
    'validation': tuple(PAIRS[20:30]),
  }
  path = tmp_path / 'one' / 'a.jsonl'
  path.parent.mkdir()
  path.write_text('{"en": "a", "de": "b", "split": "test"}\n')
  assert read(path) == {'test': (Pair('a', 'b'),)}


def test_sentences_of_columns_are_words_and_tags(tmp_path: Path) -> None:
  (tmp_path / 'a.conll').write_text(
    '-DOCSTART- -X- O O\n\nAnn NNP B-PER\nsat VBD O\n\n# a\nBo NNP B-PER\n'
  )
  found = sum(read(tmp_path / 'a.conll', '1', '3').values(), ())
  assert set(found) == {Pair('Ann sat', 'B-PER O'), Pair('Bo', 'B-PER')}
  (tmp_path / 'b.conllu').write_text(
    '1-2 im _ _\n1 in in ADP\n2 dem der DET\n2.1 x x X\n'
  )
  found = sum(read(tmp_path / 'b.conllu', '2', '4').values(), ())
  assert set(found) == {Pair('in dem', 'ADP DET')}


def test_lists_are_joined_and_empty_fields_left_out(tmp_path: Path) -> None:
  (tmp_path / 'a.jsonl').write_text(
    '{"en": ["a", "b"], "de": [0, 1]}\n{"en": "c", "de": null}\n'
  )
  assert sum(read(tmp_path / 'a.jsonl').values(), ()) == (Pair('a b', '0 1'),)


@pytest.mark.parametrize(
  ('name', 'text', 'fields', 'words'),
  [
    ('a.jsonl', '{"en": "x"}\n', ('en', 'de'), "target: 'de': record 1 of a"),
    ('a.jsonl', '{"en": "x", "de": ""}\n', ('en', 'de'), 'no record with both'),
    ('a.txt', 'x\n', ('en', 'de'), 'has no records; memjax reads .jsonl'),
    ('a.tsv', 'a\tb\n', ('1', '3'), "target: '3': record 1 of a.tsv has no"),
    ('a.conll', 'x y\n', ('word', '2'), "source: 'word': must be the number"),
    ('a.conll', 'x y\n', ('1', '3'), "target: '3': line 1 of a.conll has 2"),
    ('a.conll', '\xe4', ('1', '2'), 'line 1 is not UTF-8'),
  ],
)
def test_what_is_not_a_pair_is_refused(
  name: str, text: str, fields: tuple[str, str], words: str, tmp_path: Path
) -> None:
  (tmp_path / name).write_text(text, encoding='latin-1')
  with pytest.raises(ConfigError) as refused:
    read(tmp_path / name, *fields)
  assert words in str(refused.value)


def test_docstrings_are_pairs_of_what_follows_and_the_first_line() -> None:
  found = open_pairs(DOCSTRINGS, '', FileOptions(), 'source', 'target')
  pairs = set(sum(found.values(), ()))
  assert len(pairs) > 1000
  first = 'Remove any common leading whitespace'
  [dedent] = [pair for pair in pairs if pair.target.startswith(first)]
  assert dedent.source.startswith('This can be used to make')
  sources = [{pair.source for pair in found[split]} for split in found]
  assert not set.intersection(*sources)


def test_functions_are_pairs_of_a_docstring_and_the_code(
  tmp_path: Path,
) -> None:
  path = tmp_path / 'module.py'
  path.write_text(
    '"""A module."""\n'
    'class Thing:\n'
    '  def size(self) -> int:\n'
    '    """The size\n'
    '    of it.\n'
    '\n'
    '    More.\n'
    '    """\n'
    '    # counts\n'
    '    return 1\n'
    '  def only(self): "A docstring."\n'
    '  def empty(self):\n'
    '    """Nothing."""\n'
  )
  assert json.loads(pairs_of_module(path)) == {
    'docstrings': [['More.', 'The size of it.']],
    'functions': [
      [
        'The size of it.',
        'def size(self) -> int:\n  # counts\n  return 1',
      ]
    ],
  }
