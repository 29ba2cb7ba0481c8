"""Files are read whole or refused in one line; a pickle is never opened."""

import json
from pathlib import Path
import shlex
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from memjax.data.bpe import LETTERS, import_library
from memjax.data.file_tokenizer import FileTokenizer
from memjax.errors import ConfigError
from memjax.interop.files import (
  INDEX,
  PICKLES,
  Pretrained,
  digest,
  read_pretrained,
  write_pretrained,
  write_tensors,
)
from memjax.interop.tokenizer_files import (
  byte_level,
  id_of,
  padded,
  read_content,
  unpadded,
)

CONFIG = {'model_type': 'gpt2'}
TENSORS = {
  'a': np.arange(6, dtype=np.float32).reshape(2, 3),
  'b': np.arange(4).astype(ml_dtypes.bfloat16),
}


def refused(path: Path, rule: str) -> str:
  with pytest.raises(ConfigError, match=rule) as caught:
    read_pretrained(path)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def assert_same(found: Pretrained) -> None:
  assert found.config == CONFIG
  assert found.tensors.keys() == TENSORS.keys()
  for name, tensor in TENSORS.items():
    assert found.tensors[name].dtype == tensor.dtype
    np.testing.assert_array_equal(found.tensors[name], tensor)


def test_what_is_written_is_read(tmp_path: Path) -> None:
  write_pretrained(tmp_path, CONFIG, TENSORS, '')
  found = read_pretrained(tmp_path)
  assert_same(found)
  weights = tmp_path / 'model.safetensors'
  assert found.files == {weights.name: digest(weights)}
  assert_same(read_pretrained(weights))
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'config.json',
    'model.safetensors',
  ]


def test_several_files_are_one_model(tmp_path: Path) -> None:
  write_pretrained(tmp_path, CONFIG, {}, '')
  (tmp_path / 'model.safetensors').unlink()
  for name, tensor in TENSORS.items():
    write_tensors(tmp_path / f'part-{name}.safetensors', {name: tensor})
  index = {'weight_map': {n: f'part-{n}.safetensors' for n in TENSORS}}
  refused(tmp_path, 'has several')
  (tmp_path / INDEX).write_text(json.dumps(index))
  assert_same(read_pretrained(tmp_path))
  write_tensors(tmp_path / 'part-b.safetensors', TENSORS)
  refused(tmp_path, 'another file holds too')
  index['weight_map']['b'] = '../part-b.safetensors'
  (tmp_path / INDEX).write_text(json.dumps(index))
  refused(tmp_path, 'must name files of its own folder')


def test_npz_is_read_and_its_objects_are_not(tmp_path: Path) -> None:
  (tmp_path / 'config.json').write_text(json.dumps(CONFIG))
  np.savez(tmp_path / 'w.npz', a=TENSORS['a'])
  np.testing.assert_array_equal(
    read_pretrained(tmp_path).tensors['a'], TENSORS['a']
  )
  objects: Any = np.array([{1}], object)
  np.savez(tmp_path / 'w.npz', a=objects)
  refused(tmp_path, 'is damaged: Object arrays')


@pytest.mark.parametrize('suffix', PICKLES)
def test_a_pickle_is_refused_with_the_command_that_converts_it(
  suffix: str, tmp_path: Path
) -> None:
  path = tmp_path / f'pytorch_model{suffix}'
  path.write_bytes(b'\x80\x04.')
  for place in (path, tmp_path):
    line = refused(place, 'is a pickle')
    words = shlex.split(line[line.index('python -c') :])
    assert words[:2] == ['python', '-c']
    compile(words[2], 'command', 'exec')
    assert path.name in words[2]
    assert 'weights_only=True' in words[2]
    assert 'pytorch_model.safetensors' in words[2]


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
  refused(tmp_path / 'no', 'does not exist')
  refused(tmp_path, 'has no .safetensors, .npz or .gguf file')
  text = tmp_path / 'x.txt'
  text.write_text('x')
  refused(text, 'must be a folder, or a')
  weights = tmp_path / 'model.safetensors'
  weights.write_bytes(b'12345678 no tensors')
  refused(tmp_path, 'is damaged')
  write_tensors(weights, TENSORS)
  refused(tmp_path, 'has no config.json')
  (tmp_path / 'config.json').write_text('{')
  refused(tmp_path, 'cannot be read')


def test_gguf_needs_its_package(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'x.gguf'
  path.write_bytes(b'GGUF')
  monkeypatch.setitem(sys.modules, 'gguf', None)
  refused(path, r"pip install 'memjax\[pretrained\]'")


def letters() -> str:
  """A tokenizer whose ids are bytes, and ' t'."""
  ids = {letter: i for i, letter in enumerate(LETTERS)} | {'Ġt': 256}
  models = import_library('tokenizer', '').models
  return byte_level(models.BPE(ids, [('Ġ', 't')]))


def test_a_row_without_a_token_gets_a_name() -> None:
  content = letters()
  assert padded(content, 257) == content
  with pytest.raises(ConfigError, match='more tokens than the model has rows'):
    padded(content, 256)
  wide = FileTokenizer(padded(content, 300))
  assert wide.vocab == 300
  assert wide.exact
  text = 'and then, 27 times: é'.encode()
  narrow = FileTokenizer(content)
  np.testing.assert_array_equal(wide.encode(text), narrow.encode(text))
  assert wide.restore(wide.encode(text)) == text
  again = FileTokenizer(unpadded(wide.content))
  assert again.vocab == 257
  assert unpadded(content) == content


def test_older_tokenizer_files_become_one(tmp_path: Path) -> None:
  assert read_content(tmp_path) == ''
  record = json.loads(letters())['model']
  (tmp_path / 'vocab.json').write_text(json.dumps(record['vocab']))
  (tmp_path / 'merges.txt').write_text('#version: 0.2\nĠ t\n')
  found, text = FileTokenizer(read_content(tmp_path)), b'a test'
  wanted = FileTokenizer(letters()).encode(text)
  np.testing.assert_array_equal(found.encode(text), wanted)
  (tmp_path / 'vocab.json').unlink()
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'test', '##s']
  (tmp_path / 'vocab.txt').write_text('\n'.join(words))
  content = read_content(tmp_path)
  assert list(FileTokenizer(content).encode(b'A tests')) == [5, 6, 7]
  assert id_of(content, '[MASK]') == 4
  assert id_of(content, '[NONE]') == 0
