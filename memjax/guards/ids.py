"""Names the place of an id outside the vocabulary.

An id outside a table reads a wrong row or none, and no library warns. So the
compiled step counts such ids. If there is one, the batches since the last row
are made again here, until the first of them is found. An integer of 64 bits is
looked at before the devices cut it to 32.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.tasks.base import TRAINING, Stream
from memjax.types import Batch

KEPT = {'i': np.int32, 'u': np.uint32}  # what is left on a device


def require_ids(experiment: Experiment, steps: range) -> None:
  """Requires all ids of these steps, counted from 0, to be in a vocabulary.

  Raises:
    ConfigError: one is not; the message names the first, and its place.
  """
  task, size = experiment.task, experiment.train.batch_size
  name = experiment.config['task']['name']
  for step in steps:
    for replica in range(experiment.train.replicas):
      stream = Stream(experiment.seed + replica, TRAINING, size)
      batch = task.batch(task.rows(stream, step, np.arange(size)))
      for place in _outside(experiment, batch):
        seed = f'seed {stream.seed}, ' if experiment.train.replicas > 1 else ''
        rule = f'first at {seed}step {step + 1}, {place}'
        raise ConfigError(
          'task', name, f'has ids outside its vocabulary, {rule}'
        )


def _outside(experiment: Experiment, batch: Batch) -> Iterator[str]:
  """'row 3, position 17: the input is 300, must be below 256' for each."""
  task = experiment.task
  for kind, spec, ids in (
    ('input', task.input_spec, batch.inputs),
    ('target', task.output_spec, batch.targets),
  ):
    if not spec.outside(ids):
      continue
    for row, ids_T in enumerate(np.asarray(ids)):
      for position, found in enumerate(ids_T):
        if spec.outside(found):
          values = np.ravel(found)
          wrong = values[(values < 0) | (values >= spec.size)][0]
          yield (
            f'row {row}, position {position}: the {kind} is {wrong}, must be '
            f'from 0 to below {spec.size}'
          )


def require_32_bits(rows: Any, step: int) -> None:
  """Requires the integers of a host batch to keep their value on a device.

  Args:
    rows: a tree of numpy arrays.
    step: counted from 0, for the message.

  Raises:
    ConfigError: one of them needs more than 32 bits.
  """
  for leaf in jax.tree.leaves(rows):
    if leaf.dtype.kind in KEPT and leaf.dtype.itemsize == 8 and leaf.size:
      kept = np.iinfo(KEPT[leaf.dtype.kind])
      for value in (int(leaf.min()), int(leaf.max())):
        if not kept.min <= value <= kept.max:
          rule = f'a row of step {step + 1} has it: it does not fit in 32 bits'
          raise ConfigError('task', value, rule)
