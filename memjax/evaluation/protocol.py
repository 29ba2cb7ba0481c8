"""The evaluation protocol: the settings that a figure depends on.

Two figures on one text can be compared only if the text was read alike: in
segments of the same length, with the same memory, with a carry that goes on
from segment to segment or not, and, if not, with windows that overlap alike. A
vanilla Transformer that slides by one token has `carry_over` False and stride
1.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
  """How a set was evaluated.

  Attributes:
    segment_length: steps that the model reads in a call.
    horizon: number of earlier steps that an output may depend on; 0: no bound.
    stride: steps between the starts of two windows. Below `segment_length`
      windows overlap: each label has at least segment_length - stride tokens
      before its own, except in the first window, whose labels all count.
    carry_over: whether a row continues the same row of the step before; else
      each row starts with an empty memory.
    tokenisation: 'bytes' or 'characters'; empty where there is no text.
    streams: rows that are read side by side.
    steps: number of batches; in an epoch every label counts once.
    parameters: 'last', or their moving average, 'ema'.
    dtype: the compute type.
    data: the fingerprint of the data, or 'generated'.
    fields: of task and model, by path, {'model.layer.window': 64}.
  """

  segment_length: int
  horizon: int
  stride: int
  carry_over: bool
  tokenisation: str
  streams: int
  steps: int
  parameters: str
  dtype: str
  data: str
  fields: Mapping[str, Any]

  def to_json(self) -> dict[str, Any]:
    """For a row of `metrics.jsonl`; the fields stand beside the others."""
    record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    fields = record.pop('fields')
    return record | fields


def protocol_of(task: Task, model: Memory, **settings: Any) -> Protocol:
  """The protocol of a task and a model.

  Args:
    task: the task evaluated.
    model: the model evaluated.
    **settings: the protocol's fields that neither of them knows.
  """
  return Protocol(
    segment_length=task.length,
    horizon=model.horizon,
    stride=task.row_stride,
    carry_over=task.carry_over,
    tokenisation=task.text_tokenizer.unit if task.text_tokenizer else '',
    data=task.fingerprint()[:12] or 'generated',
    **settings,
  )


def check_overlap(task: Task, model: Memory) -> None:
  """Requires windows that overlap to fit into what the model sees.

  Raises:
    ConfigError: a label would have fewer tokens before it than the protocol
      says.
  """
  context = model.block or task.length
  rule = f'must be at most {context} for windows that overlap: the context of '
  rule += 'the model starts anew there'
  fits = task.row_stride == task.length or task.length <= context
  require(fits, 'task.length', task.length, rule)
