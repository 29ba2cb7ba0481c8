"""Hybrids of several memories: the order of the layers of each paper.

The order is repeated over the depth. Attention sees `window` steps, also where
the paper's sees everything; MLPs stand where a paper has experts. Keys have as
many heads as queries, except for Griffin's.
"""

MEMORIES = {
  'attention': 'transformer.SlidingAttention',
  'rg_lru': 'rg_lru.RGLRU',
  'mamba': 'mamba.Mamba',
  'kda': 'kimi_delta.KimiDelta',
  'gated_delta': 'gated_delta_net.GatedDeltaNet',
  'based': 'based.Based',
  'convolution': 'base_conv.BaseConv',
  'mlstm': 'mlstm.MLSTM',
  'slstm': 'slstm.SLSTM',
}
WITHOUT_HEADS = ('mamba', 'convolution', 'slstm')
QUARTER = {'positions': 'rotary', 'rotary_share': 0.25}
# {name: (the layers in turn, fields of the attention, fields of the Stack)}
HYBRIDS: dict[str, tuple[str, dict, dict]] = {
  # De et al. 2024, https://arxiv.org/abs/2402.19427
  'griffin': (
    'rg_lru rg_lru attention',
    {'key_heads': 1, 'positions': 'rotary', 'rotary_share': 0.5},
    {'mlp': 3.0, 'activation': 'geglu'},
  ),
  # Ren et al. 2024, https://arxiv.org/abs/2406.07522
  'samba': ('mamba attention', {'positions': 'rotary'}, {}),
  # Lieber et al. 2024, https://arxiv.org/abs/2403.19887
  'jamba': ('mamba mamba mamba mamba attention mamba mamba mamba', {}, {}),
  # Kimi Team 2025, https://arxiv.org/abs/2510.26692
  'kimi_linear': ('kda kda kda attention', {}, {}),
  # Qwen Team 2025, Qwen3-Next
  'qwen3_next': (
    'gated_delta gated_delta gated_delta attention',
    QUARTER | {'gate': True, 'qk_norm': True},
    {},
  ),
  # Arora et al. 2024, https://arxiv.org/abs/2402.18668
  'based_hybrid': ('convolution based attention', {}, {}),
  # Beck et al. 2024, https://arxiv.org/abs/2405.04517, xLSTM[7:1]
  'xlstm': (
    'mlstm mlstm mlstm mlstm mlstm mlstm mlstm slstm',
    {},
    {'norm': 'layer', 'mlp': 4 / 3, 'mlp_after': 'slstm'},
  ),
}
RESIDUAL = {'wiring': 'pre_norm', 'norm': 'rms', 'activation': 'swiglu'}


def hybrids(width: int, window: int, depth: int) -> dict[str, dict]:
  """{name: the fields of its Stack}.

  Args:
    width: D.
    window: the number of steps that attention sees.
    depth: number of layers, rounded up to whole patterns; 1 is one layer of
      each memory.
  """
  found = {}
  for name, (order, attention, fields) in HYBRIDS.items():
    turn = order.split()
    turn = list(dict.fromkeys(turn)) if depth == 1 else turn
    specs: dict[str, dict] = {n: {'name': MEMORIES[n]} for n in turn}
    for layer in specs.keys() - set(WITHOUT_HEADS):
      specs[layer]['head_width'] = min(width, 64)
    if 'attention' in specs:
      specs['attention'] |= {'window': window} | attention
    found[name] = RESIDUAL | {
      'mlp': 8 / 3,
      'depth': -(-depth // len(turn)) * len(turn),
      'pattern': ' '.join('layer' if n == turn[0] else n for n in turn),
      'layer': specs.pop(turn[0]),
      'others': specs,
      **fields,
    }
  return found
