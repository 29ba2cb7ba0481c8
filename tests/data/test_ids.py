"""Token ids are read where they lie, as nanoGPT and NumPy write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memjax.data.corpus import close_corpora, open_ids
from memjax.data.splits import FileOptions
from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text

VOCAB = 300


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  close_corpora()
  yield tmp_path / 'cache'
  close_corpora()


def ids_of(seed: int, size: int = 500) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, VOCAB, size)


@pytest.fixture
def nano(tmp_path: Path) -> Path:
  """A folder as nanoGPT prepares it."""
  folder = tmp_path / 'shakespeare'
  folder.mkdir()
  ids_of(0).astype(np.uint16).tofile(folder / 'train.bin')
  ids_of(1).astype(np.uint16).tofile(folder / 'val.bin')
  (folder / 'meta.pkl').write_bytes(b'\x80\x04 a pickle')
  (folder / 'input.txt').write_text('the text')
  (folder / 'prepare.py').write_text('# prepares')
  return folder


def task(path: Path, **fields: Any) -> Text:
  fields = {'vocab': VOCAB, 'length': 8} | fields
  return Text(corpus='files', path=f'{path}', tokens='ids', **fields)


def mapped(array: Any) -> Any:
  """The array on disk that an array is a view of, if it is one."""
  while not isinstance(array, np.memmap) and array.base is not None:
    array = array.base
  return array


def test_nanogpts_files_are_read_as_they_are(nano: Path, cache: Path) -> None:
  train = task(nano)
  train.prepare()
  assert train.input_spec.vocab == VOCAB
  batch = train.rows(Stream(0, 0, 2), 0, np.arange(2))
  assert batch.inputs[0].tolist() == ids_of(0)[:8].tolist()
  assert batch.targets[0].tolist() == ids_of(0)[1:9].tolist()
  validation = task(nano, split='validation')
  assert validation._splits[0].tokens.tolist() == ids_of(1).tolist()
  assert train.text_tokenizer is None
  assert train.baselines == {}
  assert isinstance(mapped(train._splits[0].tokens), np.memmap)
  assert not list(cache.rglob('*ids*'))
  with pytest.raises(ConfigError, match=r"'test': no name in .* says it"):
    task(nano, split='test').prepare()
  assert train.describe() == [
    f'{nano}: 2 files as token ids',
    '  train: train.bin, 500 tokens',
    '  validation: val.bin, 500 tokens',
    '  test: none, as no name says it',
  ]


@pytest.mark.parametrize('dtype', [np.uint16, np.uint32])
def test_the_width_of_ids_is_found(tmp_path: Path, dtype: type) -> None:
  ids_of(0).astype(dtype).tofile(tmp_path / 'a.bin')
  splits = open_ids(f'{tmp_path}', VOCAB, None, FileOptions()).splits
  read = np.concatenate([splits[s].tokens for s in splits])
  assert read.tolist() == ids_of(0).tolist()
  assert [len(splits[s].tokens) for s in splits] == [450, 25, 25]


def test_large_vocabularies_are_uint32(tmp_path: Path) -> None:
  ids = ids_of(0) + 70_000
  ids.astype(np.uint32).tofile(tmp_path / 'a.bin')
  splits = open_ids(f'{tmp_path}/a.bin', 100_000, None, FileOptions()).splits
  assert splits['train'].tokens.tolist() == ids[:450].tolist()


def test_the_header_of_llm_c_is_skipped(tmp_path: Path) -> None:
  header = np.zeros(256, np.int32)
  header[:3] = 20240520, 1, 500
  with (tmp_path / 'a.bin').open('wb') as file:
    file.write(header.tobytes() + ids_of(0).astype(np.uint16).tobytes())
  splits = open_ids(f'{tmp_path}', VOCAB, None, FileOptions()).splits
  assert splits['train'].tokens.tolist() == ids_of(0)[:450].tolist()


@pytest.mark.parametrize('dtype', [np.uint16, np.int64])
def test_shards_of_numpy_are_joined(tmp_path: Path, dtype: type) -> None:
  for i in range(3):
    np.save(tmp_path / f'train_{i:03}.npy', ids_of(i).astype(dtype))
  np.save(tmp_path / 'val_000.npy', ids_of(9).astype(dtype))
  for _ in range(2):  # written, then read from the cache
    close_corpora()
    split = open_ids(f'{tmp_path}', VOCAB, None, FileOptions()).splits['train']
    assert (
      split.tokens.tolist() == np.concatenate([*map(ids_of, range(3))]).tolist()
    )
    assert split.starts.tolist() == [0, 500, 1000]


@pytest.mark.parametrize(
  ('name', 'array', 'rule'),
  [
    (
      'a.bin',
      np.array([1, 300], '<u2'),
      'id 1 is 300, must be from 0 to',
    ),
    ('a.npy', np.array([3, -1]), 'id 1 is -1, must be from 0'),
    (
      'a.bin',
      np.array([1, 2, 3], np.uint8),
      'has 3 bytes, not a multiple',
    ),
    (
      'a.npy',
      np.ones((2, 2), int),
      'has 2 axes of int64, must have',
    ),
    ('a.npy', np.ones(2), 'has 1 axes of float64'),
    ('a.txt', np.array([1, 2], '<u2'), 'is not a file of ids'),
  ],
)
def test_a_file_without_ids_is_refused(
  tmp_path: Path, name: str, array: np.ndarray, rule: str
) -> None:
  path = tmp_path / name
  if name.endswith('.npy'):
    np.save(path, array)
  else:
    array.tofile(path)
  with pytest.raises(ConfigError) as error:
    task(path).prepare()
  assert error.value.value == str(path)
  assert rule in error.value.rule


def test_fields_of_ids_are_checked(nano: Path) -> None:
  with pytest.raises(ConfigError, match='vocab: 0: must be at least 2 for'):
    task(nano, vocab=0)
  with pytest.raises(ConfigError, match=r"tokens: 'ids': 'ids' belongs to"):
    Text(tokens='ids', vocab=9)


def test_a_changed_file_is_other_data(nano: Path) -> None:
  before = task(nano).fingerprint()
  ids_of(7).astype(np.uint16).tofile(nano / 'val.bin')
  assert task(nano).fingerprint() != before
