"""The memories that the experiment families compare, by name."""

from ml_collections import ConfigDict

MODELS = ('rnn', 'lstm', 'gru', 'transformer', 'sliding', 'transformer_xl')


def model(name: str, width: int, layers: int, context: int) -> ConfigDict:
  """A stack of one of MODELS.

  Args:
    name: which memory.
    width: D.
    layers: L.
    context: what the attention models see: the context of `transformer`, the
      window of `sliding`, the memory of `transformer_xl`.
  """
  heads = max(width // 64, 1)
  attention = {'layers': layers, 'mlp_width': 4 * width}
  recurrent = {'layers': layers, 'wiring': 'plain'}
  memories = {
    'rnn': recurrent | {'memory': {'name': 'rnn.RNN'}},
    'lstm': recurrent | {'memory': {'name': 'lstm.LSTM'}},
    'gru': recurrent | {'memory': {'name': 'gru.GRU'}},
    'transformer': attention
    | {
      'positions': context,
      'memory': {
        'name': 'transformer.CausalAttention',
        'heads': heads,
        'context': context,
      },
    },
    'sliding': attention
    | {
      'memory': {
        'name': 'transformer.SlidingAttention',
        'heads': heads,
        'window': context,
      },
    },
    'transformer_xl': attention
    | {
      'wiring': 'post_norm',
      'activation': 'relu',
      'memory': {
        'name': 'transformer_xl.RelativeAttention',
        'heads': heads,
        'memory': context,
      },
    },
  }
  config = ConfigDict({'name': 'stack.Stack', 'dropout': 0.0, 'remat': False})
  config.update(memories[name])
  config.memory.width = width
  return config
