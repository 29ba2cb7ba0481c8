"""RecurrentGemma: Griffin, two RG-LRU blocks to each of local attention.

Paper: De et al. 2024, https://arxiv.org/abs/2402.19427; Botev et al. 2024,
https://arxiv.org/abs/2404.07839. Gains of the norms are 1 + w. The scale of the
embedding is sqrt(D) in bfloat16, as the released weights were trained.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp

from memjax.errors import require
from memjax.interop.family import Family
from memjax.interop.names import Row, linear

NAMES = {'recurrent': 'layer', 'attention': 'attention'}


@dataclasses.dataclass(frozen=True)
class RecurrentGemma(Family):
  """RecurrentGemma."""

  model_types = ('recurrent_gemma',)
  main = 'model.'

  @property
  def vocab(self) -> int:
    return self.field('vocab_size', 256_000)

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers', 26)

  @property
  def width(self) -> int:
    return self.field('hidden_size', 2560)

  @property
  def heads(self) -> int:
    return self.field('num_attention_heads', 10)

  @property
  def key_heads(self) -> int:
    return self.field('num_key_value_heads', self.heads)

  @property
  def units(self) -> int:
    return self.field('lru_width', self.width)

  @property
  def inner(self) -> int:
    """Hidden units of the MLP; their `intermediate_size` counts both halves."""
    return self.field('intermediate_size', 7680) // 2

  @property
  def blocks(self) -> list[str]:
    """What each layer of the pattern is: 'recurrent' or 'attention'."""
    default = ['recurrent', 'recurrent', 'attention']
    blocks = [*self.field('block_types', default)]
    rule = "must hold 'recurrent' and 'attention', and nothing else"
    both = {*blocks} == {*NAMES}
    require(both, 'config.json.block_types', blocks, rule)
    return blocks

  @property
  def rotary(self) -> dict[str, Any]:
    """Base and share of the turned channels."""
    found = {'rope_type': 'default', 'rope_theta': 1e4}
    found |= {
      name: self.described[name]
      for name in ('rope_theta', 'partial_rotary_factor')
      if name in self.described
    }
    found |= self.field('rope_parameters', {})
    rule = 'must have the rope_type default: rotations are not scaled'
    plain = found['rope_type'] == 'default'
    require(plain, 'config.json.rope_parameters', found, rule)
    return {'partial_rotary_factor': 0.5} | found

  @property
  def copies(self) -> dict[str, str]:
    """The readout, which is the table."""
    return {'lm_head.weight': 'model.embed_tokens.weight'}

  def model(self) -> dict[str, Any]:
    self.wanted(
      hidden_activation='gelu_pytorch_tanh',
      attention_bias=False,
      tie_word_embeddings=True,
    )
    width, heads, rotary = self.width, self.heads, self.rotary
    rule = f'must divide hidden_size, {width}, and lru_width, {self.units}'
    whole = width % heads == 0 and self.units % heads == 0
    require(whole, 'config.json.num_attention_heads', heads, rule)
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'pattern': ' '.join(NAMES[block] for block in self.blocks),
      'mlp': self.inner / width,
      'activation': 'geglu',
      'norm': 'rms_offset',
      'epsilon': self.field('rms_norm_eps', 1e-6),
      'tie': True,
      'softcap': self.field('logits_soft_cap', 30.0),
      'embedding_scale': scale(width),
      'layer': {
        'name': 'rg_lru.RGLRU',
        'head_width': self.units // heads,
        'taps': self.field('conv1d_width', 4),
        'units': self.units,
        'scale_first': False,
      },
      'others': {
        'attention': {
          'name': 'transformer.SlidingAttention',
          'head_width': width // heads,
          'window': self.field('attention_window_size', 2048) - 1,
          'key_heads': self.key_heads,
          'positions': 'rotary',
          'rotary_share': float(rotary['partial_rotary_factor']),
          'rotary_base': float(rotary['rope_theta']),
          'bias': False,
          'output_bias': True,
        }
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer, attention = model.layer, model.others['attention']
    kinds = {ours: theirs for theirs, ours in NAMES.items()}
    heads = model.width // attention.head_width
    return {
      'model_type': cls.model_types[0],
      'architectures': ['RecurrentGemmaForCausalLM'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth,
      'num_attention_heads': heads,
      'num_key_value_heads': attention.key_heads or heads,
      'intermediate_size': 2 * round(model.mlp * model.width),
      'lru_width': layer.units,
      'conv1d_width': layer.taps,
      'block_types': [kinds[name] for name in model.pattern.split()],
      'attention_window_size': attention.window + 1,
      'rope_parameters': {
        'rope_type': 'default',
        'rope_theta': attention.rotary_base,
        'partial_rotary_factor': attention.rotary_share,
      },
      'rms_norm_eps': model.epsilon,
      'logits_soft_cap': model.softcap,
      'hidden_activation': 'gelu_pytorch_tanh',
      'attention_bias': False,
      'tie_word_embeddings': True,
    }

  def rows(self) -> tuple[Row, ...]:
    blocks = self.blocks
    of_kind = {'recurrent': self.recurrent(), 'attention': self.attention()}
    return (
      Row('model.embed_tokens.weight', 'encoder/embedding/embedding'),
      *(
        row.in_layer(i)
        for i in range(self.depth)
        for row in (*of_kind[blocks[i % len(blocks)]], *self.around())
      ),
      Row('model.final_norm.weight', 'norm/scale'),
    )

  def around(self) -> list[Row]:
    """The norms and the MLP of a layer."""
    theirs, ours = 'model.layers.{i}', 'layer_{i}'
    mlp, parts = f'{theirs}.mlp_block', (self.inner, self.inner)
    both = f'{mlp}.gate_proj', f'{mlp}.up_proj'
    return [
      Row(f'{theirs}.temporal_pre_norm.weight', f'{ours}/memory_norm/scale'),
      Row(f'{theirs}.channel_pre_norm.weight', f'{ours}/mlp_norm/scale'),
      Row(names(both, 'weight'), f'{ours}/mlp_in/kernel', True, parts),
      Row(names(both, 'bias'), f'{ours}/mlp_in/bias', parts=parts),
      *linear(f'{mlp}.down_proj', f'{ours}/mlp_out', transposed=True),
    ]

  def recurrent(self) -> list[Row]:
    """An RG-LRU block."""
    theirs, ours = 'model.layers.{i}.temporal_block', 'layer_{i}/memory'
    taps = self.units, 1, self.field('conv1d_width', 4)
    block = self.units // self.heads
    gates = [f'{theirs}.rg_lru.{name}_gate' for name in ('recurrent', 'input')]
    weights, biases = (
      ' '.join(f'{gate}_{kind}' for gate in gates)
      for kind in ('weight', 'bias')
    )
    two, bias = (block, block), (self.heads, block)
    convolution = f'{ours}/convolution'
    return [
      *linear(f'{theirs}.linear_y', f'{ours}/branch', transposed=True),
      *linear(f'{theirs}.linear_x', f'{ours}/input', transposed=True),
      *linear(f'{theirs}.linear_out', f'{ours}/output', transposed=True),
      Row(f'{theirs}.conv_1d.weight', f'{convolution}/kernel', True, (), taps),
      Row(f'{theirs}.conv_1d.bias', f'{convolution}/bias'),
      Row(f'{theirs}.rg_lru.recurrent_param', f'{ours}/decay'),
      Row(weights, f'{ours}/gate_kernel', parts=two),
      Row(biases, f'{ours}/gate_bias', parts=two, shape=bias),
    ]

  def attention(self) -> list[Row]:
    """A block of local attention."""
    theirs, ours = 'model.layers.{i}.temporal_block', 'layer_{i}/memory'
    three = [f'{theirs}.{name}_proj' for name in 'qkv']
    shared = self.width // self.heads * self.key_heads
    parts = self.width, shared, shared
    return [
      Row(names(three, 'weight'), f'{ours}/qkv/kernel', True, parts),
      *linear(f'{theirs}.o_proj', f'{ours}/output', transposed=True),
    ]


def names(maps: Any, kind: str) -> str:
  """The names of these maps' tensors of a kind."""
  return ' '.join(f'{name}.{kind}' for name in maps)


def scale(width: int) -> float:
  """sqrt(D) in bfloat16."""
  return float(jnp.bfloat16(width**0.5))
