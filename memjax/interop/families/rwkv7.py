"""RWKV-7: time mix and channel mix are two layers of ours, a norm comes first.

Paper: Peng et al. 2025, https://arxiv.org/abs/2503.14456; tensors as in its
authors' checkpoints, which have no config.json: write one with `model_type`
rwkv7, `vocab_size`, `hidden_size`, `num_hidden_layers` and `intermediate_size`
of the channel mix. Ranks are those of the authors' code. The lowest layer hands
its values up, so what would mix them there is unused.
"""

import dataclasses
from typing import Any, ClassVar

from memjax.interop.family import Family
from memjax.interop.names import Row, norm

HEAD_WIDTH = 64  # its norm's epsilon is 1e-5 times as large
# Their letter, our name, the lowest layer.
LOW_RANK = (('w', 'decay', 0), ('a', 'rate', 0), ('v', 'first', 1))


@dataclasses.dataclass(frozen=True)
class RWKV7(Family):
  """RWKV-7."""

  model_types = ('rwkv7',)
  unused: ClassVar = {r'blocks\.0\.att\.v[012]': 'mixes values with themselves'}

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers')

  def model(self) -> dict[str, Any]:
    width = self.field('hidden_size')
    self.wanted(head_dim=HEAD_WIDTH, norm_eps=1e-5)
    ratio = self.field('intermediate_size', 4 * width) / width
    mix = {'name': 'channel_mix.ChannelMix', 'ratio': ratio}
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': 2 * self.depth,
      'epsilon': 1e-5,
      'bias': False,
      'embedding_norm': True,
      'pattern': 'layer channel_mix',
      'others': {'channel_mix': mix},
      'layer': {'name': 'rwkv7.RWKV7', 'head_width': HEAD_WIDTH},
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    ratio = getattr(model.others.get('channel_mix'), 'ratio', 0.0)
    return {
      'model_type': cls.model_types[0],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth // 2,
      'intermediate_size': int(ratio * model.width),
      'head_dim': model.layer.head_width,
      'norm_eps': model.epsilon,
    }

  def rows(self) -> tuple[Row, ...]:
    width = self.field('hidden_size')
    theirs, ours = 'blocks.{i}.att', 'layer_{even}/memory'
    mix, channel = 'blocks.{i}.ffn', 'layer_{odd}/memory'
    vector = 1, 1, width
    heads = width // HEAD_WIDTH, HEAD_WIDTH
    shares = ' '.join(f'{theirs}.x_{name}' for name in 'rwkvag')
    return (
      Row('emb.weight', 'encoder/embedding/embedding'),
      *norm('blocks.0.ln0', 'embedding_norm'),
      *norm('blocks.{i}.ln1', 'layer_{even}/memory_norm'),
      *norm('blocks.{i}.ln2', 'layer_{odd}/memory_norm'),
      Row(shares, f'{ours}/shifts', parts=(width,) * 6, shape=vector),
      *(
        Row(f'{place}.{name}.weight', f'{leaf}/{name}/kernel', transposed=True)
        for place, leaf, names in (
          (theirs, ours, ('receptance', 'key', 'value', 'output')),
          (mix, channel, ('key', 'value')),
        )
        for name in names
      ),
      *(
        row
        for name, leaf, first in LOW_RANK
        for row in (
          Row(f'{theirs}.{name}0', f'{ours}/{leaf}', shape=vector, first=first),
          Row(f'{theirs}.{name}1', f'{ours}/{leaf}_low/kernel', first=first),
          Row(f'{theirs}.{name}2', f'{ours}/{leaf}_high/kernel', first=first),
        )
      ),
      Row(f'{theirs}.g1', f'{ours}/gate_low/kernel'),
      Row(f'{theirs}.g2', f'{ours}/gate_high/kernel'),
      Row(f'{theirs}.k_k', f'{ours}/erase', shape=vector),
      Row(f'{theirs}.k_a', f'{ours}/key_share', shape=vector),
      Row(f'{theirs}.r_k', f'{ours}/own', shape=heads),
      *norm(f'{theirs}.ln_x', f'{ours}/norm'),
      Row(f'{mix}.x_k', f'{channel}/shift', shape=vector),
      *norm('ln_out', 'norm'),
      Row('head.weight', 'readout/kernel', transposed=True),
    )
