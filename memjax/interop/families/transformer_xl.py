"""Transformer-XL: adaptive softmax and embedding, memories of hidden states.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860; tensors as in
transfo-xl-wt103. With `same_length` each token sees `mem_len` tokens, its own
among them, else also its segment. `transformers` begins with a memory of zeros
that is read; the authors' code and ours begin without one.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

from memjax.errors import require
from memjax.interop.family import Family
from memjax.interop.names import Row, linear, norm


@dataclasses.dataclass(frozen=True)
class TransformerXL(Family):
  """Transformer-XL as `transformers` has it.

  Attributes:
    defaults: of fields that config.json may leave out.
    prefix: what stands before the names of the model without its softmax.
    flipped: whether the head's scores of the tails are in descending order.
  """

  model_types = ('transfo-xl',)
  defaults: ClassVar[Mapping[str, Any]] = {
    'vocab_size': 267_735,
    'cutoffs': [20_000, 40_000, 200_000],
    'div_val': 4,
    'd_model': 1024,
    'd_embed': 1024,
    'd_inner': 4096,
    'd_head': 64,
    'n_head': 16,
    'n_layer': 18,
    'mem_len': 1600,
    'same_length': True,
    'clamp_len': 1000,
    'pre_lnorm': False,
    'untie_r': True,
    'tie_weight': True,
    'proj_share_all_but_first': True,
    'layer_norm_epsilon': 1e-5,
  }
  unused: ClassVar = {r'(transformer\.)?pos_emb\.inv_freq': 'a constant'}
  prefix: ClassVar[str] = 'transformer.'
  flipped: ClassVar[bool] = False

  def field(self, name: str, default: Any = None) -> Any:
    return super().field(name, self.defaults.get(name, default))

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('n_layer')

  @property
  def width(self) -> int:
    return self.field('d_model')

  @property
  def cutoffs(self) -> list[int]:
    """The first id of each tail."""
    return [*self.field('cutoffs')]

  @property
  def shrink(self) -> int:
    return self.field('div_val')

  @property
  def first(self) -> int:
    """Width of the first table."""
    return max(self.field('d_embed'), 0) or self.width

  @property
  def projected(self) -> bool:
    return self.shrink > 1 or self.first != self.width

  @property
  def tied(self) -> bool:
    return self.field('tie_word_embeddings', self.field('tie_weight'))

  @property
  def tied_projections(self) -> str:
    """The Stack's `tie_projections`."""
    tails = len(self.cutoffs)
    default = [False] + [self.field('proj_share_all_but_first')] * tails
    which = [*self.field('tie_projs', default), *[False] * tails][: tails + 1]
    if not self.projected or not any(which):
      return 'none'
    rule = 'must be of no, all, or all but the first projection'
    require(all(which[1:]), 'config.json.tie_projs', which, rule)
    return 'all' if which[0] else 'tails'

  @property
  def shared_biases(self) -> bool:
    return not self.field('untie_r')

  @property
  def copies(self) -> dict[str, str]:
    """What the softmax and the layers share."""
    found, table = {}, f'{self.prefix}word_emb.emb_'
    clusters = range(len(self.cutoffs) + 1)
    tables = clusters if self.shrink > 1 else range(1)
    if self.tied:
      for i in tables:
        found[f'crit.out_layers.{i}.weight'] = f'{table}layers.{i}.weight'
    for i in clusters:
      if self.projected and i not in self.own_projections:
        number = i if self.shrink > 1 else 0
        found[f'crit.out_projs.{i}'] = f'{table}projs.{number}'
    if self.shared_biases:
      for i in range(self.depth):
        for name in ('r_w_bias', 'r_r_bias'):
          place = f'{self.prefix}layers.{i}.dec_attn.{name}'
          found[place] = f'{self.prefix}{name}'
    return found

  @property
  def own_projections(self) -> list[int]:
    """Clusters whose projection the softmax does not share."""
    if not self.projected:
      return []
    clusters = len(self.cutoffs) + 1
    number = {'none': clusters, 'tails': 1, 'all': 0}[self.tied_projections]
    return [*range(number)]

  def model(self) -> dict[str, Any]:
    self.wanted(attn_type=0, sample_softmax=-1, adaptive=True)
    width, head_width = self.width, self.field('d_head')
    plain = self.first == width and self.cutoffs
    self.wanted(n_head=-(-width // head_width))
    same, memory = self.field('same_length'), self.field('mem_len')
    rule = 'must be at least 1 with same_length'
    require(memory >= same, 'config.json.mem_len', memory, rule)
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'wiring': 'pre_norm' if self.field('pre_lnorm') else 'post_norm',
      'mlp': self.field('d_inner') / width,
      'activation': 'relu',
      'epsilon': self.field('layer_norm_epsilon'),
      'final_norm': False,
      'tie': self.tied,
      'cutoffs': ' '.join(map(str, self.cutoffs)),
      'shrink': self.shrink,
      'embedding_width': 0 if plain else self.first,
      'tie_projections': self.tied_projections,
      'embedding_scale': width**0.5,
      'layer': {
        'name': 'transformer_xl.TransformerXL',
        'head_width': head_width,
        'window': memory - same,
        'span': 'fixed' if same else 'segment',
        'clamp': max(self.field('clamp_len'), 0),
        'share_biases': self.shared_biases,
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    layer, cutoffs = model.layer, [*map(int, model.cutoffs.split())]
    same = layer.span == 'fixed'
    tied = model.tie_projections
    return {
      'model_type': cls.model_types[0],
      'architectures': ['TransfoXLLMHeadModel'],
      'vocab_size': vocab,
      'cutoffs': cutoffs,
      'div_val': model.shrink,
      'd_model': model.width,
      'd_embed': model.embedding_width or model.width,
      'd_inner': round(model.mlp * model.width),
      'n_layer': model.depth,
      'n_head': -(-model.width // layer.head_width),
      'd_head': layer.head_width,
      'pre_lnorm': model.wiring == 'pre_norm',
      'mem_len': layer.window + same,
      'same_length': same,
      'clamp_len': layer.clamp or -1,
      'untie_r': not layer.share_biases,
      'tie_word_embeddings': model.tie,
      'tie_projs': [tied == 'all'] + [tied != 'none'] * len(cutoffs),
      'proj_share_all_but_first': tied != 'none',
      'layer_norm_epsilon': model.epsilon,
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = f'{self.prefix}layers.{{i}}', 'layer_{i}'
    attention, memory = f'{theirs}.dec_attn', f'{ours}/memory'
    heads, head_width = self.field('n_head'), self.field('d_head')
    joint, of_heads = heads * head_width, (heads, head_width)
    three = f'{memory}/query/kernel {memory}/key {memory}/value'
    first = (
      f'{memory}/norm' if self.field('pre_lnorm') else f'{ours}/memory_norm'
    )
    biases = f'{attention}.', memory
    if self.shared_biases:
      biases = self.prefix, 'layer_0/memory'
    mlp = f'{theirs}.pos_ff.CoreNet'
    return (
      *self.vocabulary(),
      *norm(f'{attention}.layer_norm', first),
      Row(f'{attention}.qkv_net.weight', three, True, (joint,) * 3),
      Row(f'{attention}.r_net.weight', f'{memory}/position', True),
      Row(f'{attention}.o_net.weight', f'{memory}/output/kernel', True),
      Row(f'{biases[0]}r_w_bias', f'{biases[1]}/u', shape=of_heads),
      Row(f'{biases[0]}r_r_bias', f'{biases[1]}/v', shape=of_heads),
      *linear(f'{mlp}.0', f'{ours}/mlp_in', transposed=True),
      *linear(f'{mlp}.3', f'{ours}/mlp_out', transposed=True),
      *norm(f'{theirs}.pos_ff.layer_norm', f'{ours}/mlp_norm'),
    )

  def vocabulary(self) -> list[Row]:
    """The rows of the embedding and of the softmax."""
    table, ours = f'{self.prefix}word_emb.emb_', 'encoder/embedding'
    clusters = range(len(self.cutoffs) + 1)
    tables = clusters if self.shrink > 1 else range(1)
    found = [
      Row(f'{table}layers.{i}.weight', f'{ours}/table_{i}') for i in tables
    ]
    if self.projected:
      found += [
        Row(f'{table}projs.{i}', f'{ours}/projection_{i}') for i in tables
      ]
    for i in tables:
      if not self.tied:
        found.append(Row(f'crit.out_layers.{i}.weight', f'readout/table_{i}'))
      found.append(Row(f'crit.out_layers.{i}.bias', f'readout/bias_{i}'))
    found += [
      Row(f'crit.out_projs.{i}', f'readout/projection_{i}')
      for i in self.own_projections
    ]
    if self.cutoffs:
      found += [
        Row(f'crit.cluster_{a}', f'readout/cluster_{b}', flipped=self.flipped)
        for a, b in (('weight', 'table'), ('bias', 'bias'))
      ]
    return found
