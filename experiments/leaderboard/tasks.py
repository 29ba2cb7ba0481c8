"""The tasks of the leaderboard, in the order in which they run.

A task is an entry of TASKS: its fields, its measure and what it is judged on.
The last ones are the dearest, for an accelerator.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

HIGHEST = ('accuracy', 'scaled_accuracy', 'exact_match', 'recall')  # up to 1


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
    splits: whether the sets are splits of data, of which all rows are read.
    batch: rows of an evaluation's step.
  """

  title: str
  fields: Mapping[str, Any]
  window: int
  metric: str = 'accuracy'
  beyond: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  stops: bool = True
  splits: bool = False
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
    'vocab': 64,
  } | fields


def _chomsky(task: str, title: str, window: int) -> Task:
  """Lengths 1 to 40, judged on 41 to 100."""
  name = ''.join(word.capitalize() for word in task.split('_'))
  return Task(
    title=f'{title}, 1-40 to 41-100',
    fields={'name': f'{task}.{name}', 'shortest': 1, 'longest': 40},
    window=window,
    metric='scaled_accuracy',
    beyond={'shortest': 41, 'longest': 100},
    stops=False,
  )


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
      'vocab': 64,
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
  'even_pairs': _chomsky('even_pairs', 'Even pairs', 41),
  'modular_arithmetic': _chomsky(
    'modular_arithmetic', 'Modular arithmetic', 41
  ),
  'reverse': _chomsky('reverse', 'Reverse', 80),
  'duplicate': _chomsky('duplicate', 'Duplicate', 120),
  'segment_copy': Task(
    title='Segment copy, 6 segments',
    fields={'name': 'segment_copy.SegmentCopy', 'symbols': 24, 'segments': 6},
    window=12,
    train={'segment_length': 12, 'bptt_segments': 6},
  ),
  'digits': Task(
    title='Digits 8 x 8',
    fields={'name': 'sequential_images.Digits', 'source': 'digits'},
    window=64,
    splits=True,
    batch=60,
  ),
  'adding_600': Task(
    title='Adding 600',
    fields={'name': 'adding.Adding', 'length': 600},
    window=600,
    metric='exact_match',
  ),
  'copy_memory': Task(
    title='Copy memory 1000',
    fields={'name': 'copy_memory.CopyMemory', 'delay': 1000},
    window=1020,
    metric='recall',
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
    splits=True,
    batch=16,
  ),
}
