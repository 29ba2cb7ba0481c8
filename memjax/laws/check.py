"""All laws of a memory, in the order in which they are tried.

`docs/laws.md` has the equation of each.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from memjax.errors import nearest, require
from memjax.laws import behaviour, form, purity
from memjax.laws.broken import Broken, explain
from memjax.laws.subject import Subject
from memjax.models.base import Memory

PASSED, BROKEN, ON_PURPOSE, ADVICE = 'passed', 'broken', 'on purpose', 'advice'


class Law(NamedTuple):
  """What every memory obeys.

  Attributes:
    title: the law in a few words.
    check: raises Broken, or returns a remark.
    needed: whether later laws cannot be tried if this one is broken.
    advice: whether a memory of the user's own may break it.
  """

  title: str
  check: Callable[[Subject], str]
  needed: bool = False
  advice: bool = False

  @property
  def name(self) -> str:
    return self.check.__name__


class Outcome(NamedTuple):
  """What was seen of a law.

  Attributes:
    law: which one.
    state: 'passed', 'broken', 'on purpose' or 'advice'.
    text: a remark, or what was seen.
    hint: what usually causes it; '' if it passed or nothing is usual.
  """

  law: Law
  state: str
  text: str
  hint: str = ''


LAWS = (
  Law('initial_carry, a call with train, width', form.methods, needed=True),
  Law('carry leaves are (B, ...)', form.batch_first, needed=True),
  Law('segments of 1 and 11 steps are read', form.traces, needed=True),
  Law('the carry comes out as it went in', form.same_carry, needed=True),
  Law('a float32 carry in bfloat16 too', form.bfloat16),
  Law('operands have equal ranks', form.ranks, advice=True),
  Law('outputs and carry are finite', behaviour.finite, needed=True),
  Law('rows are independent', behaviour.rows),
  Law('whole = pieces = single steps', behaviour.segments),
  Law('reset before any step', behaviour.reset),
  Law('no output sees later inputs', behaviour.causal),
  Law('sees as far back as it says', behaviour.horizon),
  Law('serves another horizon', behaviour.another_horizon),
  Law('the same twice', purity.pure),
  Law('the same without jit', purity.eager),
  Law('replicas under vmap', purity.replicas),
)


def check_laws(
  subject: Subject, begin: Callable[[Law], None] = lambda law: None
) -> Iterator[Outcome]:
  """Tries all laws; stops at a broken one that the later ones need.

  Args:
    subject: the memory, and what it reads.
    begin: called with each law before it is tried.

  Raises:
    ConfigError: the memory's `breaks` names a law that does not exist.
  """
  purposes = on_purpose(subject.model)
  for law in LAWS:
    begin(law)
    outcome = try_law(law, subject, purposes.get(law.name, ''))
    yield outcome
    if law.needed and outcome.state == BROKEN:
      return


def try_law(law: Law, subject: Subject, purpose: str = '') -> Outcome:
  """Tries one law; an exception inside the memory's code breaks it.

  Args:
    law: what is tried.
    subject: the memory, and what it reads.
    purpose: why the memory breaks the law on purpose; '' if it does not.
  """
  try:
    remark = law.check(subject)
  except Broken as broken:
    error = broken
  except Exception as failure:  # any that a user's class may raise
    error = explain(failure, subject.model)
  else:
    if not purpose:
      return Outcome(law, PASSED, remark)
    seen = f'it holds, and the class declares that it does not: {purpose}'
    return Outcome(law, BROKEN, seen, 'an old declaration: remove it')
  if purpose:
    return Outcome(law, ON_PURPOSE, purpose)
  state = ADVICE if law.advice else BROKEN
  return Outcome(law, state, error.seen, error.hint)


def on_purpose(model: Memory) -> Mapping[str, str]:
  """{law: reason} for each law that the memory breaks on purpose.

  Raises:
    ConfigError: `breaks` names a law that does not exist.
  """
  names = {law.name for law in LAWS if not (law.needed or law.advice)}
  for name in model.breaks:
    rule = f'is not a law that a memory can break; {nearest(name, names)}'
    require(name in names, f'{type(model).__name__}.breaks', name, rule)
  reads_ahead = {} if model.causal else {'causal': 'causal = False'}
  return {**reads_ahead, **model.breaks}
