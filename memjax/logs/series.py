"""A row of `metrics.jsonl` as named numbers, for wandb and TensorBoard.

validation/accuracy                       a metric; of replicas, the median
validation_quartiles/accuracy/first       the first and third quartile
validation_quartiles/accuracy/third
validation_replicas/accuracy/replica_0    each replica
train/learning_rate                       also train_replicas/learning_rate
train/tokens_per_second, train/mfu, train/memory
"""

from collections.abc import Mapping
from typing import Any

PACE = ('learning_rate', 'tokens_per_second', 'mfu', 'memory')
QUARTILES = ('first', 'third')


def series(row: Mapping[str, Any]) -> dict[str, float]:
  """{name: number} of a row."""
  split = row['split']
  pace = {name: row[name] for name in PACE if name in row}
  lists = {k: v for k, v in pace.items() if isinstance(v, list)}
  numbers = {k: v for k, v in pace.items() if k not in lists}
  return (
    {f'{split}/{name}': v for name, v in {**row['metrics'], **numbers}.items()}
    | {
      f'{split}_quartiles/{name}/{end}': value
      for name, ends in row.get('quartiles', {}).items()
      for end, value in zip(QUARTILES, ends, strict=True)
    }
    | {
      f'{split}_replicas/{name}/replica_{i}': value
      for name, values in {**row.get('replicas', {}), **lists}.items()
      for i, value in enumerate(values)
    }
  )
