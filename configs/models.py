"""The memories that the experiment families compare, by name."""

from ml_collections import ConfigDict

from memjax.configs.hybrids import HYBRIDS, hybrids
from memjax.configs.memories import memories

MODELS = (*memories(64, 64), *hybrids(64, 64, 1))


def model(
  name: str, width: int, depth: int, window: int, dropout: float = 0.0
) -> ConfigDict:
  """A model of MODELS: a stack of layers, or a whole model of its own.

  Args:
    name: which memory.
    width: D.
    depth: number of blocks of a stack; a block is the layers of its pattern.
      Of a hybrid, the number of layers, as in `hybrids`.
    window: steps that a memory with a window sees, or cells that one with
      slots has.
    dropout: of a stack.
  """
  hybrid = name in HYBRIDS
  known = hybrids(width, window, depth) if hybrid else memories(width, window)
  fields = known[name]
  if 'name' in fields:
    return ConfigDict({'width': width} | fields)
  pattern = fields.get('pattern', 'layer').split()
  stack = {
    'name': 'stack.Stack',
    'width': width,
    'depth': len(pattern) * depth,
    'wiring': 'plain',
    'dropout': dropout,
  }
  return ConfigDict(stack | fields)
