"""The family of a memory: the folder of its class in memjax/models."""

import functools
from pathlib import Path
from typing import Any

from experiments.leaderboard.config import model
import memjax

HYBRID = 'hybrid'
FAMILIES = (
  *('attention', 'linear', 'state_space', 'recurrent', 'networks', HYBRID),
)


@functools.cache
def family(memory: str) -> str:
  """One of FAMILIES; of a class elsewhere, the name of its folder."""
  fields: Any = model(memory, 64, 64).to_dict()
  if len({*fields.get('pattern', 'layer').split()} - {'channel_mix'}) > 1:
    return HYBRID
  name = fields.get('layer', fields)['name'].split('.')[-2]
  models = Path(memjax.__file__).parent / 'models'
  found = next(models.rglob(f'{name}.py'), None)
  return found.parent.name if found else name
