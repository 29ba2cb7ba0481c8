"""The documents of every format; what is not text is refused by name."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path
import pickle
import sys
import tarfile
from typing import Any
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memjax.data import formats
from memjax.data.formats import read_parts
from memjax.data.local_sources import text_files
from memjax.data.sources import Source
from memjax.data.splits import SPLITS, FileOptions
from memjax.errors import ConfigError

TEXTS = ['one é', 'two\n', 'with "quotes", a comma\nand a line', '€' * 30]
DOCUMENTS = [t if t.endswith('\n') else f'{t}\n' for t in TEXTS[:3]] + TEXTS[3:]


def documents(path: Path, field: str = 'text') -> list[str]:
  found: list[bytes] = []
  for document, offset, text, _ in read_parts(path, field):
    if document == len(found):
      found.append(b'')
    assert len(found[document]) == offset
    found[document] += text
  return [document.decode() for document in found]


def whole(source: Source) -> str:
  pieces = [p.text for s in source.spans for p in source.pieces(s)]
  return b''.join(pieces).decode()


def zstd(content: bytes) -> bytes:
  return pa.Codec('zstd').compress(content, asbytes=True)


@pytest.mark.parametrize(
  ('suffix', 'pack'),
  [
    ('.gz', gzip.compress),
    ('.bz2', bz2.compress),
    ('.xz', lzma.compress),
    ('.zst', zstd),
    ('.txt', gzip.compress),  # the first bytes decide, not the name
  ],
)
def test_packed_text_is_unpacked(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Any
) -> None:
  monkeypatch.setattr(formats, 'PIECE', 50)
  text = 'some é text € in lines\n' * 90
  path = tmp_path / f'a{suffix}'
  path.write_bytes(pack(text.encode()) + pack(b'the second part'))
  assert documents(path) == [f'{text}the second part']
  assert whole(text_files(str(path))) == f'{text}the second part'
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(ConfigError, match='cannot be') as error:
    text_files(str(path))
  assert error.value.value == str(path)
  assert '\n' not in str(error.value)


def rows(field: str) -> list[dict[str, Any]]:
  return [{'id': i, field: text} for i, text in enumerate(TEXTS)]


def write_jsonl(path: Path, field: str) -> None:
  lines = [json.dumps(row) for row in [*rows(field), {'id': 9, field: ''}]]
  path.write_text('\ufeff' + '\n\n'.join(lines), encoding='utf-8')


def write_csv(path: Path, field: str) -> None:
  with path.open('w', encoding='utf-8-sig', newline='') as file:
    delimiter = '\t' if path.suffix == '.tsv' else ','
    writer = csv.DictWriter(file, ['id', field], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows(field))


def write_parquet(path: Path, field: str) -> None:
  pq.write_table(pa.Table.from_pylist(rows(field)), path, row_group_size=2)


def write_arrow(path: Path, field: str) -> None:
  """As the datasets library saves it: a stream."""
  table = pa.Table.from_pylist(rows(field))
  with pa.ipc.new_stream(path, table.schema) as writer:
    writer.write_table(table, max_chunksize=2)


def write_feather(path: Path, field: str) -> None:
  table = pa.Table.from_pylist(rows(field))
  with pa.ipc.new_file(path, table.schema) as writer:
    writer.write_table(table, max_chunksize=2)


def write_packed(path: Path, field: str) -> None:
  write_jsonl(path, field)
  path.write_bytes(gzip.compress(path.read_bytes()))


def write_json_list(path: Path, field: str) -> None:
  lines = [json.dumps(row) for row in rows(field)]
  path.write_text('\n'.join(lines), encoding='utf-8')


FORMATS = [
  ('a.jsonl', write_jsonl),
  ('a.ndjson', write_jsonl),
  ('a.json', write_json_list),
  ('a.jsonl.gz', write_packed),
  ('a.csv', write_csv),
  ('a.tsv', write_csv),
  ('a.parquet', write_parquet),
  ('a.arrow', write_arrow),
  ('b.arrow', write_feather),
]


@pytest.mark.parametrize(('name', 'write'), FORMATS)
@pytest.mark.parametrize('field', ['text', 'content'])
def test_a_record_is_a_document(
  tmp_path: Path, name: str, write: Any, field: str
) -> None:
  write(tmp_path / name, field)
  assert documents(tmp_path / name, field) == TEXTS
  source = text_files(str(tmp_path), FileOptions(field=field))
  assert source.sizes_D.tolist() == [len(d.encode()) for d in DOCUMENTS]
  assert whole(source) == ''.join(DOCUMENTS)
  names = [n for split in source.spans for n in source.document_names(split)]
  assert list(dict.fromkeys(names)) == [f'{name}:{i}' for i in (1, 2, 3, 4)]


@pytest.mark.parametrize(('name', 'write'), FORMATS)
def test_a_field_that_is_absent_is_named(
  tmp_path: Path, name: str, write: Any
) -> None:
  write(tmp_path / name, 'content')
  if name == 'a.json':  # is text then
    return
  with pytest.raises(ConfigError) as error:
    text_files(str(tmp_path))
  rule = "record 1 has no field 'text', but id, content: task.field names"
  assert rule in str(error.value)


@pytest.mark.parametrize(
  ('name', 'content', 'rule'),
  [
    ('a.jsonl', '{"text": "a"}\n{"text": ', 'line 2 is not JSON'),
    ('a.jsonl', '[1]', 'line 1 is not an object'),
    ('a.jsonl', '{"text": 3}', "'text' is not text but 3"),
    ('a.csv', 'text\n"open', 'cannot be read as CSV'),
    ('a.parquet', 'PAR1 not so', 'cannot be read as parquet'),
    ('a.arrow', 'no arrow', 'cannot be read as arrow'),
  ],
)
def test_a_damaged_record_is_one_line(
  tmp_path: Path, name: str, content: str, rule: str
) -> None:
  (tmp_path / name).write_text(content)
  with pytest.raises(ConfigError) as error:
    text_files(str(tmp_path))
  assert error.value.value == str(tmp_path / name)
  assert rule in error.value.rule
  assert '\n' not in str(error.value)


def test_a_folder_of_the_datasets_library(tmp_path: Path) -> None:
  for split in ('train', 'validation', 'test'):
    folder = tmp_path / split
    folder.mkdir()
    for number in (1, 0):
      write_arrow(folder / f'data-0000{number}-of-00002.arrow', 'text')
    write_arrow(folder / 'cache-1a2b.arrow', 'text')
    names = [{'filename': f'data-0000{n}-of-00002.arrow'} for n in (0, 1)]
    state: dict[str, Any] = {
      '_data_files': names,
      '_split': split,
      '_indices_files': None,
    }
    (folder / 'state.json').write_text(json.dumps(state))
    (folder / 'dataset_info.json').write_text('{}')
  (tmp_path / 'dataset_dict.json').write_text('{"splits": ["train"]}')
  source = text_files(str(tmp_path))
  assert set(source.spans) == {*SPLITS}
  text = ''.join(d if d.endswith('\n') else f'{d}\n' for d in DOCUMENTS)
  for split in SPLITS:
    read = b''.join(p.text for p in source.pieces(split)).decode()
    assert read == text + ''.join(DOCUMENTS)
  state = json.loads((folder / 'state.json').read_text())
  state['_indices_files'] = ['indices.arrow']
  (folder / 'state.json').write_text(json.dumps(state))
  with pytest.raises(ConfigError, match='call flatten_indices'):
    text_files(str(tmp_path))


def npy() -> bytes:
  file = io.BytesIO()
  np.save(file, np.arange(9))
  return file.getvalue()


def archive(kind: str) -> bytes:
  file = io.BytesIO()
  if kind == 'zip':
    with zipfile.ZipFile(file, 'w') as content:
      content.writestr('a', 'text')
  else:
    opened: Any = tarfile.open
    with opened(fileobj=file, mode=kind) as tar:
      tar.addfile(tarfile.TarInfo('a'))
  return file.getvalue()


@pytest.mark.parametrize(
  ('name', 'content', 'rule'),
  [
    ('a.png', b'\x89PNG\r\n\x1a\n1234', 'is a PNG image'),
    ('a.txt', b'\x89PNG\r\n\x1a\n1234', 'is a PNG image'),
    ('a.pdf', b'%PDF-1.7 and more', 'is a PDF document'),
    ('meta.pkl', pickle.dumps({'a': 1}), 'is a pickle'),
    ('a.zip', archive('zip'), 'is a zip archive: unpack it'),
    ('a.tar', archive('w'), 'is a tar archive: unpack it'),
    ('a.tar.gz', archive('w:gz'), 'is a tar archive: unpack it'),
    ('a.npy', npy(), "tokens='ids' reads .npy and .bin"),
    ('a.npy.gz', gzip.compress(npy()), "tokens='ids' reads .npy and .bin"),
    ('train.bin', b'\1\0\2\0', "tokens='ids' reads .npy and .bin"),
    ('a.txt', 'text'.encode('utf-16'), 'is UTF-16 text: save it as UTF-8'),
    ('a.dat', b'text' * 300 + b'\0', 'has a NUL byte at byte 1200'),
    ('a.txt', b'PAR1 and more', 'its name must end in .parquet'),
  ],
  # Packed contents hold the time, which would be a part of the test's name.
  ids=lambda value: 'content' if isinstance(value, bytes) else None,
)
def test_what_is_not_text_is_refused_by_name(
  tmp_path: Path, name: str, content: bytes, rule: str
) -> None:
  (tmp_path / 'more.txt').write_bytes(b'good text ' * 99)
  (tmp_path / name).write_bytes(content)
  with pytest.raises(ConfigError) as error:
    text_files(str(tmp_path), FileOptions(split_names=False))
  assert error.value.value == str(tmp_path / name)
  assert rule in error.value.rule
  assert '\n' not in str(error.value)


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
  path = tmp_path / 'a.txt'
  path.write_bytes(b'\xef\xbb\xbfthe text ' * 1 + b'more \xef\xbb\xbf' * 50)
  read = whole(text_files(str(path)))
  assert read == 'the text ' + 'more \ufeff' * 50
  assert text_files(str(path)).size == path.stat().st_size - 3


def test_json_without_records_is_text(tmp_path: Path) -> None:
  text = json.dumps({'name': 'a package', 'version': '1'}, indent=2) * 9
  (tmp_path / 'package.json').write_text(text)
  assert documents(tmp_path / 'package.json') == [text]


@pytest.mark.parametrize('name', ['a.parquet', 'a.arrow', 'a.txt.zst'])
def test_without_pyarrow_the_error_says_how_to_install_it(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
  (tmp_path / name).write_bytes(zstd(b'text'))
  for module in [m for m in sys.modules if m.startswith('pyarrow')]:
    monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(ConfigError) as error:
    text_files(str(tmp_path / name))
  rule = "needs pyarrow: pip install 'memjax[data]'"
  assert str(error.value) == f'path: {str(tmp_path / name)!r}: {rule}'


def test_documents_end_as_lines_do(tmp_path: Path) -> None:
  for i, text in enumerate(['a b', 'c\n', 'd', 'e']):
    (tmp_path / f'{i}.txt').write_text(text * 3)
  source = text_files(str(tmp_path))
  assert whole(source) == 'a ba ba b\nc\nc\nc\nddd\neee'
