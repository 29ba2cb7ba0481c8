"""What each memory's name stands for: the fields of its Stack or its model.

One entry a memory; those since 2022 are in `modern_memories.py`.
"""

from memjax.configs.modern_memories import modern_memories, residual


def memories(width: int, window: int) -> dict[str, dict]:
  """{name: the fields of its Stack, or of the whole model that it is}."""
  head_width = min(width, 64)

  def attention(name: str, **fields: int) -> dict:
    return residual(name, head_width=head_width, **fields)

  classic = {
    'rnn': {'layer': {'name': 'rnn.RNN'}},
    'lstm': {'layer': {'name': 'lstm.LSTM'}},
    'gru': {'layer': {'name': 'gru.GRU'}},
    'transformer': attention('transformer.BlockAttention', window=window)
    | {'positions': 'learned'},
    'universal_transformer': attention(
      'transformer.BlockAttention', window=window
    )
    | {
      'wiring': 'post_norm',
      'activation': 'relu',
      'share': True,
      'positions': 'sinusoidal',
      'timing': 'layers',
    },
    'sliding': attention('transformer.SlidingAttention', window=window),
    'memorizing': attention(
      'memorizing.MemorizingAttention',
      window=window,
      slots=4 * window,
      neighbours=min(4 * window, 32),
    ),
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
    'relational_memory': {
      'layer': {
        'name': 'relational_memory.RelationalMemory',
        'slots': min(window, 8),
        'head_width': min(width, 16),
      }
    },
    'han': {'sentences': 'attention', 'layer': {'name': 'han.CausalHAN'}},
    'lstmn': {'layer': {'name': 'lstmn.LSTMN', 'window': window}},
    'memn2n': {'name': 'memn2n.MemN2N', 'slots': window},
    'key_value': {
      'layer': {'name': 'key_value.KeyValueMemory', 'slots': window}
    },
  }
  spans = learned_spans(head_width, window)
  return classic | spans | modern_memories(width, window)


def learned_spans(head_width: int, window: int) -> dict[str, dict]:
  """The entries of attention that learns how far back it looks."""
  sizes = {'head_width': head_width, 'window': window}
  sizes |= {'ramp': min(window, 32)}
  return {
    'adaptive_span': residual(
      'adaptive_span.AdaptiveSpan', **sizes, positions='shaw'
    ),
    'expire_span': residual('expire_span.ExpireSpan', **sizes),
  }
