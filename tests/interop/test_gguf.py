"""A GGUF file gives the tensors, config and tokens that went into it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memjax.data.bpe import LETTERS
from memjax.data.file_tokenizer import FileTokenizer
from memjax.errors import ConfigError
from memjax.interop.families.llama import Llama
from memjax.interop.files import read_pretrained
from memjax.interop.gguf_file import NAMES, OF_LAYER
from tests.interop.small_models import golden

gguf = pytest.importorskip('gguf', reason='pip install gguf')
TOKENS = [*LETTERS, 'Ġt', '<|end|>']


def side_by_side(kernel: np.ndarray, heads: int) -> np.ndarray:
  """Rows as the converters of GGUF lay them."""
  half = len(kernel) // heads // 2
  rows = [
    kernel[head * 2 * half + part * half + i]
    for head in range(heads)
    for i in range(half)
    for part in range(2)
  ]
  return np.stack(rows)


def write(path: Path, words: str = 'smollm') -> dict[str, np.ndarray]:
  """A file of the golden llama; returns its tensors by their usual names."""
  files = golden('llama').pretrained
  config, tensors = files.config, files.tensors
  writer = gguf.GGUFWriter(str(path), 'llama')
  writer.add_block_count(config['num_hidden_layers'])
  writer.add_context_length(config['max_position_embeddings'])
  writer.add_embedding_length(config['hidden_size'])
  writer.add_feed_forward_length(config['intermediate_size'])
  writer.add_head_count(config['num_attention_heads'])
  writer.add_head_count_kv(config['num_key_value_heads'])
  writer.add_layer_norm_rms_eps(config['rms_norm_eps'])
  writer.add_rope_freq_base(config['rope_parameters']['rope_theta'])
  writer.add_tokenizer_model('gpt2')
  writer.add_tokenizer_pre(words)
  writer.add_token_list(TOKENS)
  writer.add_token_types([1] * (len(TOKENS) - 1) + [3])
  writer.add_token_merges(['Ġ t'])
  rng, kept = np.random.default_rng(0), {}
  short = {theirs: name for name, theirs in (NAMES | OF_LAYER).items()}
  for name, tensor in tensors.items():
    if name in ('model.embed_tokens.weight', 'lm_head.weight'):
      shape = len(TOKENS), tensor.shape[1]
      tensor = rng.normal(size=shape).astype(np.float32)
    kept[name] = tensor
    for part, heads in (('q_proj', 4), ('k_proj', 2)):
      if part in name:
        tensor = side_by_side(tensor, heads)
    place = short.get(name, '')
    if name.startswith('model.layers.'):
      _, _, i, *rest, kind = name.split('.')
      place = f'blk.{i}.{short[".".join(rest)]}.{kind}'
    writer.add_tensor(place, tensor)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return kept


def test_a_file_gives_back_what_went_in(tmp_path: Path) -> None:
  path = tmp_path / 'x.gguf'
  kept = write(path)
  found = read_pretrained(path)
  assert found.tensors.keys() == kept.keys()
  for name, tensor in kept.items():
    np.testing.assert_array_equal(found.tensors[name], tensor, name)
  described = golden('llama').pretrained.config | {'vocab_size': len(TOKENS)}
  model, wanted = Llama(found.config).model(), Llama(described).model()
  assert model.pop('epsilon') == pytest.approx(wanted.pop('epsilon'))
  assert model == wanted
  tokenizer = FileTokenizer(found.tokenizer)
  assert tokenizer.vocab == len(TOKENS)
  assert tokenizer.exact
  ids = tokenizer.encode(b'to 27<|end|>')
  assert [TOKENS[i] for i in ids] == ['t', 'o', 'Ġ', '2', '7', '<|end|>']
  assert tokenizer.restore(ids) == b'to 27<|end|>'


def test_words_that_are_not_known_are_refused(tmp_path: Path) -> None:
  path = tmp_path / 'x.gguf'
  write(path, words='another')
  with pytest.raises(ConfigError, match="'another': is not supported"):
    read_pretrained(path)
  path.write_bytes(path.read_bytes()[:60])
  with pytest.raises(ConfigError, match='is damaged'):
    read_pretrained(path)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
  path = tmp_path / 'x.gguf'
  writer: Any = gguf.GGUFWriter(str(path), 'bloom')
  writer.add_tensor('a', np.ones((2, 2), np.float32))
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  with pytest.raises(ConfigError, match=r"'bloom': .*known: llama"):
    read_pretrained(path)
