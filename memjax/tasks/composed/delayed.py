"""Delayed: another task whose labels come k steps late.

A memory then answers for a step when it has read k more, as
`models/composed/lookahead.py` does.

Paper: Graves & Schmidhuber 2005, https://doi.org/10.1016/j.neunet.2005.06.042,
who delay the targets of a unidirectional LSTM by 0 to 10 frames.
Specification: a run goes from a reset to the step before the next one. After
each run, k blank steps: the input is a further id V, an empty sentence, or
zeros. What pads a row belongs to its last run. The label of step t moves to
t + k. So no label is lost at the end of a run, and none falls into the next
one. Rows are k steps longer for each run that the fullest row has.
Labels: those of the task, each with its own place on the score axis, which is
not moved: a distance is counted from the step that the label speaks of.
Metrics: those of the task, and its baselines.
Deviations: none.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import Task
from memjax.tasks.composed.wrapper import SameLabels
from memjax.tasks.language.hidden_tags import HiddenTags
from memjax.types import Batch, HostBatch, Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delayed(SameLabels):
  """A task whose labels come late.

  Attributes:
    task: the task. Its rows do not continue from step to step, and its labels
      are not among its later inputs.
    steps: k, at least 0.
  """

  task: Task = dataclasses.field(default_factory=HiddenTags)
  steps: int = 1

  def __post_init__(self) -> None:
    require(self.steps >= 0, 'steps', self.steps, 'must be at least 0')
    name = type(self.task).__name__
    rule = 'has its labels among later inputs: a late answer could copy them'
    require(not self.task.labels_are_inputs, 'task.name', name, rule)
    rule = 'has rows that continue: late labels would fall into the next row'
    require(not self.task.carry_over, 'task.name', name, rule)

  @property
  def input_spec(self) -> Spec:
    spec = self.task.input_spec
    return spec.resized(spec.size + 1) if self.steps and spec.classes else spec

  @property
  def output_spec(self) -> Spec:
    return self.task.output_spec

  @property
  def length(self) -> int:
    return self.task.length + self.steps * self.runs

  @property
  def runs(self) -> int:
    return self.task.runs

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def label_delay(self) -> int:
    return self.steps

  def batch(self, host_batch: HostBatch) -> Batch:
    batch = jax.tree.map(jnp.asarray, self.task.batch(host_batch))
    run_BT = jnp.cumsum(batch.reset_BT.astype(jnp.int32), axis=1)
    place_BT = jnp.arange(self.task.length)[None] + self.steps * (run_BT - 1)
    spec = self.task.input_spec
    blank = spec.size if self.steps and spec.classes else 0

    def spread(value: Any, late: int = 0, empty: int = 0) -> Any:
      shape = len(value), self.length, *value.shape[2:]
      row_B1 = jnp.arange(len(value))[:, None]
      empty_BT = jnp.full(shape, empty, value.dtype)
      return empty_BT.at[row_B1, place_BT + late].set(value)

    return Batch(
      spread(batch.inputs, 0, blank),
      spread(batch.targets, self.steps),
      spread(batch.loss_weights_BT, self.steps),
      spread(batch.reset_BT),
      jax.tree.map(lambda x: spread(x, self.steps), batch.score_axis_BT),
    )
