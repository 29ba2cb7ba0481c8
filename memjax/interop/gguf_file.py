"""GGUF files of the Llama kind, read by the `gguf` package.

It is the extra `pretrained`. Quantised tensors come out as float32. Names
become those of the family `llama`, and the rows of queries and keys go back: a
GGUF file has the two channels that a rotation turns side by side, the family
has them half a head apart.
"""

from pathlib import Path
from typing import Any

import numpy as np

from memjax.errors import ConfigError, require
from memjax.interop.tokenizer_files import byte_level

PRE = {'gpt-2': False, 'default': False, 'smollm': True}  # digits apart?
CONTROL, USER_DEFINED = 3, 4  # kinds of tokens that are taken whole
NAMES = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}
OF_LAYER = {
  'attn_norm': 'input_layernorm',
  'attn_q': 'self_attn.q_proj',
  'attn_k': 'self_attn.k_proj',
  'attn_v': 'self_attn.v_proj',
  'attn_output': 'self_attn.o_proj',
  'ffn_norm': 'post_attention_layernorm',
  'ffn_gate': 'mlp.gate_proj',
  'ffn_up': 'mlp.up_proj',
  'ffn_down': 'mlp.down_proj',
}


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
  """The config.json, tensors and tokenizer.json of the family `llama`.

  Raises:
    ConfigError: the package is missing, or the file is damaged or of another
      family.
  """
  try:
    import gguf
  except ImportError:
    rule = "needs the gguf package: pip install 'memjax[pretrained]'"
    raise ConfigError('from', str(path), rule) from None
  try:
    reader = gguf.GGUFReader(str(path))
  except (ValueError, OSError, IndexError) as error:
    line = (str(error).splitlines() or [''])[0]
    raise ConfigError('from', str(path), f'is damaged: {line}') from None
  fields = {name: field.contents() for name, field in reader.fields.items()}
  kind = fields.get('general.architecture')
  rule = 'is not a family that is read from GGUF; known: llama'
  require(kind == 'llama', 'general.architecture', kind, rule)
  config = config_of(fields, {tensor.name for tensor in reader.tensors})
  tensors = {}
  for tensor in reader.tensors:
    array = gguf.dequantize(tensor.data, tensor.tensor_type)
    # GGUF counts axes from the last one.
    array = array.reshape([int(n) for n in reversed(tensor.shape)])
    name = name_of(tensor.name)
    for part, heads in (('q', 'attention'), ('k', 'key_value')):
      if name.endswith(f'self_attn.{part}_proj.weight'):
        array = halves(array, config[f'num_{heads}_heads'])
    tensors[name] = array
  return config, tensors, tokenizer_of(fields)


def config_of(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
  """The config.json that a file's fields describe.

  Raises:
    ConfigError: a field is missing.
  """

  def field(name: str) -> Any:
    require(f'llama.{name}' in fields, f'llama.{name}', '', 'must be given')
    return fields[f'llama.{name}']

  heads = field('attention.head_count')
  scaled = [name for name in fields if name.startswith('llama.rope.scaling.')]
  rule = 'is not supported: rotations must not be scaled'
  require(not scaled, 'llama.rope', scaled, rule)
  config = {
    'model_type': 'llama',
    'vocab_size': len(fields['tokenizer.ggml.tokens']),
    'hidden_size': field('embedding_length'),
    'num_hidden_layers': field('block_count'),
    'num_attention_heads': heads,
    'num_key_value_heads': fields.get('llama.attention.head_count_kv', heads),
    'head_dim': field('embedding_length') // heads,
    'intermediate_size': field('feed_forward_length'),
    'max_position_embeddings': field('context_length'),
    'rms_norm_eps': field('attention.layer_norm_rms_epsilon'),
    'rope_theta': fields.get('llama.rope.freq_base', 10_000.0),
    'tie_word_embeddings': 'output.weight' not in names,
    'hidden_act': 'silu',
  }
  turned = fields.get('llama.rope.dimension_count', config['head_dim'])
  rule = f'must be the width of a head, {config["head_dim"]}'
  same = turned == config['head_dim']
  require(same, 'llama.rope.dimension_count', turned, rule)
  return config


def name_of(name: str) -> str:
  """The family's name of a tensor; a name that it does not have stays."""
  block, _, rest = name.removeprefix('blk.').partition('.')
  part, _, kind = rest.partition('.')
  if name.startswith('blk.') and part in OF_LAYER:
    return f'model.layers.{block}.{OF_LAYER[part]}.{kind}'
  return NAMES.get(name, name)


def halves(kernel: np.ndarray, heads: int) -> np.ndarray:
  """Rows of each head with the first of all pairs before the second ones."""
  outputs, inputs = kernel.shape
  pairs = kernel.reshape(heads, outputs // heads // 2, 2, inputs)
  return pairs.swapaxes(1, 2).reshape(outputs, inputs)


def tokenizer_of(fields: dict[str, Any]) -> str:
  """The tokenizer.json that a file's fields describe.

  Raises:
    ConfigError: the tokenizer is not a byte-level BPE that is known.
  """
  kind = fields.get('tokenizer.ggml.model')
  rule = 'is not supported: put the model as safetensors with tokenizer.json'
  require(kind == 'gpt2', 'tokenizer.ggml.model', kind, rule)
  words = fields.get('tokenizer.ggml.pre', 'default')
  require(words in PRE, 'tokenizer.ggml.pre', words, rule)
  from memjax.data.bpe import import_library

  library = import_library('tokenizer', 'gguf')
  tokens = fields['tokenizer.ggml.tokens']
  ids = {token: i for i, token in enumerate(tokens)}
  merges = [tuple(m.split(' ')) for m in fields['tokenizer.ggml.merges']]
  content = byte_level(library.models.BPE(ids, merges), digits=PRE[words])
  tokenizer = library.Tokenizer.from_str(content)
  kinds = fields.get('tokenizer.ggml.token_type', [])
  whole = [
    library.AddedToken(token, special=True, normalized=False)
    for token, kind in zip(tokens, kinds, strict=False)
    if kind in (CONTROL, USER_DEFINED)
  ]
  tokenizer.add_special_tokens(whole)
  return str(tokenizer.to_str())
