"""The entries of `memories.py` for memories since 2022.

A residual block has pre-norm and an MLP of four times the width around the
memory, as the papers of these memories have.
"""


def residual(name: str, **fields: int | float | bool | str) -> dict:
  """A block of a memory and an MLP."""
  layer = {'name': name} | fields
  return {'wiring': 'pre_norm', 'mlp': 4.0, 'layer': layer}


def modern_memories(width: int, window: int) -> dict[str, dict]:
  """{name: the fields of its Stack}."""
  head_width = min(width, 64)

  def attention(name: str, **fields: int) -> dict:
    return residual(name, head_width=head_width, **fields)

  def rwkv(name: str, channel_mix: str) -> dict:
    """The two layers of a block, instead of one and an MLP."""
    return attention(name) | {
      'mlp': 0.0,
      'others': {'channel_mix': {'name': channel_mix}},
      'pattern': 'layer channel_mix',
    }

  return {
    'fox': attention(
      'transformer.SlidingAttention',
      window=window,
      forget=True,
      gate=True,
      qk_norm=True,
    ),
    'delta_net': attention('delta_net.DeltaNet'),
    'delta_product': attention('delta_net.DeltaNet', writes=2, negative=True),
    'gated_delta_net': attention('gated_delta_net.GatedDeltaNet'),
    'log_linear_gated_delta_net': attention(
      'log_linear_gated_delta_net.LogLinearGatedDeltaNet'
    ),
    'kimi_delta': attention('kimi_delta.KimiDelta'),
    'gated_delta_net_2': attention('gated_delta_net_2.GatedDeltaNet2'),
    'gsa': attention('gated_slot_attention.GatedSlotAttention'),
    'based': attention('based.Based', feature_width=min(head_width, 16)),
    'mesa_net': attention('mesa_net.MesaNet'),
    'gla': attention('gla.GLA'),
    'hgrn': residual('hgrn.HGRN'),
    'hgrn2': attention('hgrn2.HGRN2'),
    'retnet': attention('retnet.RetNet'),
    'rwkv6': rwkv('rwkv6.RWKV6', 'channel_mix.GatedChannelMix'),
    'rwkv7': rwkv('rwkv7.RWKV7', 'channel_mix.ChannelMix'),
    'mamba': residual('mamba.Mamba') | {'mlp': 0.0},
    'mamba2': attention('mamba2.Mamba2') | {'mlp': 0.0},
    'log_linear_mamba2': attention('log_linear_mamba2.LogLinearMamba2')
    | {'mlp': 0.0},
    'lru': residual('lru.LRU') | {'mlp': 0.0},
    's5': residual('s5.S5') | {'mlp': 0.0},
    's4d': residual('s4d.S4D') | {'mlp': 0.0},
    'rg_lru': attention('rg_lru.RGLRU'),
    'mlstm': attention('mlstm.MLSTM') | {'mlp': 0.0},
    'capped_mlstm': attention('capped_mlstm.CappedMLSTM'),
    'slstm': residual('slstm.SLSTM'),
    'min_gru': residual('min_rnn.MinGRU'),
    'min_lstm': residual('min_rnn.MinLSTM'),
  }
