"""The cells of the leaderboard: task, memory, width and learning rate.

A cell is one run: three seeds as replicas of one program. `config.py` makes its
config. A memory of `configs/models.py` is a memory of the leaderboard; a task
is an entry of TASKS.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any, NamedTuple

from memjax.configs.models import MODELS

SEEDS = 3
RATES = (1e-3, 3e-3)
# Beyond an end that was chosen, if the task is not solved there.
BEYOND = {1e-3: 3e-4, 3e-3: 1e-2}
WIDTH = 64
SOLVED = 0.99
HIGHEST = ('accuracy', 'scaled_accuracy', 'exact_match')  # metrics up to 1

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
  """A task, its budget and its measure.

  Attributes:
    title: for tables.
    fields: the config's section `task`.
    window: steps that attention sees, and slots of memories with slots: the
      length of a training row or segment.
    metric: what is compared.
    beyond: fields of the rows that are not like those of training: longer, or
      sparser. Empty: there are none.
    train: changes to the section `train`.
    stops: whether a cell ends as soon as its validation rows are solved.
    batch: rows of an evaluation's step.
  """

  title: str
  fields: Mapping[str, Any]
  window: int
  metric: str = 'accuracy'
  beyond: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  stops: bool = True
  batch: int = 50

  @property
  def judged_on(self) -> str:
    """The set that the table shows: rows that nothing was chosen on."""
    return 'beyond' if self.beyond else 'test'

  @property
  def highest(self) -> bool:
    """Whether more is better."""
    return self.metric in HIGHEST


def _mqar(length: int, pairs: int, **fields: Any) -> dict[str, Any]:
  return {
    'name': 'mqar.MQAR',
    'length': length,
    'pairs': pairs,
    'vocab': 256,
  } | fields


TASKS: Mapping[str, Task] = {
  'mqar_64x4': Task(title='MQAR (64, 4)', fields=_mqar(64, 4), window=64),
  'parity': Task(
    title='Parity, 3-40 to 41-256',
    fields={'name': 'parity.Parity', 'shortest': 3, 'longest': 40},
    window=41,
    metric='scaled_accuracy',
    beyond={'shortest': 41, 'longest': 256},
    stops=False,
  ),
  's3': Task(
    title='S3, 64 to 256',
    fields={'name': 'group_words.GroupWords', 'group': 'S3', 'length': 64},
    window=64,
    beyond={'length': 256},
    stops=False,
  ),
  'mqar_128x8': Task(title='MQAR (128, 8)', fields=_mqar(128, 8), window=128),
  'adding': Task(
    title='Adding 200',
    fields={'name': 'adding.Adding', 'length': 200},
    window=200,
    metric='exact_match',
  ),
  'flip_flop': Task(
    title='Flip-flop, 0.8 to 0.98',
    fields={'name': 'flip_flop.FlipFlop', 'length': 128, 'ignore': 0.8},
    window=128,
    beyond={'ignore': 0.98},
    stops=False,
  ),
  'mqar_fillers': Task(
    title='MQAR (64, 4), random fillers',
    fields=_mqar(64, 4, random_fillers=True),
    window=64,
  ),
  'overwrite': Task(
    title='MQAR, overwriting',
    fields={
      'name': 'mqar_overwrite.MQAROverwrite',
      'length': 64,
      'keys': 4,
      'writes': 12,
      'vocab': 256,
    },
    window=64,
  ),
  'selective_copy': Task(
    title='Selective copy 64, 8',
    fields={
      'name': 'selective_copy.SelectiveCopy',
      'length': 64,
      'vocab': 16,
      'symbols': 8,
    },
    window=64,
  ),
  'string_copy': Task(
    title='String copy, 20 to 40',
    fields={'name': 'string_copy.StringCopy', 'shortest': 1, 'longest': 20},
    window=40,
    beyond={'shortest': 21, 'longest': 40},
    stops=False,
  ),
  'retrieval': Task(
    title='Retrieval over segments',
    fields={
      'name': 'associative_retrieval.AssociativeRetrieval',
      'pairs': 8,
      'segments': 3,
    },
    window=6,
    train={'segment_length': 6, 'bptt_segments': 3},
  ),
  'noisy_recall': Task(
    title='Noisy recall 64',
    fields={'name': 'noisy_recall.NoisyRecall', 'length': 64},
    window=64,
  ),
  'niah': Task(
    title='Needle, 256 bytes of noise',
    fields={'name': 'niah.NIAH', 'corpus': 'noise', 'length': 256},
    window=256,
  ),
  'text': Task(
    title='Tiny Shakespeare',
    fields={
      'name': 'text.Text',
      'corpus': 'tiny_shakespeare',
      'tokens': 'bytes',
      'length': 128,
      'carry_over': True,
    },
    window=128,
    metric='bits_per_byte',
    stops=False,
    batch=16,
  ),
}
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
