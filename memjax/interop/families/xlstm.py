"""xLSTM: the layout of xLSTM-7B, blocks of mLSTM and a gated MLP.

Paper: Beck et al. 2025, https://arxiv.org/abs/2503.13427. Queries, keys, values
and output gates lie side by side in ours, as in files of `weight_mode` fused;
those of `weight_mode` single have a tensor of each.
"""

import dataclasses
from typing import Any

from memjax.errors import require
from memjax.interop.family import Family
from memjax.interop.names import Row


@dataclasses.dataclass(frozen=True)
class XLSTM(Family):
  """xLSTM."""

  model_types = ('xlstm',)
  main = 'backbone.'

  @property
  def vocab(self) -> int:
    return self.field('vocab_size', 50_304)

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers', self.field('num_blocks', 32))

  @property
  def width(self) -> int:
    return self.field('hidden_size', self.field('embedding_dim', 4096))

  @property
  def heads(self) -> int:
    return self.field('num_heads', 8)

  @property
  def keys(self) -> int:
    """Channels of the queries of all heads."""
    return int(self.width * self.field('qk_dim_factor', 0.5))

  @property
  def inner(self) -> int:
    """Hidden units of the MLP."""
    whole = self.field('ffn_round_up_to_multiple_of', 64)
    units = self.width * self.field('ffn_proj_factor', 2.667)
    return int((units + whole - 1) // whole * whole)

  @property
  def fused(self) -> bool:
    return self.field('weight_mode', 'single') == 'fused'

  def model(self) -> dict[str, Any]:
    self.wanted(
      use_bias=False,
      add_out_norm=True,
      tie_word_embeddings=False,
      v_dim_factor=1.0,
      embedding_dim=self.width,
    )
    mode = self.field('weight_mode', 'single')
    rule = "must be 'single' or 'fused'"
    known = mode in ('single', 'fused')
    require(known, 'config.json.weight_mode', mode, rule)
    width, heads = self.width, self.heads
    rule = f'must divide hidden_size, {width}, and the keys, {self.keys}'
    whole = width % heads == 0 and self.keys % heads == 0
    require(whole, 'config.json.num_heads', heads, rule)
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'mlp': self.inner / width,
      'activation': 'swiglu',
      'norm': 'rms',
      'epsilon': self.field('norm_eps', 1e-6),
      'bias': False,
      'softcap': self.field('output_logit_soft_cap', 30.0),
      'layer': {
        'name': 'capped_mlstm.CappedMLSTM',
        'head_width': width // heads,
        'key_width': self.keys // heads,
        'gate_cap': self.field('gate_soft_cap', 15.0),
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer = model.layer
    heads = -(-model.width // layer.head_width)
    keys = layer.key_width or -(-layer.head_width // 2)
    inner = round(model.mlp * model.width)
    return {
      'model_type': cls.model_types[0],
      'architectures': ['xLSTMForCausalLM'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'embedding_dim': model.width,
      'num_hidden_layers': model.depth,
      'num_blocks': model.depth,
      'num_heads': heads,
      'qk_dim_factor': heads * keys / model.width,
      'v_dim_factor': 1.0,
      'ffn_proj_factor': inner / model.width,
      'ffn_round_up_to_multiple_of': 1,
      'norm_eps': model.epsilon,
      'gate_soft_cap': layer.gate_cap,
      'output_logit_soft_cap': model.softcap,
      'weight_mode': 'single',
      'use_bias': False,
      'add_out_norm': True,
      'tie_word_embeddings': False,
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'backbone.blocks.{i}', 'layer_{i}'
    layer, memory, mlp = (
      f'{theirs}.mlstm_layer',
      f'{ours}/memory',
      f'{theirs}.ffn',
    )
    width, keys, heads = self.width, self.keys, self.heads
    return (
      Row('backbone.embeddings.weight', 'encoder/embedding/embedding'),
      Row(f'{theirs}.norm_mlstm.weight', f'{ours}/memory_norm/scale'),
      self.joint(
        *(f'{layer}.qkv_opreact', f'{layer}.', 'q k v ogate_preact'),
        *(f'{memory}/qkvo/kernel', (keys, keys, width, width)),
      ),
      *(
        self.joint(
          *(f'{layer}.ifgate_preact', f'{layer}.', 'igate_preact fgate_preact'),
          *(f'{memory}/gates/{leaf}', (heads, heads), kind),
        )
        for kind, leaf in (('weight', 'kernel'), ('bias', 'bias'))
      ),
      Row(f'{layer}.multihead_norm.weight', f'{memory}/gain'),
      Row(f'{layer}.out_proj.weight', f'{memory}/down/kernel', True),
      Row(f'{theirs}.norm_ffn.weight', f'{ours}/mlp_norm/scale'),
      self.joint(
        *(f'{mlp}.proj_up_gate_z', f'{mlp}.', 'proj_up_gate proj_up'),
        *(f'{ours}/mlp_in/kernel', (self.inner, self.inner)),
      ),
      Row(f'{mlp}.proj_down.weight', f'{ours}/mlp_out/kernel', True),
      Row('backbone.out_norm.weight', 'norm/scale'),
      Row('lm_head.weight', 'readout/kernel', True),
    )

  def joint(
    self,
    fused: str,
    place: str,
    names: str,
    ours: str,
    parts: tuple[int, ...],
    kind: str = 'weight',
  ) -> Row:
    """A leaf that is one tensor in fused files, and several in others."""
    matrix = kind == 'weight'
    if self.fused:
      return Row(f'{fused}.{kind}', ours, matrix)
    single = ' '.join(f'{place}{name}.{kind}' for name in names.split())
    return Row(single, ours, matrix, parts)
