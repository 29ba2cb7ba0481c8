"""The memories that the experiment families compare, by name."""

from ml_collections import ConfigDict


def _memories(width: int, window: int) -> dict[str, dict]:
  """{name: the fields of its Stack, or of the whole model that it is}."""
  head_width = min(width, 64)

  def attention(name: str, **fields: int) -> dict:
    layer = {'name': name, 'head_width': head_width} | fields
    return {'wiring': 'pre_norm', 'mlp': 4.0, 'layer': layer}

  return {
    'rnn': {'layer': {'name': 'rnn.RNN'}},
    'lstm': {'layer': {'name': 'lstm.LSTM'}},
    'gru': {'layer': {'name': 'gru.GRU'}},
    'transformer': attention('transformer.BlockAttention', window=window)
    | {'positions': 'learned'},
    'sliding': attention('transformer.SlidingAttention', window=window),
    'transformer_xl': attention('transformer_xl.TransformerXL', window=window)
    | {'wiring': 'post_norm', 'activation': 'relu'},
    'ntm': {'layer': {'name': 'ntm.NTM', 'slots': window, 'slot_width': 20}},
    'dnc': {'layer': {'name': 'dnc.DNC', 'slots': window}},
    'entnet': {
      'sentences': 'mask',
      'layer': {'name': 'entnet.EntNet', 'slots': window},
    },
    'stack_rnn': {'layer': {'name': 'stack_rnn.StackRNN', 'slots': window}},
    'tape_rnn': {'layer': {'name': 'tape_rnn.TapeRNN', 'slots': window}},
    'linear_attention': attention('linear_attention.LinearAttention'),
    'schlag_delta': attention('schlag_delta.SchlagDelta'),
    'hopfield': attention('hopfield.HopfieldMemory', slots=window),
    'rmn': {'layer': {'name': 'rmn.RMN', 'window': window}},
    'han': {'sentences': 'attention', 'layer': {'name': 'han.CausalHAN'}},
    'lstmn': {'layer': {'name': 'lstmn.LSTMN', 'window': window}},
    'memn2n': {'name': 'memn2n.MemN2N', 'slots': window},
    'key_value': {
      'layer': {'name': 'key_value.KeyValueMemory', 'slots': window}
    },
  }


MODELS = tuple(_memories(64, 64))


def model(
  name: str, width: int, depth: int, window: int, dropout: float = 0.0
) -> ConfigDict:
  """A model of MODELS: a stack of layers, or a whole model of its own.

  Args:
    name: which memory.
    width: D.
    depth: L, of a stack.
    window: steps that a memory with a window sees, or cells that one with
      slots has.
    dropout: of a stack.
  """
  fields = _memories(width, window)[name]
  if 'name' in fields:
    return ConfigDict({'width': width} | fields)
  stack = {
    'name': 'stack.Stack',
    'width': width,
    'depth': depth,
    'wiring': 'plain',
    'dropout': dropout,
    'remat': False,
  }
  return ConfigDict(stack | fields)
