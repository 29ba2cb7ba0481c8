"""A sweep of six trials that take no time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

GRID: dict[str, Any] = {
  'program': 'tests/sweep/fake.py',
  'method': 'grid',
  'command': [
    *('${env}', '${interpreter}', '${program}'),
    *('--config=configs/adding.py:gru,quick', '${args}'),
  ],
  'metric': {'name': 'held_out/loss', 'goal': 'minimize'},
  'parameters': {
    'config.optim.learning_rate': {'values': [0.1, 0.3, 0.9]},
    'config.seed': {'values': [0, 1]},
  },
}


def sweep(folder: Path, changes: Mapping[str, Any], **parameters: Any) -> Path:
  """A file like GRID, with these changes and fields of parameters."""
  content = {**GRID, **changes}
  more = {f'config.{k.replace("__", ".")}': v for k, v in parameters.items()}
  content['parameters'] = {**content['parameters'], **more}
  path = folder / 'tiny.yaml'
  path.write_text(yaml.safe_dump(content, sort_keys=False))
  return path
