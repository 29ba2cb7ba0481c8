"""Spans that tags name, such as entities: found, missed and invented.

A tag is O, outside of all spans, or the place of a word in a span and the
span's type: B-PER begins one, I-PER is inside, E-PER ends one, S-PER is one of
a single word. A span ends before an O, a B, an S or another type, and after an
E or S; an I or E that continues none begins one. It is found if its first word,
its last word and its type are right: the definition of CoNLL's program and of
seqeval, https://github.com/chakki-works/seqeval, in its default mode. With P
predicted and G given spans of which F are in both,

    precision F / P,   recall F / G,   f1 2 F / (P + G)

each over all texts of the set together. Without a span a figure is NaN.
"""

from collections.abc import Sequence
import dataclasses
import re
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from memjax.data.tokenizers import Marked
from memjax.errors import require
from memjax.evaluation.base import Evaluation, Measure, Training
from memjax.evaluation.totals import measure_with
from memjax.models.base import apply
from memjax.tasks.base import invalid_ids
from memjax.training.step import cast
from memjax.types import Batch, Carry, Metric, Metrics, Params, Sums

TAG = re.compile(r'O|([BIES])(?:-(.*))?')
O, B, I, E, S = range(5)  # noqa: E741


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanF1(Evaluation):
  """Spans of tags; a row is read whole.

  Figures: `f1`, `precision` and `recall`, from 0 to 1.
  """

  def prepare(self, training: Training, mesh: Mesh) -> Measure:
    """See `Evaluation.prepare`.

    Raises:
      ConfigError: the task has no tags, or they name no spans.
    """
    field, name = f'evals.{self.set_name}.name', type(self).__name__
    marks = self.task.text_tokenizer
    names = marks.classes if isinstance(marks, Marked) else ()
    rule = "needs a task of pairs with task.answer='tags'"
    tags = bool(names) and not self.task.input_spec.separator_id
    require(tags, field, name, rule)
    rule = f'needs tags such as O, B-PER and I-PER, not {", ".join(names[:5])}'
    require(all(map(TAG.fullmatch, names)), field, name, rule)
    parts, dtype = parts_of(names), training.train.dtype

    def read_batch(
      params: Params, carry: Carry, batch: Batch
    ) -> tuple[Carry, Sums]:
      params, batch = cast(params, batch, dtype)
      rows = batch.inputs, batch.reset_BT
      carry, y = apply(self.model, params, carry, *rows)
      metrics = measure_spans(parts, jnp.argmax(y, axis=-1), batch)
      return carry, Sums(metrics, invalid_ids(self.task, batch))

    return measure_with(read_batch, self, training, mesh)


class Parts(NamedTuple):
  """What each class of tags says.

  Attributes:
    place_V: int32, one of O, B, I, E, S.
    type_V: int32, the number of its type.
  """

  place_V: np.ndarray
  type_V: np.ndarray


class Spans(NamedTuple):
  """Where spans lie in rows.

  Attributes:
    starts_BT: bool, their first words.
    last_BT: int32, the last word of the span that begins here.
    type_BT: int32, the types of the words.
  """

  starts_BT: jax.Array
  last_BT: jax.Array
  type_BT: jax.Array


def parts_of(names: Sequence[str]) -> Parts:
  """The parts of tags that `TAG` knows."""
  types: dict[str, int] = {}
  places, numbers = [], []
  for name in names:
    match = TAG.fullmatch(name)
    assert match, name
    places.append('OBIES'.index(match[1] or 'O'))
    numbers.append(types.setdefault(match[2] or '', len(types)))
  return Parts(np.array(places, np.int32), np.array(numbers, np.int32))


def find_spans(
  parts: Parts, tag_BT: jax.Array, words_BT: jax.Array, first_BT: jax.Array
) -> Spans:
  """The spans of rows.

  Args:
    parts: of the classes.
    tag_BT: classes.
    words_BT: True at words; else there is none.
    first_BT: True at the first word of a text.
  """
  place_BT = jnp.where(words_BT, jnp.asarray(parts.place_V)[tag_BT], O)
  type_BT = jnp.asarray(parts.type_V)[tag_BT]
  outside = [(0, 0), (1, 0)]
  before_BT = jnp.where(first_BT, O, jnp.pad(place_BT, outside)[:, :-1])
  other_BT = type_BT != jnp.pad(type_BT, outside)[:, :-1]
  begins_BT = (place_BT == B) | (place_BT == S) | other_BT
  begins_BT |= (before_BT == O) | (before_BT == E) | (before_BT == S)
  starts_BT = (place_BT != O) & begins_BT
  open_BT = (place_BT != O) & ~begins_BT  # the word continues a span
  ends_BT = ~jnp.pad(open_BT, [(0, 0), (0, 1)])[:, 1:]
  step_T = jnp.arange(tag_BT.shape[1])[None]
  far = tag_BT.shape[1]
  last_BT = lax.cummin(jnp.where(ends_BT, step_T, far), axis=1, reverse=True)
  return Spans(starts_BT, last_BT, type_BT)


def measure_spans(parts: Parts, tag_BT: jax.Array, batch: Batch) -> Metrics:
  """The figures of predicted classes, as sums and counts."""
  where = batch.loss_weights_BT > 0, batch.reset_BT
  found = find_spans(parts, tag_BT, *where)
  given = find_spans(parts, batch.targets, *where)
  both_BT = found.starts_BT & given.starts_BT
  both_BT &= (found.last_BT == given.last_BT) & (found.type_BT == given.type_BT)
  right, guessed, there = (
    hits_BT.sum(dtype=jnp.float32)
    for hits_BT in (both_BT, found.starts_BT, given.starts_BT)
  )
  return {
    'f1': Metric(2 * right, guessed + there),
    'precision': Metric(right, guessed),
    'recall': Metric(right, there),
  }
