"""The cells of the suite: model, width, task and number of steps.

A cell is one program: all its learning rates with all its seeds, side by side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
  """What one program trains.

  Attributes:
    study: the cell's group, 'mqar'.
    task: the name of its task within the group, '64x4'.
    family: the config that gives the task and the settings, 'mqar:lstm'.
    model: one of configs.models.
    width: D.
    depth: L.
    window: how far back a memory sees, or how many slots it has.
    changes: fields of the config, {'train.steps': 100}.
    evals: {name of an evaluation set: its changes to task, model and rows}.
    rates: peak learning rates.
    seeds: number of seeds of each rate.
    batches: number of batches of 100 rows in each evaluation set; 0: its whole
      split.
  """

  study: str
  task: str
  family: str
  model: str
  width: int
  depth: int
  window: int
  changes: Mapping[str, Any]
  evals: Mapping[str, Mapping[str, Any]]
  rates: tuple[float, ...]
  seeds: int = 3
  batches: int = 10

  @property
  def name(self) -> str:
    """Its folder, inside the folder of all runs."""
    return f'{self.study}/{self.task}-{self.model}-{self.width}'


def copy_memory() -> Iterator[Cell]:
  """Does a memory keep any of ten symbols over a thousand steps?"""
  for model in ('lstm', 'gru'):
    yield Cell(
      study='copy_memory',
      task='T1000',
      family=f'copy_memory:{model}',
      model=model,
      width=128,
      depth=1,
      window=1,
      changes={
        'task.delay': 1000,
        'train.steps': 400,
        'train.batch_size': 32,
        'train.steps_per_call': 10,
      },
      evals={'held_out': {}},
      rates=(1e-3,),
    )


def adding() -> Iterator[Cell]:
  """Does a memory add two marked numbers among 200 or 600?"""
  for length, model in itertools.product((200, 600), ('gru', 'lstm')):
    yield Cell(
      study='adding',
      task=f'T{length}',
      family=f'adding:{model}',
      model=model,
      width=128,
      depth=1,
      window=1,
      changes={
        'task.length': length,
        'train.steps': 2000,
        'train.batch_size': 32,
        'train.steps_per_call': 20,
      },
      evals={'held_out': {}},
      rates=(2e-3,),
    )


def mqar() -> Iterator[Cell]:
  """How much state does it take to recall 4 or 8 pairs?"""
  models = ('transformer', 'transformer_xl', 'lstm', 'gru')
  sizes = (
    *itertools.product(((64, 4),), (*models, 'schlag_delta'), (16, 32, 64)),
    *itertools.product(((128, 8),), models, (16, 32)),
  )
  for (length, pairs), model, width in sizes:
    yield Cell(
      study='mqar',
      task=f'{length}x{pairs}',
      family=f'mqar:{model}',
      model=model,
      width=width,
      depth=2,
      window=length,
      changes={
        'task.length': length,
        'task.pairs': pairs,
        'task.vocab': 256,
        'train.steps': 3000,
        'train.batch_size': 32,
        'train.steps_per_call': 10,
      },
      evals={'held_out': {}},
      rates=(1e-3,),
    )


def chomsky() -> Iterator[Cell]:
  """Does a rule learned on lengths up to 40 hold up to length 500?"""
  tasks = (
    'parity',
    'even_pairs',
    'modular_arithmetic',
    'reverse',
    'duplicate',
  )
  longer = {'task': {'shortest': 41, 'longest': 500}}
  # No parameter depends on these sizes, so they can hold the longest row.
  cells = longer | {'model': {'layer': {'slots': 512}}}
  window = longer | {'model': {'layer': {'window': 1023}}}
  models: Mapping[str, Mapping[str, Any]] = {
    'rnn': longer,
    'lstm': longer,
    'transformer_xl': window | {'batch_size': 25, 'steps': 40},
    'stack_rnn': cells,
    'tape_rnn': cells,
  }
  for task, (model, unseen) in itertools.product(tasks, models.items()):
    yield Cell(
      study='chomsky',
      task=task,
      family=f'chomsky:{task}-{model}',
      model=model,
      width=64,
      depth=1,
      window=96,
      changes={
        'train.steps': 1000,
        'train.batch_size': 64,
        'train.steps_per_call': 10,
      },
      evals={'seen': {}, 'unseen': unseen},
      rates=(2e-3,),
    )


def digits() -> Iterator[Cell]:
  """Does a memory know a digit after its 64 pixels, one by one?"""
  for order, model in itertools.product(
    ('rows', 'bit_reversal'), ('lstm', 'gru')
  ):
    yield Cell(
      study='digits',
      task=order,
      family=f'sequential_images:{model}',
      model=model,
      width=128,
      depth=1,
      window=1,
      changes={'task.order': order, 'train.steps': 1600},
      evals={'test': {'task': {'split': 'test'}}},
      rates=(2e-3,),
      batches=0,
    )


def segments() -> Iterator[Cell]:
  """Does a memory copy a sequence that is no longer in its context?"""
  tasks = itertools.product((3, 6, 9), ('transformer', 'transformer_xl'))
  for count, model in tasks:
    length = 72 // count
    yield Cell(
      study='segments',
      task=f'copy-{count}',
      family=f'segments:copy-{model}',
      model=model,
      width=64,
      depth=4,
      window=length,
      changes={
        'task.segments': count,
        'train.segment_length': length,
        'train.bptt_segments': count,
        'train.steps': 400,
        'train.steps_per_call': 10,
      },
      evals={'held_out': {}},
      rates=(1e-3,),
    )


STUDIES: dict[str, Callable[[], Iterator[Cell]]] = {
  'copy_memory': copy_memory,
  'adding': adding,
  'mqar': mqar,
  'chomsky': chomsky,
  'segments': segments,
  'digits': digits,
}


def cells(studies: Sequence[str] = tuple(STUDIES)) -> list[Cell]:
  """All cells of these studies, in order."""
  return [cell for study in studies for cell in STUDIES[study]()]
