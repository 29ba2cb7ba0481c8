"""The memories that the experiment families compare, by name."""

from ml_collections import ConfigDict


def _memories(width: int, context: int) -> dict[str, dict]:
  """{name: the fields of its Stack, or of the whole model that it is}."""
  heads = max(width // 64, 1)

  def attention(name: str, **fields: int) -> dict:
    memory = {'name': name, 'heads': heads} | fields
    return {'mlp_width': 4 * width, 'memory': memory}

  return {
    'rnn': {'memory': {'name': 'rnn.RNN'}},
    'lstm': {'memory': {'name': 'lstm.LSTM'}},
    'gru': {'memory': {'name': 'gru.GRU'}},
    'transformer': {'positions': context}
    | attention('transformer.BlockAttention', context=context),
    'sliding': attention('transformer.SlidingAttention', window=context),
    'transformer_xl': {'wiring': 'post_norm', 'activation': 'relu'}
    | attention('transformer_xl.TransformerXL', memory=context),
    'ntm': {'memory': {'name': 'ntm.NTM', 'slots': context, 'slot_width': 20}},
    'dnc': {'memory': {'name': 'dnc.DNC', 'slots': context}},
    'entnet': {
      'sentences': 'mask',
      'memory': {'name': 'entnet.EntNet', 'slots': context},
    },
    'stack_rnn': {'memory': {'name': 'stack_rnn.StackRNN', 'slots': context}},
    'tape_rnn': {'memory': {'name': 'tape_rnn.TapeRNN', 'slots': context}},
    'linear_attention': attention('linear_attention.LinearAttention'),
    'schlag_delta': attention('schlag_delta.SchlagDelta'),
    'hopfield': attention('hopfield.HopfieldMemory', slots=context),
    'rmn': {
      'memory': {
        'name': 'rmn.RMN',
        'memory': context,
      }
    },
    'han': {'sentences': 'attention', 'memory': {'name': 'han.CausalHAN'}},
    'lstmn': {'memory': {'name': 'lstmn.LSTMN', 'memory': context}},
    'memn2n': {'name': 'memn2n.MemN2N', 'width': width, 'slots': context},
    'key_value': {
      'memory': {'name': 'key_value.KeyValueMemory', 'slots': context}
    },
  }


MODELS = tuple(_memories(64, 64))


def model(
  name: str, width: int, layers: int, context: int, dropout: float = 0.0
) -> ConfigDict:
  """A model of MODELS: a stack of layers, or a whole model of its own.

  Args:
    name: which memory.
    width: D.
    layers: L, of a stack.
    context: how many steps or slots a memory that counts them remembers: the
      context of `transformer`, the window of `sliding`, M of the others.
    dropout: of a stack.
  """
  fields = _memories(width, context)[name]
  if 'name' in fields:
    return ConfigDict(fields)
  if 'mlp_width' not in fields:
    fields = {'wiring': 'plain'} | fields
  stack = {'name': 'stack.Stack', 'layers': layers, 'dropout': dropout}
  config = ConfigDict(stack | {'remat': False} | fields)
  config.memory.width = width
  return config
