"""Mamba: blocks of norm and memory, no MLP; the table is tied.

Paper: Gu & Dao 2023, https://arxiv.org/abs/2312.00752; tensors as in the
checkpoints that end in -hf. Our rates are one vector, theirs are
(channels, numbers).
"""

import dataclasses
from typing import Any

from memjax.interop.family import Family
from memjax.interop.names import Row


@dataclasses.dataclass(frozen=True)
class Mamba(Family):
  """Mamba."""

  model_types = ('mamba',)
  main = 'backbone.'

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers')

  @property
  def copies(self) -> dict[str, str]:
    """The readout, which is the table."""
    return {'lm_head.weight': 'backbone.embeddings.weight'}

  def model(self) -> dict[str, Any]:
    width = self.field('hidden_size')
    self.wanted(
      use_bias=False,
      use_conv_bias=True,
      hidden_act='silu',
      tie_word_embeddings=True,
      time_step_rank=-(-width // 16),
      intermediate_size=self.field('expand', 2) * width,
    )
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'norm': 'rms',
      'epsilon': self.field('layer_norm_epsilon', 1e-5),
      'tie': True,
      'layer': {
        'name': 'mamba.Mamba',
        'state_width': self.field('state_size', 16),
        'expand': self.field('expand', 2),
        'taps': self.field('conv_kernel', 4),
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer = model.layer
    return {
      'model_type': cls.model_types[0],
      'architectures': ['MambaForCausalLM'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth,
      'state_size': layer.state_width,
      'expand': layer.expand,
      'intermediate_size': layer.expand * model.width,
      'time_step_rank': -(-model.width // 16),
      'conv_kernel': layer.taps,
      'layer_norm_epsilon': model.epsilon,
      'use_bias': False,
      'use_conv_bias': True,
      'tie_word_embeddings': True,
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'backbone.layers.{i}.mixer', 'layer_{i}/memory'
    channels = self.field('expand', 2) * self.field('hidden_size')
    taps = channels, 1, self.field('conv_kernel', 4)
    rates = channels, self.field('state_size', 16)
    kernels = {
      'in_proj': 'input/kernel',
      'x_proj': 'selection/kernel',
      'dt_proj': 'step_kernel',
      'out_proj': 'output/kernel',
    }
    convolution = f'{ours}/convolution'
    return (
      Row('backbone.embeddings.weight', 'encoder/embedding/embedding'),
      Row('backbone.layers.{i}.norm.weight', 'layer_{i}/memory_norm/scale'),
      *(
        Row(f'{theirs}.{name}.weight', f'{ours}/{leaf}', transposed=True)
        for name, leaf in kernels.items()
      ),
      Row(f'{theirs}.conv1d.weight', f'{convolution}/kernel', True, (), taps),
      Row(f'{theirs}.conv1d.bias', f'{convolution}/bias'),
      Row(f'{theirs}.dt_proj.bias', f'{ours}/step_bias'),
      Row(f'{theirs}.A_log', f'{ours}/log_rate', shape=rates),
      Row(f'{theirs}.D', f'{ours}/skip'),
      Row('backbone.norm_f.weight', 'norm/scale'),
    )
