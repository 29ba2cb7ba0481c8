"""Evaluation with a store: the labels of a set, and what similar states said.

The mixture is that of `memjax/generation/neighbours.py` (kNN-LM). Records are
looked up between two compiled calls: one reads a batch, one measures it.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.config.experiment import Experiment
from memjax.errors import require
from memjax.evaluation.base import Evaluation, Measure, Measured, Training
from memjax.evaluation.stream import Loss
from memjax.generation.neighbours import mixed_outputs
from memjax.models.base import apply_body, apply_readout
from memjax.modes.read_log import Label, ReadLog
from memjax.modes.store_space import FrozenSpace, Reading
from memjax.store.records import NONE
from memjax.tasks.base import invalid_ids
from memjax.training.metrics import Row, metric_values
from memjax.training.step import cast
from memjax.types import Batch, Carry, HostBatch, Metric, Params, Sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreLoss(Loss):
  """The loss of a set, with the records of a space.

  Figures: those of `stream.Loss` from the mixture, and `loss_without_store`,
  nats per label of the model alone.

  Attributes:
    space: what is read.
    reading: how it is mixed.
    replica: number of the replica that is measured.
    log: gets what was read, anew in each measurement.
  """

  space: FrozenSpace
  reading: Reading
  replica: int
  log: ReadLog

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    del mesh  # one process and one device: the store is on the host
    read, measure = programs(self, training.train.dtype)
    stream, rows = self.stream(training.seed), np.arange(self.batch_size)

    def measured(params_N: Params) -> Measured:
      params = jax.tree.map(lambda x: x[self.replica], params_N)
      carry = self.model.initial_carry(self.batch_size)
      total: Any = None
      self.log.clear()
      for step in range(self.number_of_steps):
        host_batch = self.task.rows(stream, step, rows)
        carry, batch, h_BTD, y_BTV = read(params, carry, host_batch)
        token, score, seq = self._found(np.asarray(h_BTD, np.float32), batch)
        sums, *gains = measure(y_BTV, batch, token, score)
        self._note(batch, seq, *gains)
        sums = jax.tree.map(np.float64, sums)
        total = sums if total is None else jax.tree.map(np.add, total, sums)
      return Measured(metric_values(total))

    return measured

  def note(self, row: Row) -> Row:
    """The row, with the store that was read, and what was read there."""
    facts, tokenizer = (
      self.reading.describe(self.space),
      self.task.text_tokenizer,
    )
    decode = tokenizer.decode if tokenizer else str
    reads = {'bands': self.log.bands(), 'examples': self.log.shown(decode)}
    return row | {
      'protocol': row['protocol'] | facts,
      'overrides': row['overrides'] | facts,
      'reads': reads,
    }

  def _found(
    self, h_BTD: np.ndarray, batch: Batch
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, cosines and numbers of the records of each label's state."""
    counts_BT = np.asarray(batch.loss_weights_BT) > 0
    found = self.space.nearest(h_BTD[counts_BT])
    shape = *counts_BT.shape, found[0].shape[1]
    token_BTK = np.zeros(shape, np.int32)
    score_BTK = np.full(shape, -np.inf, np.float32)
    seq_BTK = np.full(shape, NONE, np.int64)
    for whole, part in zip((token_BTK, score_BTK, seq_BTK), found, strict=True):
      whole[counts_BT] = part
    return token_BTK, score_BTK, seq_BTK

  def _note(
    self, batch: Batch, seq_BTK: np.ndarray, a_BT: Any, gain_BT: Any
  ) -> None:
    """Keeps of each label that read something what it read and gained."""
    read_BT = seq_BTK[..., 0] != NONE
    seq_L = seq_BTK[..., 0][read_BT]
    age_L, at_L = self.space.seen.end - seq_L, self.space.written(seq_L)
    share_L, gain_L = np.asarray(a_BT)[read_BT], np.asarray(gain_BT)[read_BT]
    inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)

    def label(i: int) -> Label:
      row, time = (int(place[i]) for place in np.nonzero(read_BT))
      before = tuple(inputs[row, : time + 1].tolist())
      return Label(before, int(targets[row, time]), int(seq_L[i]))

    self.log.add(age_L, at_L, share_L, gain_L, label)


def programs(loss: StoreLoss, dtype: str) -> tuple[Any, Any]:
  """What reads a batch, and what measures it with the records found."""
  model, task, mixing = loss.model, loss.task, loss.reading.mixing

  @jax.jit
  def read(
    params: Params, carry: Carry, host_batch: HostBatch
  ) -> tuple[Carry, Batch, jax.Array, jax.Array]:
    params, batch = cast(params, task.batch(host_batch), dtype)
    carry, h = apply_body(model, params, carry, batch.inputs, batch.reset_BT)
    return carry, batch, h, apply_readout(model, params, h)

  @jax.jit
  def measure(
    y_BTV: jax.Array, batch: Batch, token_BTK: jax.Array, score_BTK: jax.Array
  ) -> tuple[Sums, jax.Array, jax.Array]:
    log_BTV, a_BT = mixed_outputs(y_BTV, token_BTK, score_BTK, mixing)
    alone_BTV = jax.nn.log_softmax(y_BTV.astype(jnp.float32))
    target_BT1 = batch.targets[..., None]
    with_BT, alone_BT = (
      jnp.take_along_axis(x_BTV, target_BT1, -1)[..., 0]
      for x_BTV in (log_BTV, alone_BTV)
    )
    weight_BT = batch.loss_weights_BT
    metrics = task.measure(log_BTV, batch)
    alone = Metric(-(alone_BT * weight_BT).sum(), weight_BT.sum())
    metrics |= {'loss_without_store': alone}
    sums = Sums(metrics, invalid_ids(task, batch))
    return sums, a_BT, with_BT - alone_BT

  return read, measure


def with_space(
  experiment: Experiment,
  names: Sequence[str],
  space: FrozenSpace,
  reading: Reading,
  replica: int,
) -> Experiment:
  """The experiment, whose sets of these names read the space.

  Raises:
    ConfigError: a set is measured in another way, or its answers are not
      tokens.
  """
  sets = dict(experiment.evals)
  for name in names:
    check_set(name, sets[name])
    fields = {
      f.name: getattr(sets[name], f.name) for f in dataclasses.fields(Loss)
    }
    sets[name] = StoreLoss(
      **fields, space=space, reading=reading, replica=replica, log=ReadLog()
    )
  return dataclasses.replace(experiment, evals=sets)


def check_set(name: str, evaluation: Evaluation) -> None:
  """Requires a set that a store can help in."""
  kind = type(evaluation).__name__
  rule = 'a store is mixed into sets of stream.Loss with per=set: --set=NAME '
  rule += 'chooses one'
  plain = type(evaluation) is Loss and evaluation.per == 'set'
  require(plain, f'evals.{name}', kind, rule)
  rule = 'has answers that are not tokens: a store holds tokens'
  tokens = bool(evaluation.task.output_spec.classes)
  require(tokens, f'evals.{name}', kind, rule)
