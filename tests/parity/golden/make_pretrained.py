"""Writes small models of `transformers` with random weights, as golden values.

    python tests/parity/golden/make_pretrained.py [FAMILY ...]

(needs torch and transformers 5.) `pretrained_FAMILY.npz` holds under `w/` each
tensor as the family names it, the text of `config.json`, token ids `(2, T)` and
`y`: logits, or the last hidden states of BERT.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch
import transformers

ROWS, STEPS, VOCAB = 2, 20, 48
FOLDER = pathlib.Path(__file__).parent
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
  'gpt2': (
    'GPT2LMHeadModel',
    {'n_embd': 32, 'n_layer': 2, 'n_head': 4, 'n_positions': 24},
  ),
  'llama': (
    'LlamaForCausalLM',
    {
      'hidden_size': 32,
      'intermediate_size': 48,
      'num_hidden_layers': 2,
      'num_attention_heads': 4,
      'num_key_value_heads': 2,
      'max_position_embeddings': 24,
      'rms_norm_eps': 1e-5,
      'rope_theta': 100.0,
      'tie_word_embeddings': False,
    },
  ),
  'bert': (
    'BertModel',
    {
      'hidden_size': 32,
      'intermediate_size': 64,
      'num_hidden_layers': 2,
      'num_attention_heads': 4,
      'max_position_embeddings': 24,
    },
  ),
  'mamba': (
    'MambaForCausalLM',
    {'hidden_size': 32, 'num_hidden_layers': 2, 'state_size': 4},
  ),
  'mamba2': (
    'Mamba2ForCausalLM',
    {
      'hidden_size': 32,
      'num_hidden_layers': 2,
      'state_size': 8,
      'head_dim': 16,
      'num_heads': 4,
      'n_groups': 1,
      'chunk_size': 8,
      'tie_word_embeddings': True,
    },
  ),
  'recurrent_gemma': (
    'RecurrentGemmaForCausalLM',
    {
      'hidden_size': 32,
      'intermediate_size': 80,
      'num_hidden_layers': 4,
      'num_attention_heads': 4,
      'num_key_value_heads': 1,
      'lru_width': 24,
      'attention_window_size': 6,
    },
  ),
  'xlstm': (
    'xLSTMForCausalLM',
    {
      'hidden_size': 32,
      'num_hidden_layers': 2,
      'num_blocks': 2,
      'num_heads': 2,
      'ffn_proj_factor': 1.25,
      'ffn_round_up_to_multiple_of': 8,
      'gate_soft_cap': 2.0,
      'use_cache': False,  # its sizes are multiples of 64
    },
  ),
}


def draw(model: torch.nn.Module) -> None:
  """Gives each parameter a value of its own that shows in the outputs."""
  rng = torch.Generator().manual_seed(0)
  for parameter in model.parameters():
    noise = torch.randn(parameter.shape, generator=rng)
    if parameter.ndim > 1:
      parameter.data = noise * parameter.shape[-1] ** -0.5
    else:
      parameter.data += 0.2 * noise


def golden(family: str) -> dict[str, Any]:
  """Weights, inputs and outputs of one family."""
  name, sizes = SIZES[family]
  torch.manual_seed(0)
  config = transformers.AutoConfig.for_model(
    family,
    vocab_size=VOCAB,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=0,
    **sizes,
  )
  model = getattr(transformers, name)(config).eval()
  draw(model)
  rng = torch.Generator().manual_seed(1)
  ids = torch.randint(1, VOCAB, (ROWS, STEPS), generator=rng)
  with torch.no_grad():
    y = model(ids)[0]
  found = {f'w/{n}': t.numpy() for n, t in model.state_dict().items()}
  text = json.dumps(config.to_diff_dict(), sort_keys=True)
  return found | {
    'config': np.array(text),
    'ids': ids.numpy().astype(np.int32),
    'y': y.numpy(),
  }


if __name__ == '__main__':
  for family in sys.argv[1:] or SIZES:
    path = FOLDER / f'pretrained_{family}.npz'
    np.savez_compressed(path, **golden(family))
    print(path, path.stat().st_size)
