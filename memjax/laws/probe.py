"""The cheap laws, tried before each run on classes from outside of memjax.

They take a second or two: shapes and types, and short segments, whose rows must
not depend on one another and whose first step must equal a single step.
"""

from collections.abc import Iterator

from memjax.errors import ConfigError
from memjax.laws import behaviour, form
from memjax.laws.broken import is_own, memories, require_close
from memjax.laws.check import BROKEN, Law, on_purpose, try_law
from memjax.laws.subject import PIECE, Subject, draw
from memjax.models.base import Memory, Model
from memjax.types import Features


def first_step(s: Subject) -> str:
  """A call on one step gives the first output of a call on more."""
  if {'causal', 'segments'} & on_purpose(s.model).keys():
    return 'declared otherwise'
  inputs, reset_BT = draw(s.input_spec, s.length)
  _, y = s.read(s.fresh(), inputs, reset_BT)
  _, first = s.read(s.fresh(), inputs[:, :1], reset_BT[:, :1])
  seen = f'A call on one step differs from the first of {s.length} steps'
  require_close(first, y[:, :1], seen, behaviour.AHEAD)
  return ''


CHEAP = tuple(
  Law('', check)
  for check in (
    form.methods,
    form.batch_first,
    form.traces,
    form.same_carry,
    behaviour.finite,
    behaviour.rows,
    first_step,
  )
)
IN_BFLOAT16 = Law('', form.bfloat16)


def refuse_broken(model: Model, dtype: str) -> None:
  """Requires memories that are not of memjax to keep the cheap laws.

  Args:
    model: a whole model; its layers from outside of memjax are tried.
    dtype: the compute type of the run.

  Raises:
    ConfigError: a class breaks a law; the line names the class and the law.
  """
  laws = (*CHEAP, IN_BFLOAT16) if dtype == 'bfloat16' else CHEAP
  for field, memory in from_outside(model):
    spec = model.input_spec if memory is model else Features(memory.width)
    subject, purposes = Subject(memory, spec, PIECE), on_purpose(memory)
    cls = type(memory)
    name = f'{cls.__module__}.{cls.__qualname__}'
    for law in laws:
      seen = try_law(law, subject, purposes.get(law.name, ''))
      if seen.state == BROKEN:
        hint = f'. Hint: {seen.hint}' if seen.hint else ''
        rule = f'breaks the law {law.name}: {seen.text}{hint}'
        raise ConfigError(field, name, rule)


def from_outside(model: Model) -> Iterator[tuple[str, Memory]]:
  """(where in the config, memory) of the user's own, outermost ones only."""
  tried: list[str] = []
  for field, memory in memories(model, 'model'):
    inside = any(field.startswith(f'{outer}.') for outer in tried)
    if is_own(type(memory)) and not inside:
      tried.append(field)
      yield field, memory
