"""The memories that the experiment families compare, by name."""

from ml_collections import ConfigDict

from memjax.configs.memories import memories

MODELS = tuple(memories(64, 64))


def model(
  name: str, width: int, depth: int, window: int, dropout: float = 0.0
) -> ConfigDict:
  """A model of MODELS: a stack of layers, or a whole model of its own.

  Args:
    name: which memory.
    width: D.
    depth: number of blocks of a stack; a block is the layers of its pattern.
    window: steps that a memory with a window sees, or cells that one with
      slots has.
    dropout: of a stack.
  """
  fields = memories(width, window)[name]
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
