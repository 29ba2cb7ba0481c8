"""BERT (MiniLM): attention both ways, post-norm, the sum of tables normed.

Paper: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; MiniLM, Wang et al.
2020, https://arxiv.org/abs/2002.10957. Every token is of the first text of a
pair. Hidden states are those of BertModel; what our model reads out is their
product with the table of tokens. So the pooler and the head of masked language
modelling are unused, and are kept.
"""

import dataclasses
from typing import Any, ClassVar

from memjax.interop.family import Family
from memjax.interop.names import Row, linear, norm

ACTIVATIONS = {'gelu': 'gelu_exact', 'gelu_new': 'gelu', 'relu': 'relu'}


@dataclasses.dataclass(frozen=True)
class Bert(Family):
  """BERT and encoders with its layers."""

  model_types = ('bert',)
  main = 'bert.'
  unused: ClassVar = {
    r'bert\.embeddings\.position_ids': 'a constant',
    r'bert\.pooler\..*': 'not a part of our model',
    r'cls\..*': 'not a part of our model',
  }

  @property
  def vocab(self) -> int:
    return self.field('vocab_size')

  @property
  def depth(self) -> int:
    return self.field('num_hidden_layers')

  @property
  def masked(self) -> bool:
    return True

  def model(self) -> dict[str, Any]:
    self.wanted(position_embedding_type='absolute', is_decoder=False)
    width, activation = self.field('hidden_size'), self.field('hidden_act')
    self.wanted(hidden_act=activation if activation in ACTIVATIONS else 'gelu')
    return {
      'name': 'stack.Stack',
      'width': width,
      'depth': self.depth,
      'wiring': 'post_norm',
      'mlp': self.field('intermediate_size') / width,
      'activation': ACTIVATIONS[activation],
      'epsilon': self.field('layer_norm_eps', 1e-12),
      'tie': True,
      'embedding_norm': True,
      'token_types': self.field('type_vocab_size'),
      'positions': 'learned',
      'max_positions': self.field('max_position_embeddings'),
      'layer': {
        'name': 'full_attention.FullAttention',
        'head_width': width // self.field('num_attention_heads'),
      },
    }

  @classmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    return {
      'model_type': cls.model_types[0],
      'architectures': ['BertModel'],
      'vocab_size': vocab,
      'hidden_size': model.width,
      'num_hidden_layers': model.depth,
      'num_attention_heads': model.width // model.layer.head_width,
      'intermediate_size': round(model.mlp * model.width),
      'max_position_embeddings': model.max_positions,
      'type_vocab_size': model.token_types,
      'layer_norm_eps': model.epsilon,
      'hidden_act': names.get(model.activation, model.activation),
    }

  def rows(self) -> tuple[Row, ...]:
    theirs, ours = 'bert.encoder.layer.{i}', 'layer_{i}'
    own = f'{theirs}.attention.self'
    three = [f'{own}.{name}' for name in ('query', 'key', 'value')]
    parts = (self.field('hidden_size'),) * 3
    qkv = f'{ours}/memory/qkv'
    tables = [
      Row(f'bert.embeddings.{name}_embeddings.weight', f'{place}/embedding')
      for name, place in (
        ('word', 'encoder/embedding'),
        ('position', 'positions/table'),
        ('token_type', 'token_types'),
      )
    ]
    return (
      *tables,
      *norm('bert.embeddings.LayerNorm', 'embedding_norm'),
      Row(weights(three), f'{qkv}/kernel', True, parts),
      Row(
        ' '.join(f'{name}.bias' for name in three), f'{qkv}/bias', parts=parts
      ),
      *map_of(f'{theirs}.attention.output.dense', f'{ours}/memory/output'),
      *norm(f'{theirs}.attention.output.LayerNorm', f'{ours}/memory_norm'),
      *map_of(f'{theirs}.intermediate.dense', f'{ours}/mlp_in'),
      *map_of(f'{theirs}.output.dense', f'{ours}/mlp_out'),
      *norm(f'{theirs}.output.LayerNorm', f'{ours}/mlp_norm'),
    )


def weights(names: list[str]) -> str:
  """The names of the kernels of these maps."""
  return ' '.join(f'{name}.weight' for name in names)


def map_of(theirs: str, ours: str) -> tuple[Row, Row]:
  """A linear map whose kernel is (outputs, inputs)."""
  return linear(theirs, ours, transposed=True)
