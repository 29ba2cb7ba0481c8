"""The cells of the leaderboard: task, memory, width and learning rate.

A cell is one run: three seeds as replicas of one program. `config.py` makes its
config. A memory of `configs/models.py` is a memory of the leaderboard.
"""

from collections.abc import Iterator, Mapping, Sequence
import itertools
from typing import Any, NamedTuple

from experiments.leaderboard.tasks import TASKS
from memjax.configs.models import MODELS

SEEDS = 3
RATES = (1e-3, 3e-3)
# Beyond an end that was chosen, if the task is not solved there.
BEYOND = {1e-3: 3e-4, 3e-3: 1e-2}
WIDTH = 64
SOLVED = 0.99

# {memory: (one of MODELS, fields of its layer)}: what the configs do not name.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
  'delta_net_negative': ('delta_net', {'negative': True}),
  'gated_delta_net_negative': ('gated_delta_net', {'negative': True}),
  'delta_product_positive': ('delta_product', {'negative': False}),
}
# Within a task, the delta rules come first, and the slowest memories last.
FIRST = (
  *('delta_net', 'delta_net_negative', 'gated_delta_net'),
  *('gated_delta_net_negative', 'delta_product', 'delta_product_positive'),
)
LAST = (
  *('entnet', 'memn2n', 'han', 'key_value', 'tape_rnn', 'stack_rnn', 'lstmn'),
  *('rmn', 'ntm', 'dnc'),
)
MEMORIES = (
  *FIRST,
  *(name for name in MODELS if name not in FIRST + LAST),
  *LAST,
)


# Tasks and memories of the second table, at another width.
NARROW, NARROW_TASKS = 32, ('mqar_64x4', 'mqar_128x8', 'parity', 's3')


class Cell(NamedTuple):
  """One run of the grid."""

  task: str
  memory: str
  width: int
  rate: float

  @property
  def name(self) -> str:
    """Its folder, inside the folder of all runs."""
    return f'{self.task}/{self.memory}-{self.width}-{self.rate:g}'


def cells(tasks: Sequence[str] = tuple(TASKS)) -> Iterator[Cell]:
  """All cells, in the order in which they run.

  All memories read the first task before any reads the second, so that a table
  of the first cells compares all of them.
  """
  for task, memory, rate in itertools.product(tasks, MEMORIES, RATES):
    yield Cell(task, memory, WIDTH, rate)
  narrow = [task for task in NARROW_TASKS if task in tasks]
  for task, memory, rate in itertools.product(narrow, MEMORIES, RATES):
    yield Cell(task, memory, NARROW, rate)


def cell_of(name: str) -> Cell:
  """The cell of this name; its rate may be outside RATES."""
  task, _, rest = name.partition('/')
  memory, width, rate = rest.split('-', 2)
  return Cell(task, memory, int(width), float(rate))
