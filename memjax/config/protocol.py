"""The evaluation protocol: what must be said beside a figure.

Two figures on one text are of one kind only if it was read alike: in segments
of which length, with how long a memory, whether the carry flows from segment to
segment, and if not, by how much windows overlap. A vanilla Transformer that
slides by one token has carry 'fresh' and stride 1.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from memjax.errors import ConfigError, require
from memjax.models.base import Memory
from memjax.tasks.base import Task

TASKS = {'segment': 'length', 'stride': 'stride', 'carry': 'carry'}
MODELS = ('memory', 'clamp')
SWEPT = (*TASKS, *MODELS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
  """How a set was evaluated.

  Attributes:
    segment: tokens that the model reads in a call.
    memory: positions before the segment that it sees, by its field `memory`; 0
      where it has none.
    clamp: its field `clamp`; 0 where it has none.
    stride: labels that weigh in a segment; fewer than `segment`, if windows
      overlap: then each has at least segment - stride tokens before its own,
      but for those of the first window, which all weigh.
    carry: 'flows' from segment to segment, fresh where a lane starts; or
      'fresh' at each.
    tokenisation: 'bytes' or 'characters'; empty where there is no text.
    lanes: rows that are read side by side.
    steps: of so many segments each; every label weighs once in an epoch.
    parameters: 'last', or their moving average, 'ema'.
    dtype: the compute type.
    data: the fingerprint of what was read, or 'generated'.
    fields: all of the task and the model, {'model.memory.memory': 64}.
  """

  segment: int
  memory: int
  clamp: int
  stride: int
  carry: str
  tokenisation: str
  lanes: int
  steps: int
  parameters: str
  dtype: str
  data: str
  fields: Mapping[str, Any]

  def to_json(self) -> dict[str, Any]:
    """For a row of `metrics.jsonl`, the fields of task and model inside."""
    said = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    fields = said.pop('fields')
    return said | fields


def of_parts(task: Task, model: Memory, **said: Any) -> Protocol:
  """The protocol of a task and a model; `said` is what they do not tell."""
  layer = counting(model)
  return Protocol(
    segment=task.length,
    stride=stride_of(task),
    carry=task.carry,
    tokenisation=task.tokenizer.kind if task.tokenizer else '',
    memory=getattr(layer, 'memory', 0),
    clamp=getattr(layer, 'clamp', 0),
    data=task.fingerprint()[:12] or 'generated',
    **said,
  )


def changes(
  asked: Mapping[str, Any], task: Task, model: Memory
) -> dict[str, dict[str, Any]]:
  """What a protocol changes in the specs of the trained task and model.

  Args:
    asked: {'stride': 1}, what is not 0 or empty.
    task: the trained one.
    model: the trained one.

  Returns:
    {'task': {...}, 'model': {...}}.

  Raises:
    ConfigError: the task is read in one way only, or no layer of the model
      counts what is named so.
  """
  layer = counting(model)
  of_layer = {name: asked[name] for name in MODELS if name in asked}
  of_task = {name: asked[name] for name in TASKS if name in asked}
  for part, values, rule in (
    (task, of_task, 'makes rows that are read one by one: only text is cut'),
    (layer, of_layer, 'has no such field'),
  ):
    known = {f.name for f in dataclasses.fields(part)}
    for name, value in values.items():
      there = ('carry' if part is task else name) in known
      require(there, name, value, f'{type(part).__name__} {rule}')
  return {
    'task': {TASKS[name]: value for name, value in of_task.items()},
    'model': of_layer if layer is model else {'memory': of_layer},
  }


def as_asked(error: ConfigError, asked: Mapping[str, Any]) -> ConfigError:
  """The error under the protocol's name of the field, if that set the field."""
  place = error.field.rpartition('.')[2]
  name = {path: name for name, path in TASKS.items()}.get(place, place)
  return ConfigError(name, error.value, error.rule) if name in asked else error


def check_context(task: Task, model: Memory) -> None:
  """Requires overlapping windows to fit a context that starts anew when full.

  Raises:
    ConfigError: a label would have fewer tokens before it than it is said to.
  """
  limits = (
    getattr(counting(model), 'context', 0),
    getattr(model, 'positions', 0),
  )
  context = min(filter(None, limits), default=task.length)
  rule = f'must be at most {context} for windows that overlap: the context of '
  rule += 'the model starts anew there'
  fits = stride_of(task) == task.length or task.length <= context
  require(fits, 'segment', task.length, rule)


def stride_of(task: Task) -> int:
  """Labels that weigh in a row, but for a text's first."""
  return getattr(task, 'stride', 0) or task.length


def counting(model: Memory) -> Memory:
  """What counts positions: a Stack's layers, or a whole model itself."""
  layer = getattr(model, 'memory', model)
  return layer if isinstance(layer, Memory) else model
