"""GPT-2: learned positions, pre-norm, tied table; kernels (inputs, outputs).

Paper: Radford et al. 2019. The queries, keys and values of `c_attn` lie side by
side as in our `qkv`. The context of the model is a block: positions start anew
after `n_positions` tokens, where GPT-2 stops.
"""

import dataclasses
from typing import Any, ClassVar

from memjax.interop.family import Family
from memjax.interop.names import Row, linear, norm


@dataclasses.dataclass(frozen=True)
class GPT2(Family):
  """GPT-2 and distilgpt2."""

  model_types = ('gpt2',)
  main = 'transformer.'
  unused: ClassVar = {
    r'transformer\.h\.\d+\.attn\.(bias|masked_bias)': 'masks, no parameters'
  }

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('n_layer')

  @property
  def copies(self) -> dict[str, str]:
    """The readout, which is the table."""
    return {'lm_head.weight': 'transformer.wte.weight'}

  def model(self) -> dict[str, Any]:
    width, inner = self.field('n_embd'), self.field('n_inner', 0)
    self.wanted(
      activation_function='gelu_new',
      scale_attn_weights=True,
      scale_attn_by_inverse_layer_idx=False,
      add_cross_attention=False,
      tie_word_embeddings=True,
    )
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'mlp': (inner or 4 * width) / width,
      'epsilon': self.field('layer_norm_epsilon', 1e-5),
      'tie': True,
      'positions': 'learned',
      'layer': {
        'name': 'transformer.BlockAttention',
        'head_width': width // self.field('n_head'),
        'window': self.field('n_positions'),
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer = model.layer
    return {
      'model_type': cls.model_types[0],
      'architectures': ['GPT2LMHeadModel'],
      'vocab_size': vocab,
      'n_embd': model.width,
      'n_layer': model.depth,
      'n_head': model.width // layer.head_width,
      'n_inner': round(model.mlp * model.width),
      'n_positions': layer.window,
      'layer_norm_epsilon': model.epsilon,
      'activation_function': 'gelu_new',
      'tie_word_embeddings': True,
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'transformer.h.{i}', 'layer_{i}'
    return (
      Row('transformer.wte.weight', 'encoder/embedding/embedding'),
      Row('transformer.wpe.weight', 'positions/table/embedding'),
      *norm(f'{theirs}.ln_1', f'{ours}/memory_norm'),
      *linear(f'{theirs}.attn.c_attn', f'{ours}/memory/qkv'),
      *linear(f'{theirs}.attn.c_proj', f'{ours}/memory/output'),
      *norm(f'{theirs}.ln_2', f'{ours}/mlp_norm'),
      *linear(f'{theirs}.mlp.c_fc', f'{ours}/mlp_in'),
      *linear(f'{theirs}.mlp.c_proj', f'{ours}/mlp_out'),
      *norm('transformer.ln_f', 'norm'),
    )
