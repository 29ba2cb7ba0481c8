"""A tokenizer.json encodes as its library does."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from memjax.data.file_tokenizer import FileTokenizer, read_tokenizer
from memjax.data.tokenizers import Bytes, from_json
from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text

TEXT = 'the cat sat on the mat é € 😀 and the dog\n'


def byte_level() -> Any:
  library = tokenizers.Tokenizer(models.BPE())
  library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  library.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=290,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    special_tokens=['<|endoftext|>'],
    show_progress=False,
  )
  library.train_from_iterator([TEXT * 20], trainer)
  return library


def word_piece() -> Any:
  library = tokenizers.Tokenizer(models.WordPiece(unk_token='[UNK]'))
  library.normalizer = normalizers.Lowercase()
  library.pre_tokenizer = pre_tokenizers.Whitespace()
  library.decoder = decoders.WordPiece()
  trainer = trainers.WordPieceTrainer(
    vocab_size=60, special_tokens=['[UNK]'], show_progress=False
  )
  library.train_from_iterator(['the cat sat on the mat'], trainer)
  library.enable_truncation(4)
  return library


def saved(library: Any, folder: Path) -> str:
  path = folder / 'tokenizer.json'
  library.save(str(path))
  return str(path)


def test_a_byte_level_file_is_exact(tmp_path: Path) -> None:
  library = byte_level()
  tokenizer = read_tokenizer(saved(library, tmp_path))
  ids = tokenizer.encode(TEXT.encode())
  assert ids.dtype == np.uint16
  assert ids.tolist() == library.encode(TEXT, add_special_tokens=False).ids
  assert tokenizer.vocab == library.get_vocab_size() > 256
  assert tokenizer.restore(ids) == TEXT.encode()
  decode = tokenizer.decoder()
  assert ''.join(map(decode, ids)) == TEXT
  assert tokenizer.exact
  assert tokenizer.unknown == -1
  assert tokenizer.contents.bytes_V[ids].sum() == len(TEXT.encode())
  assert tokenizer.contents.characters_V[ids].sum() == len(TEXT)
  assert tokenizer.contents.bytes_V[0] == len('<|endoftext|>')
  again = from_json(json.loads(json.dumps(tokenizer.to_json())))
  assert again == tokenizer
  assert again.digest == tokenizer.digest


def test_another_file_has_the_mean_of_its_split(tmp_path: Path) -> None:
  library = word_piece()
  tokenizer = read_tokenizer(saved(library, tmp_path))
  library.no_truncation()
  ids = tokenizer.encode(TEXT.encode())
  assert ids.tolist() == library.encode(TEXT, add_special_tokens=False).ids
  assert len(ids) > 4
  assert not tokenizer.exact
  assert library.id_to_token(tokenizer.unknown) == '[UNK]'
  unknown = tokenizer.unknown_symbols(b'the dog, the zoo')
  assert unknown == [',', 'dog', 'zoo']
  (tmp_path / 'text').write_text(TEXT * 200, encoding='utf-8')
  task = Text(
    corpus='files',
    path=f'{tmp_path}/text',
    tokenizer=f'{tmp_path}/tokenizer.json',
    split='test',
    length=8,
  )
  split = task._splits[0]
  assert split.unknown == (split.tokens == tokenizer.unknown).sum() > 0
  assert any('of them unknown' in line for line in task.describe())
  count, labels = 0.0, len(split.tokens) - 1
  for step in range(task.epoch_steps(3)):
    batch = task.rows(Stream(0, 1, 3), step, np.arange(3))
    y = jnp.zeros((*batch.inputs.shape, tokenizer.vocab))
    count += float(
      task.measure(y, jax.tree.map(jnp.asarray, batch))['bits_per_byte'].count
    )
  assert count == pytest.approx(split.bytes * labels / len(split.tokens))


def test_a_text_is_encoded_with_the_file(tmp_path: Path) -> None:
  tokenizer = read_tokenizer(saved(byte_level(), tmp_path))
  path = tmp_path / 'text'
  path.write_text(TEXT * 200, encoding='utf-8')
  fields: dict[str, Any] = {'corpus': 'files', 'path': f'{path}', 'length': 8}
  task = Text(tokenizer=f'{tmp_path}/tokenizer.json', **fields)
  assert task.text_tokenizer == tokenizer
  assert task.input_spec.vocab == tokenizer.vocab
  first = task.rows(Stream(0, 0, 1), 0, np.arange(1)).inputs[0]
  assert tokenizer.decode(first) == tokenizer.decode(
    tokenizer.encode(TEXT.encode())[:8]
  )
  given = task.with_tokenizer(tokenizer)
  (tmp_path / 'tokenizer.json').unlink()  # a run keeps its tokenizer
  assert given.input_spec.vocab == tokenizer.vocab
  with pytest.raises(ConfigError, match="trained with tokens='bytes'"):
    task.with_tokenizer(Bytes())
  with pytest.raises(ConfigError, match="must be 'bytes', the default"):
    Text(tokenizer='a.json', tokens='words', **fields)


def test_ids_are_decoded_with_the_file(tmp_path: Path) -> None:
  tokenizer = read_tokenizer(saved(byte_level(), tmp_path))
  tokenizer.encode(TEXT.encode() * 99).tofile(tmp_path / 'train.bin')
  fields: dict[str, Any] = {'corpus': 'files', 'tokens': 'ids'}
  fields |= {'path': f'{tmp_path}', 'length': 8}
  task = Text(tokenizer=f'{tmp_path}/tokenizer.json', vocab=304, **fields)
  task.prepare()
  assert task.input_spec.vocab == 304
  assert task.text_tokenizer == tokenizer
  batch = task.rows(Stream(0, 0, 1), 0, np.arange(1))
  y = jnp.zeros((1, 8, 304))
  labelled = tokenizer.restore(batch.targets[0])
  assert task.measure(y, jax.tree.map(jnp.asarray, batch))[
    'bits_per_byte'
  ].count == len(labelled)
  assert task.with_tokenizer(tokenizer) is task
  with pytest.raises(ConfigError, match='was trained with another tokenizer'):
    task.with_tokenizer(None)


@pytest.mark.parametrize(
  ('content', 'rule'),
  [('{}', 'is not a tokenizer.json'), ('text', 'is not a tokenizer.json')],
)
def test_another_file_is_refused(
  tmp_path: Path, content: str, rule: str
) -> None:
  path = tmp_path / 'tokenizer.json'
  with pytest.raises(ConfigError, match='cannot be read: No such file'):
    read_tokenizer(str(path))
  path.write_text(content)
  with pytest.raises(ConfigError, match=rule) as error:
    read_tokenizer(str(path))
  assert error.value.field == 'tokenizer'
  assert '\n' not in str(error.value)


def test_the_record_shows_no_content() -> None:
  assert repr(FileTokenizer('long')) == 'FileTokenizer()'
