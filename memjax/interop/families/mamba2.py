"""Mamba-2: blocks of norm and memory, no MLP; one group of keys.

Paper: Dao & Gu 2024, https://arxiv.org/abs/2405.21060; tensors as in the
checkpoints that end in -hf.
"""

import dataclasses
import math
from typing import Any

from memjax.errors import require
from memjax.interop.family import Family
from memjax.interop.names import Row

EPSILON = 1e-5  # of the norm inside our layer


@dataclasses.dataclass(frozen=True)
class Mamba2(Family):
  """Mamba-2."""

  model_types = ('mamba2',)
  main = 'backbone.'

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
  def copies(self) -> dict[str, str]:
    """The readout, where it is the table."""
    table = {'lm_head.weight': 'backbone.embeddings.weight'}
    return table if self.tied else {}

  def model(self) -> dict[str, Any]:
    width, expand = self.field('hidden_size'), self.field('expand', 2)
    head_width = self.field('head_dim', 64)
    self.wanted(
      n_groups=1,
      use_bias=False,
      use_conv_bias=True,
      hidden_act='silu',
      layer_norm_epsilon=EPSILON,
      num_heads=expand * width / head_width,
    )
    limits = self.field('time_step_limit', [0.0, math.inf])
    low, high = map(float, limits)
    rule = 'must be [0, Infinity]: our steps have no limits'
    free = low <= 0 and high == math.inf
    require(free, 'config.json.time_step_limit', limits, rule)
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'norm': 'rms',
      'epsilon': EPSILON,
      'bias': False,
      'tie': self.tied,
      'layer': {
        'name': 'mamba2.Mamba2',
        'head_width': head_width,
        'state_width': self.field('state_size', 128),
        'expand': expand,
        'taps': self.field('conv_kernel', 4),
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer = model.layer
    return {
      'model_type': cls.model_types[0],
      'architectures': ['Mamba2ForCausalLM'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth,
      'num_heads': layer.expand * model.width // layer.head_width,
      'head_dim': layer.head_width,
      'n_groups': 1,
      'state_size': layer.state_width,
      'expand': layer.expand,
      'conv_kernel': layer.taps,
      'layer_norm_epsilon': EPSILON,
      'use_bias': False,
      'use_conv_bias': True,
      'tie_word_embeddings': model.tie,
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'backbone.layers.{i}.mixer', 'layer_{i}/memory'
    inner = self.field('expand', 2) * self.field('hidden_size')
    channels = inner + 2 * self.field('state_size', 128)
    taps = channels, 1, self.field('conv_kernel', 4)
    convolution = f'{ours}/convolution'
    readout = Row('lm_head.weight', 'readout/kernel', transposed=True)
    return (
      Row('backbone.embeddings.weight', 'encoder/embedding/embedding'),
      Row('backbone.layers.{i}.norm.weight', 'layer_{i}/memory_norm/scale'),
      Row(f'{theirs}.in_proj.weight', f'{ours}/input/kernel', transposed=True),
      Row(f'{theirs}.conv1d.weight', f'{convolution}/kernel', True, (), taps),
      Row(f'{theirs}.conv1d.bias', f'{convolution}/bias'),
      Row(f'{theirs}.A_log', f'{ours}/decay/log_rate'),
      Row(f'{theirs}.dt_bias', f'{ours}/decay/bias'),
      Row(f'{theirs}.D', f'{ours}/skip'),
      Row(f'{theirs}.norm.weight', f'{ours}/norm/scale'),
      Row(
        f'{theirs}.out_proj.weight', f'{ours}/output/kernel', transposed=True
      ),
      Row('backbone.norm_f.weight', 'norm/scale'),
      *([] if self.tied else [readout]),
    )
