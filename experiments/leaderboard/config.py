"""The config of a cell: a task, a memory and a width, `mqar_64x4-gru-64`.

Three seeds of each of the two learning rates are replicas of one program. A
fourth part of the variant is another rate, `mqar_64x4-gru-64-0.01`.
Command: python launch.py
  --config=experiments/leaderboard/config.py:mqar_64x4-delta_net-64
Result: experiments/leaderboard/README.md.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments.leaderboard.grid import SOLVED, VARIANTS, cell_of
from experiments.leaderboard.tasks import TASKS, Task
from memjax.configs.base import base
from memjax.configs.hybrids import HYBRIDS
from memjax.configs.models import model as model_of

STEPS, ROWS = 2000, 16  # of training: a budget of 32,000 rows
EVERY = 100  # steps between evaluations
BLOCK = {
  'wiring': 'pre_norm',
  'mlp': 4.0,
  'mlp_after': '',
  'activation': 'gelu',
  'norm': 'layer',
}
OWN_MLP = ('rwkv6', 'rwkv7')  # a channel mix with a state takes its place


def get_config(variant: str = 'mqar_64x4-delta_net-64') -> ConfigDict:
  """The config of a cell."""
  cell = cell_of(variant)
  task, rates = TASKS[cell.task], cell.each_rate
  config = base()
  config.task = ConfigDict(dict(task.fields))
  config.model = model(cell.memory, cell.width, task.window)
  config.train.update(
    steps=STEPS, batch_size=ROWS, steps_per_call=50, replicas=len(rates)
  )
  config.train.update(task.train)
  if task.stops:
    config.train.stop_when = (
      f'validation/{task.metric} >= {SOLVED} at one setting'
    )
  config.optim.update(
    learning_rate=rates[0],
    per_replica=f'learning_rate={",".join(f"{rate:g}" for rate in rates)}',
    warmup_steps=STEPS // 20,
    weight_decay=0.01,
  )
  config.parallel.data = 1
  config.log.update(every=EVERY, wandb={'mode': 'disabled'})
  config.checkpoint.update(every=STEPS // 4, keep=1)
  for label, fields in sets(task).items():
    config.evals[label] = ConfigDict(fields)
  return config.lock()


def sets(task: Task) -> dict[str, dict[str, Any]]:
  """The evaluation sets; those that training leaves out are measured after."""
  found: dict[str, dict[str, Any]] = {
    'validation': {'every': EVERY, 'steps': 500 // task.batch},
    'test': {'every': 0, 'steps': 1000 // task.batch},
  }
  if task.beyond:
    found['beyond'] = found['test'] | {'task': dict(task.beyond)}
  if task.splits:
    for split in found:
      found[split] |= {'steps': 0, 'task': {'split': split}}
    found['validation']['every'] = 3 * EVERY
  return {
    label: {'batch_size': task.batch} | fields
    for label, fields in found.items()
  }


def model(memory: str, width: int, window: int) -> ConfigDict:
  """Two layers of a memory, each in the same block with the same MLP.

  A hybrid has one layer of each of its memories.
  """
  known, changes = VARIANTS.get(memory, (memory, {}))
  config = model_of(known, width, 1 if known in HYBRIDS else 2, window)
  if 'layer' in config:
    config.layer.update(changes)
    if known not in OWN_MLP:
      config.update(BLOCK)
  return config
