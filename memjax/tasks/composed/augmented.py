"""Augmented: another task whose inputs are disturbed in training.

Papers: Wei & Zou 2019, https://arxiv.org/abs/1901.11196, for drops and swaps;
Xie et al. 2017, https://arxiv.org/abs/1703.02573, for masks.
Specification: a step is open if it has no label and is no separator; with
`labelled`, steps with labels are open, too. In rows of training, of any other
stream nothing:

    swap   an open step and the one after it, if that is open and of the same
           run, exchange their inputs with this probability
    mask   an open step reads a further id V with this probability
    drop   an open step that begins no run is left out with this probability.
           Later steps move up, and the row ends with as many empty steps

in this order. All is a function of seed, stream, step and row.
Labels: those of the task, at the steps they belong to. A distance to a label
gets shorter by the steps that were left out on its way.
Metrics: those of the task, and its baselines.
Deviations: Wei & Zou exchange any two words, and also insert and replace
synonyms; Xie et al. draw the words of a text's own frequencies as well.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import TRAINING, Stream, Task
from memjax.tasks.composed.wrapper import SameLabels
from memjax.tasks.language.pairs import Pairs
from memjax.tasks.stages import row_key
from memjax.types import Batch, HostBatch, Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmented(SameLabels):
  """A task whose training inputs are disturbed.

  Attributes:
    task: the task; it reads tokens.
    swap: probability that two neighbours exchange places.
    mask: probability that a token is masked.
    drop: probability that a step is left out.
    labelled: whether steps with labels are disturbed, too.
  """

  task: Task = dataclasses.field(default_factory=Pairs)
  swap: float = 0.0
  mask: float = 0.0
  drop: float = 0.0
  labelled: bool = False

  def __post_init__(self) -> None:
    for field in ('swap', 'mask', 'drop'):
      value = getattr(self, field)
      require(0 <= value < 1, field, value, 'must be in [0, 1)')
    rule = 'must be 0 where rows continue: labels would leave their row'
    flows = self.drop > 0 and self.task.carry_over
    require(not flows, 'drop', self.drop, rule)
    rule = 'must be False with drop: labels would be lost'
    lost = self.drop > 0 and self.labelled
    require(not lost, 'labelled', self.labelled, rule)

  def prepare(self) -> None:
    super().prepare()
    name, rule = type(self.task).__name__, 'reads no tokens'
    require(self.task.input_spec.classes > 0, 'task.name', name, rule)

  @property
  def input_spec(self) -> Spec:
    spec = self.task.input_spec
    return spec.resized(spec.size + 1) if self.mask else spec

  @property
  def output_spec(self) -> Spec:
    """The mask is an output, too, where a task answers what it reads."""
    same = self.task.output_spec == self.task.input_spec
    return self.input_spec if same else self.task.output_spec

  @property
  def carry_over(self) -> bool:
    return self.task.carry_over

  @property
  def row_stride(self) -> int:
    return self.task.row_stride

  @property
  def labels_are_inputs(self) -> bool:
    return self.task.labels_are_inputs

  @property
  def label_delay(self) -> int:
    return self.task.label_delay

  @property
  def runs(self) -> int:
    return self.task.runs + (self.drop > 0)

  @property
  def longest_source(self) -> int:
    return self.task.longest_source

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    ids_R4 = np.empty((len(row_ids), 4), np.uint32)
    ids_R4[:, :3] = stream.seed, stream.number, step
    ids_R4[:, 3] = row_ids
    return super().rows(stream, step, row_ids), ids_R4

  def batch(self, host_batch: HostBatch) -> Batch:
    inner, ids_R4 = host_batch
    batch = jax.tree.map(jnp.asarray, self.task.batch(inner))
    return jax.vmap(self._disturb)(jnp.asarray(ids_R4), batch)

  def _disturb(self, ids: jax.Array, row: Batch) -> Batch:
    """One row; the arrays of the record lack the axis B."""
    of_swap, of_mask, of_drop = jax.random.split(row_key(ids), 3)
    shape = row.loss_weights_BT.shape
    separator = self.task.input_spec.separator_id
    open_T = (row.inputs != separator) | (separator == 0)
    open_T &= (row.loss_weights_BT == 0) | self.labelled
    open_T &= ids[1] == TRAINING
    inputs = row.inputs
    if self.swap:
      chosen_T = jax.random.bernoulli(of_swap, self.swap, shape)
      inputs = swapped(inputs, chosen_T, open_T, row.reset_BT)
    if self.mask:
      chosen_T = jax.random.bernoulli(of_mask, self.mask, shape) & open_T
      inputs = jnp.where(chosen_T, self.task.input_spec.size, inputs)
    row = row._replace(inputs=inputs)
    if not self.drop:
      return row
    chosen_T = jax.random.bernoulli(of_drop, self.drop, shape)
    distances = self.task.score_axis == 'label_distance'
    return without(row, chosen_T & open_T & ~row.reset_BT, distances)


def swapped(
  inputs_T: jax.Array,
  chosen_T: jax.Array,
  open_T: jax.Array,
  reset_T: jax.Array,
) -> jax.Array:
  """Inputs whose chosen steps have changed places with the next ones."""
  last_T = jnp.arange(len(inputs_T)) == len(inputs_T) - 1
  both_T = open_T & jnp.roll(open_T & ~reset_T, -1) & ~last_T
  first_T = chosen_T & both_T
  # Of several chosen in a row, the first is swapped.
  first_T &= ~jnp.roll(first_T, 1)
  second_T = jnp.roll(first_T, 1)
  inputs = jnp.where(first_T, jnp.roll(inputs_T, -1), inputs_T)
  return jnp.where(second_T, jnp.roll(inputs_T, 1), inputs)


def without(row: Batch, left_out_T: jax.Array, distances: bool) -> Batch:
  """The row without some steps, empty ones of a run of their own at its end."""
  if distances:
    gone_T = jnp.cumsum(left_out_T.astype(jnp.int32))
    origin_T = jnp.arange(len(gone_T)) - row.score_axis_BT
    on_the_way_T = gone_T - gone_T[jnp.maximum(origin_T, 0)]
    row = row._replace(score_axis_BT=row.score_axis_BT - on_the_way_T)
  order_T = jnp.argsort(left_out_T, stable=True)
  place_T = jnp.arange(len(order_T))
  kept = len(order_T) - left_out_T.sum(dtype=jnp.int32)

  def move(value_T: Any) -> Any:
    moved = value_T[order_T]
    real = (place_T < kept).reshape((-1,) + (1,) * (moved.ndim - 1))
    return jnp.where(real, moved, jnp.zeros_like(moved))

  moved = jax.tree.map(move, row)
  return moved._replace(reset_BT=moved.reset_BT | (place_T == kept))
