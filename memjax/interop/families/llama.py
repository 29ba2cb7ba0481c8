"""Llama and its kind (SmolLM2, Mistral): rotary, RMS norms, SwiGLU, no biases.

Papers: Touvron et al. 2023, https://arxiv.org/abs/2302.13971; heads that share
keys, Ainslie et al. 2023, https://arxiv.org/abs/2305.13245. Rotations turn
channel i together with channel i + K / 2, as ours do; a GGUF file has them side
by side (`gguf_file.py`). Attention slides: each token sees the `window` before
it, at most `MOST` unless the config says otherwise, where Llama ends with its
context.
"""

import dataclasses
from typing import Any, ClassVar

from memjax.errors import require
from memjax.interop.family import Family
from memjax.interop.names import Row

MOST = 1024  # tokens seen, a token's own included: a cache of a sane size


@dataclasses.dataclass(frozen=True)
class Llama(Family):
  """Llama, SmolLM2 and others with the same layers."""

  model_types = ('llama', 'mistral')
  main = 'model.'
  unused: ClassVar = {
    r'model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq': 'a constant'
  }

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers')

  @property
  def tied(self) -> bool:
    return self.field('tie_word_embeddings', False)

  @property
  def heads(self) -> int:
    return self.field('num_attention_heads')

  @property
  def head_width(self) -> int:
    return self.field('head_dim', self.field('hidden_size') // self.heads)

  @property
  def copies(self) -> dict[str, str]:
    """The readout, where it is the table."""
    table = {'lm_head.weight': 'model.embed_tokens.weight'}
    return table if self.tied else {}

  def model(self) -> dict[str, Any]:
    self.wanted(
      hidden_act='silu',
      attention_bias=False,
      mlp_bias=False,
      rope_scaling=None,
    )
    width = self.field('hidden_size')
    context = self.field('max_position_embeddings', MOST)
    rotary = self.field('rope_parameters', {})
    plain = not rotary or rotary['rope_type'] == 'default'
    rule = 'must have the rope_type default: rotations are not scaled'
    require(plain, 'config.json.rope_parameters', rotary, rule)
    base = rotary['rope_theta'] if rotary else self.field('rope_theta', 1e4)
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'mlp': self.field('intermediate_size') / width,
      'activation': 'swiglu',
      'norm': 'rms',
      'epsilon': self.field('rms_norm_eps', 1e-6),
      'bias': False,
      'tie': self.tied,
      'layer': {
        'name': 'transformer.SlidingAttention',
        'head_width': self.head_width,
        'window': min(context, MOST) - 1,
        'key_heads': self.field('num_key_value_heads', self.heads),
        'positions': 'rotary',
        'rotary_base': float(base),
        'bias': False,
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer = model.layer
    heads = model.width // layer.head_width
    return {
      'model_type': cls.model_types[0],
      'architectures': ['LlamaForCausalLM'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth,
      'num_attention_heads': heads,
      'num_key_value_heads': layer.key_heads or heads,
      'head_dim': layer.head_width,
      'intermediate_size': round(model.mlp * model.width),
      'max_position_embeddings': layer.window + 1,
      'rms_norm_eps': model.epsilon,
      'rope_theta': layer.rotary_base,
      'tie_word_embeddings': model.tie,
      'hidden_act': 'silu',
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'model.layers.{i}', 'layer_{i}'
    queries = self.heads * self.head_width
    shared = self.field('num_key_value_heads', self.heads) * self.head_width
    attention, inner = f'{theirs}.self_attn', self.field('intermediate_size')
    joint = [f'{attention}.{name}_proj.weight' for name in 'qkv']
    gates = [f'{theirs}.mlp.{name}_proj.weight' for name in ('gate', 'up')]
    kernels: list[tuple[list[str], str, tuple[int, ...]]] = [
      (joint, 'memory/qkv', (queries, shared, shared)),
      ([f'{attention}.o_proj.weight'], 'memory/output', ()),
      (gates, 'mlp_in', (inner, inner)),
      ([f'{theirs}.mlp.down_proj.weight'], 'mlp_out', ()),
    ]
    readout = Row('lm_head.weight', 'readout/kernel', transposed=True)
    return (
      Row('model.embed_tokens.weight', 'encoder/embedding/embedding'),
      Row(f'{theirs}.input_layernorm.weight', f'{ours}/memory_norm/scale'),
      Row(
        f'{theirs}.post_attention_layernorm.weight', f'{ours}/mlp_norm/scale'
      ),
      *(
        Row(' '.join(names), f'{ours}/{leaf}/kernel', True, parts)
        for names, leaf, parts in kernels
      ),
      Row('model.norm.weight', 'norm/scale'),
      *([] if self.tied else [readout]),
    )
