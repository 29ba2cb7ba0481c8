"""Models whose released weights `--mode=import` reads, as sections `model`.

The fields are those that the import writes into the workdir's `config.json`. A
test compares them.
"""

_SMOLLM2: dict[str, object] = {
  'width': 576,
  'depth': 30,
  'mlp': 1536 / 576,
  'activation': 'swiglu',
  'norm': 'rms',
  'epsilon': 1e-5,
  'bias': False,
  'layer': {
    'name': 'transformer.SlidingAttention',
    'head_width': 64,
    'window': 1023,
    'key_heads': 3,
    'positions': 'rotary',
    'rotary_base': 1e5,
    'bias': False,
  },
}
_GPT2: dict[str, object] = {
  'width': 768,
  'depth': 12,
  'mlp': 4.0,
  'epsilon': 1e-5,
  'positions': 'learned',
  'layer': {
    'name': 'transformer.BlockAttention',
    'head_width': 64,
    'window': 1024,
  },
}
_BOTH_WAYS: dict[str, object] = {
  'name': 'full_attention.FullAttention',
  'head_width': 64,
}
_BERT: dict[str, object] = {
  'width': 768,
  'depth': 12,
  'wiring': 'post_norm',
  'mlp': 4.0,
  'activation': 'gelu_exact',
  'epsilon': 1e-12,
  'embedding_norm': True,
  'token_types': 2,
  'positions': 'learned',
  'max_positions': 512,
  'layer': _BOTH_WAYS,
}
_MINILM_LAYER = _BOTH_WAYS | {'head_width': 32}
_MODELS: dict[str, dict[str, object]] = {
  'smollm2': _SMOLLM2,
  'minilm': _BERT | {'width': 384, 'depth': 6, 'layer': _MINILM_LAYER},
  'distilgpt2': _GPT2 | {'depth': 6},
  'bert': _BERT,
}
NAMES = tuple(_MODELS)
BOTH_WAYS = ('minilm', 'bert')  # they read both ways, and write nothing


def imported_model(name: str) -> dict[str, object]:
  """A model of NAMES, SmolLM2-135M, all-MiniLM-L6-v2, distilgpt2 or BERT base.

  It reads out with its table of tokens.
  """
  return {'name': 'stack.Stack', 'tie': True, **_MODELS[name]}
