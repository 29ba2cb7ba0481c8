"""The cells of the leaderboard: task, memory, width and learning rates.

A cell is one run: its rates, with three seeds each, are replicas of one
program, which is compiled once. `config.py` makes its
config. A memory of `configs/models.py` is a memory of the leaderboard.
"""

from collections.abc import Iterator, Mapping, Sequence
import itertools
import re
from typing import Any, NamedTuple

from experiments.leaderboard.tasks import TASKS
from memjax.configs.hybrids import HYBRIDS
from memjax.configs.models import MODELS
from memjax.errors import ConfigError, nearest, require

SEEDS = 3
RATES = (1e-3, 3e-3)
# Beyond an end that was chosen, if the task is not solved there.
BEYOND = {1e-3: 3e-4, 3e-3: 1e-2}
WIDTH = 64
SOLVED = 0.99
PARTS = re.compile(r'(\w+)[-/](\w+)-(\d+)((?:-[\d.e]+)*)')  # of a name

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
  *('entnet', 'memn2n', 'key_value', 'tape_rnn', 'stack_rnn'),
  *('relational_memory', 'ntm', 'dnc'),
)
# Mixtures and relatives of the others, after these have read all tasks.
LATER = (
  *HYBRIDS,
  *('universal_transformer', 'memorizing', 'adaptive_span', 'expire_span'),
  *('log_linear_gated_delta_net', 'log_linear_mamba2', 'gated_delta_net_2'),
  *('capped_mlstm', 'han', 'lstmn', 'rmn'),
)
SOONER = (
  *FIRST,
  *(name for name in MODELS if name not in FIRST + LAST + LATER),
  *LAST,
)
MEMORIES = (*SOONER, *LATER)


# Tasks and memories of the second table, at another width.
NARROW, NARROW_TASKS = 32, ('mqar_64x4', 'mqar_128x8', 'parity', 's3')


class Cell(NamedTuple):
  """One run of the grid."""

  task: str
  memory: str
  width: int
  rates: tuple[float, ...] = RATES

  @property
  def name(self) -> str:
    """Its folder, inside the folder of all runs."""
    return f'{self.task}/{self.variant.removeprefix(f"{self.task}-")}'

  @property
  def variant(self) -> str:
    """What `config.get_config` takes."""
    parts = [self.task, self.memory, str(self.width)]
    if self.rates != RATES:
      parts += [f'{rate:g}' for rate in self.rates]
    return '-'.join(parts)

  @property
  def each_rate(self) -> list[float]:
    """The learning rate of each replica; the seeds of a rate are neighbours."""
    return [rate for rate in self.rates for _ in range(SEEDS)]


def cells(tasks: Sequence[str] = tuple(TASKS)) -> Iterator[Cell]:
  """All cells, in the order in which they run.

  All memories of a group read the first task before any reads the second, so
  that a table of the first cells compares all of them.
  """
  narrow = [task for task in NARROW_TASKS if task in tasks]
  for memories in (SOONER, LATER):
    for task, memory in itertools.product(tasks, memories):
      yield Cell(task, memory, WIDTH)
    for task, memory in itertools.product(narrow, memories):
      yield Cell(task, memory, NARROW)


def cell_of(variant: str) -> Cell:
  """The cell of a variant, or of a name.

  Raises:
    ConfigError: it is not one.
  """
  parts = PARTS.fullmatch(variant)
  rule = 'must be TASK-MEMORY-WIDTH, such as mqar_64x4-gru-64'
  if parts is None:
    raise ConfigError('cell', variant, rule)
  task, memory, width, rates = parts.groups()
  require(task in TASKS, 'task', task, nearest(task, TASKS))
  require(memory in MEMORIES, 'memory', memory, nearest(memory, MEMORIES))
  each_rate = tuple(float(rate) for rate in rates.split('-')[1:])
  return Cell(task, memory, int(width), each_rate or RATES)
