"""What each memory's name stands for: the fields of its Stack or its model.

One entry a memory. A residual block has pre-norm and an MLP of four times the
width around the memory, as the papers of these memories have.
"""


def memories(width: int, window: int) -> dict[str, dict]:
  """{name: the fields of its Stack, or of the whole model that it is}."""
  head_width = min(width, 64)

  def residual(name: str, **fields: int) -> dict:
    layer = {'name': name} | fields
    return {'wiring': 'pre_norm', 'mlp': 4.0, 'layer': layer}

  def attention(name: str, **fields: int) -> dict:
    return residual(name, head_width=head_width, **fields)

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
    'delta_net': attention('delta_net.DeltaNet'),
    'delta_product': attention('delta_net.DeltaNet', writes=2, negative=True),
    'gated_delta_net': attention('gated_delta_net.GatedDeltaNet'),
    'kimi_delta': attention('kimi_delta.KimiDelta'),
    'gla': attention('gla.GLA'),
    'hgrn2': attention('hgrn2.HGRN2'),
    'retnet': attention('retnet.RetNet'),
    'mamba': residual('mamba.Mamba') | {'mlp': 0.0},
    'mamba2': attention('mamba2.Mamba2') | {'mlp': 0.0},
    'lru': residual('lru.LRU') | {'mlp': 0.0},
    's5': residual('s5.S5') | {'mlp': 0.0},
    's4d': residual('s4d.S4D') | {'mlp': 0.0},
    'rg_lru': attention('rg_lru.RGLRU'),
    'mlstm': attention('mlstm.MLSTM') | {'mlp': 0.0},
    'slstm': residual('slstm.SLSTM'),
    'min_gru': residual('min_rnn.MinGRU'),
    'min_lstm': residual('min_rnn.MinLSTM'),
    'hopfield': attention('hopfield.HopfieldMemory', slots=window),
    'rmn': {'layer': {'name': 'rmn.RMN', 'window': window}},
    'han': {'sentences': 'attention', 'layer': {'name': 'han.CausalHAN'}},
    'lstmn': {'layer': {'name': 'lstmn.LSTMN', 'window': window}},
    'memn2n': {'name': 'memn2n.MemN2N', 'slots': window},
    'key_value': {
      'layer': {'name': 'key_value.KeyValueMemory', 'slots': window}
    },
  }
