"""Hybrids of several memories: the order of the layers of each paper.

The order is repeated over the depth. Attention sees `window` steps, also where
the paper's sees everything; MLPs stand where a paper has experts.
"""

# {name: (the layers in turn, fields of the Stack other than RESIDUAL's)}
HYBRIDS: dict[str, tuple[str, dict]] = {
  # De et al. 2024, https://arxiv.org/abs/2402.19427
  'griffin': ('rg_lru rg_lru attention', {'mlp': 3.0, 'activation': 'geglu'}),
  # Ren et al. 2024, https://arxiv.org/abs/2406.07522
  'samba': ('mamba attention', {}),
  # Lieber et al. 2024, https://arxiv.org/abs/2403.19887
  'jamba': ('mamba mamba mamba mamba attention mamba mamba mamba', {}),
  # Kimi Team 2025, https://arxiv.org/abs/2510.26692
  'kimi_linear': ('kda kda kda attention', {}),
  # Qwen Team 2025, Qwen3-Next
  'qwen3_next': ('gated_delta gated_delta gated_delta attention', {}),
  # Arora et al. 2024, https://arxiv.org/abs/2402.18668
  'based_hybrid': ('convolution based attention', {}),
  # Beck et al. 2024, https://arxiv.org/abs/2405.04517, xLSTM[7:1]
  'xlstm': (
    'mlstm mlstm mlstm mlstm mlstm mlstm mlstm slstm',
    {'norm': 'layer', 'mlp': 4 / 3, 'mlp_after': 'slstm'},
  ),
}
RESIDUAL = {
  'wiring': 'pre_norm',
  'norm': 'rms',
  'activation': 'swiglu',
  'mlp': 8 / 3,
}


def hybrids(width: int, window: int, depth: int) -> dict[str, dict]:
  """{name: the fields of its Stack}.

  Args:
    width: D.
    window: the number of steps that attention sees.
    depth: number of layers, rounded up to whole patterns; 1 is one layer of
      each memory.
  """
  found = {}
  for name, (order, fields) in HYBRIDS.items():
    turn = order.split()
    turn = list(dict.fromkeys(turn)) if depth == 1 else turn
    specs = {layer: spec(layer, width, window) for layer in dict.fromkeys(turn)}
    found[name] = RESIDUAL | {
      'depth': -(-depth // len(turn)) * len(turn),
      'pattern': ' '.join('layer' if n == turn[0] else n for n in turn),
      'layer': specs.pop(turn[0]),
      'others': specs,
      **fields,
    }
  return found


def spec(layer: str, width: int, window: int) -> dict:
  """The memory that a word of an order stands for."""
  whole = {'mamba': 'mamba.Mamba', 'slstm': 'slstm.SLSTM'}
  whole |= {'convolution': 'base_conv.BaseConv'}
  if layer in whole:
    return {'name': whole[layer]}
  heads = {'head_width': min(width, 64)}
  if layer == 'attention':
    return {'name': 'transformer.SlidingAttention', 'window': window} | heads
  of_heads = {
    'rg_lru': 'rg_lru.RGLRU',
    'kda': 'kimi_delta.KimiDelta',
    'gated_delta': 'gated_delta_net.GatedDeltaNet',
    'based': 'based.Based',
    'mlstm': 'mlstm.MLSTM',
  }
  small = {'feature_width': min(width, 16)} if layer == 'based' else {}
  return {'name': of_heads[layer]} | heads | small
