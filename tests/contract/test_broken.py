"""The laws catch a memory that breaks them, and say where and why."""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.laws.check import (
  ADVICE,
  BROKEN,
  LAWS,
  ON_PURPOSE,
  PASSED,
  Outcome,
  check_laws,
  try_law,
)
from memjax.laws.subject import Subject
from memjax.models.attention.transformer import SlidingAttention
from memjax.models.base import Memory
from memjax.ops.steps import forget
from memjax.types import Features

WIDTH = 2


class Decay(Memory):
  """y_t = c_t = rate c_(t-1) + x_t: a memory that keeps the laws."""

  width: int = WIDTH

  def initial_carry(self, batch_size: int) -> Any:
    shape = batch_size, WIDTH
    return {'c': jnp.zeros(shape), 'd': jnp.zeros(shape)}

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    rate_D = self.param('rate', nn.initializers.constant(0.9), (WIDTH,))
    fresh = Decay.initial_carry(self, x.shape[0])

    def step(carry: Any, xs: Any) -> Any:
      x_BD, reset_B = xs
      carry = forget(reset_B, fresh, carry)
      c = carry['c'] * rate_D.astype(jnp.float32)[None]
      carry = carry | {'c': c + x_BD.astype(jnp.float32)}
      return carry, carry['c']

    xs = jnp.moveaxis(x, 1, 0), jnp.moveaxis(reset_BT, 1, 0)
    carry, y = jax.lax.scan(step, carry, xs)
    return carry, jnp.moveaxis(y, 0, 1)


class RestartsInSegments(Decay):
  """Forgets at the end of each segment."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    _, y = super().__call__(carry, x, reset_BT, **kwargs)
    return self.initial_carry(x.shape[0]), y


class CountsInSegment(Decay):
  """Counts steps from the start of the segment."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry, y + jnp.arange(x.shape[1], dtype=y.dtype)[None, :, None]


class LosesASlot(SlidingAttention):
  """Its window is one key short at each border of segments."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry._replace(count_B=jnp.maximum(carry.count_B - 1, 0)), y


class SaysAHorizon(SlidingAttention):
  """Sees as far as its window, whatever its horizon says."""

  def initial_carry(self, batch_size: int) -> Any:
    sizes = self.width, self.head_width, self.window
    return SlidingAttention(*sizes, parent=None).initial_carry(batch_size)

  @nn.compact
  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    inner = SlidingAttention(self.width, self.head_width, self.window)
    return inner(carry, x, reset_BT, **kwargs)


class SeesFurther(SaysAHorizon):
  """Sees one step more than its horizon."""

  @property
  def horizon(self) -> int:
    return self.window - 1


class SeesLess(SaysAHorizon):
  """Sees one step less than its horizon."""

  @property
  def horizon(self) -> int:
    return self.window + 1


class IgnoresHorizon(SlidingAttention):
  """Ignores the horizon that it is given."""

  def with_horizon(self, horizon: int) -> Memory:
    return self


class LearnsWindow(SlidingAttention):
  """Has a parameter for each step of its window."""

  @nn.compact
  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    self.param('ages', nn.initializers.ones, (self.window,))
    inner = SlidingAttention(self.width, self.head_width, self.window)
    return inner(carry, x, reset_BT, **kwargs)


class NeverForgets(Decay):
  """Ignores resets."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return super().__call__(carry, x, jnp.zeros_like(reset_BT), **kwargs)


class ForgetsLate(Decay):
  """Forgets one position late."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    late_BT = jnp.roll(reset_BT, 1, axis=1).at[:, 0].set(False)
    return super().__call__(carry, x, late_BT, **kwargs)


class ForgetsInAllRows(Decay):
  """A reset of one row resets all rows."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    any_BT = jnp.broadcast_to(reset_BT.any(0)[None], reset_BT.shape)
    return super().__call__(carry, x, any_BT, **kwargs)


class ReadsAhead(Decay):
  """Reads one input ahead."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return super().__call__(carry, jnp.roll(x, -1, 1), reset_BT, **kwargs)


class SaysItReadsAhead(Decay):
  """Declares that it is not causal, and is."""

  causal = False


class BatchLast(Decay):
  """Keeps its carry as `(D, B)`."""

  def initial_carry(self, batch_size: int) -> Any:
    return jax.tree.map(jnp.transpose, super().initial_carry(batch_size))

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry = jax.tree.map(jnp.transpose, carry)
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return jax.tree.map(jnp.transpose, carry), y


class HalfPrecision(Decay):
  """Returns a carry in its compute type."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry | {'c': carry['c'].astype(x.dtype)}, y


class OneZero(Decay):
  """Two leaves of its first carry are one array."""

  def initial_carry(self, batch_size: int) -> Any:
    zeros = jnp.zeros((batch_size, WIDTH))
    return {'c': zeros, 'd': zeros}


class OneState(Decay):
  """Two leaves of each later carry are one array."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry | {'d': carry['c']}, y


class Counts(Decay):
  """Remembers, outside its carry, how often it was called."""

  calls = 0

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    type(self).calls += 1
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry, y + self.calls


class CallsTheHost(Decay):
  """Calls the host in a way that vmap does not support."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    x = jax.pure_callback(np.asarray, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
    return super().__call__(carry, x, reset_BT, **kwargs)


class ReadsAheadOnPurpose(ReadsAhead):
  """Declares that it is not causal."""

  causal = False


class ReadsAheadAndHidesIt(ReadsAhead):
  """Declares a law that does not exist."""

  @property
  def breaks(self) -> dict[str, str]:
    return {'casual': 'reads one input ahead'}


class SaysItMixesRows(Decay):
  """Declares a law as broken, and keeps it."""

  @property
  def breaks(self) -> dict[str, str]:
    return {'rows': 'normalises over the batch'}


class NoTrain(Decay):
  """Its call has no `train`."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any) -> Any:  # type: ignore[override]
    return super().__call__(carry, x, reset_BT)


class OwnSize(Decay):
  """Its carry has a batch size of its own."""

  def initial_carry(self, batch_size: int) -> Any:
    return super().initial_carry(5)


class Numbers(Decay):
  """Its carry is a Python number."""

  def initial_carry(self, batch_size: int) -> Any:
    return {'c': 0.0, 'd': 0.0}


class EmptyLeaf(Decay):
  """A leaf of its carry has no element."""

  def initial_carry(self, batch_size: int) -> Any:
    carry = super().initial_carry(batch_size)
    return carry | {'d': jnp.zeros((batch_size, 0))}


class CountsInFloats(Decay):
  """An integer leaf of its carry comes out as floats."""

  def initial_carry(self, batch_size: int) -> Any:
    carry = super().initial_carry(batch_size)
    return carry | {'d': jnp.zeros((batch_size,), jnp.int32)}

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    before = super().initial_carry(x.shape[0]) | {'c': carry['c']}
    carry, y = super().__call__(before, x, reset_BT, **kwargs)
    return carry | {'d': y[:, -1, 0]}, y


class DropsALeaf(Decay):
  """A leaf of its carry does not come out."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return {'c': carry['c']}, y


class CarryTimeFirst(Decay):
  """Its carry comes out of a scan with time first."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry | {'d': jnp.moveaxis(y, 1, 0)}, y


class OutputsTimeFirst(Decay):
  """Its outputs come out of a scan with time first."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry, jnp.moveaxis(y, 1, 0)


class Wider(Decay):
  """Its outputs have another width."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    carry, y = super().__call__(carry, x, reset_BT, **kwargs)
    return carry, jnp.concatenate([y, y], -1)


class Swapped(Decay):
  """Returns outputs and carry in the other order."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return super().__call__(carry, x, reset_BT, **kwargs)[::-1]


class Branches(Decay):
  """Python's if on an array."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    if reset_BT.any():
      carry = self.initial_carry(x.shape[0])
    return super().__call__(carry, x, reset_BT, **kwargs)


class KeepsAVariable(Decay):
  """Keeps its last output in a variable of flax."""

  @nn.compact
  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    last = self.variable('cache', 'last', jnp.zeros, (x.shape[0], WIDTH))
    carry, y = Decay(name='decay')(carry, x, reset_BT, **kwargs)
    last.value = y[:, -1]
    return carry, y


class Promotes(Decay):
  """Adds a vector to a matrix of vectors."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    return super().__call__(carry, x + jnp.ones(WIDTH), reset_BT, **kwargs)


class DividesByItsCarry(Decay):
  """NaN at the first step: 0 / 0."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    share = (carry['c'] / carry['c'])[:, None]
    return super().__call__(carry, x * share, reset_BT, **kwargs)


class NormalisesTheBatch(Decay):
  """Subtracts the mean of the batch."""

  def __call__(self, carry: Any, x: Any, reset_BT: Any, **kwargs: Any) -> Any:
    x = x - x.mean(0, keepdims=True)
    return super().__call__(carry, x, reset_BT, **kwargs)


class DrawsItsCarry(Decay):
  """Its first carry is random, by Python's state."""

  def initial_carry(self, batch_size: int) -> Any:
    carry = super().initial_carry(batch_size)
    draw = np.random.default_rng().normal(size=(batch_size, WIDTH))
    return carry | {'c': jnp.asarray(draw, jnp.float32)}


def tried(memory: Memory, law: str) -> Outcome:
  """What is seen of one law."""
  subject = Subject(memory, Features(WIDTH))
  return try_law(next(one for one in LAWS if one.name == law), subject)


def test_a_memory_that_reads_ahead_may_declare_it() -> None:
  seen = check_laws(Subject(ReadsAheadOnPurpose(), Features(WIDTH)))
  states = {outcome.law.name: outcome.state for outcome in seen}
  assert states['causal'] == ON_PURPOSE
  assert states['rows'] == PASSED


def test_a_declaration_that_is_not_true_is_broken() -> None:
  seen = check_laws(Subject(SaysItMixesRows(), Features(WIDTH)))
  outcome = next(outcome for outcome in seen if outcome.law.name == 'rows')
  assert outcome.state == BROKEN
  assert 'normalises over the batch' in outcome.text


def test_a_declared_law_exists() -> None:
  with pytest.raises(ConfigError, match='mean causal'):
    next(check_laws(Subject(ReadsAheadAndHidesIt(), Features(WIDTH))))


def test_a_correct_memory_keeps_every_law() -> None:
  seen = list(check_laws(Subject(Decay(), Features(WIDTH))))
  assert [outcome.law for outcome in seen] == list(LAWS)
  assert {outcome.state for outcome in seen} == {PASSED}


@pytest.mark.parametrize(
  ('memory', 'law', 'words'),
  [
    (NoTrain(), 'methods', "unexpected keyword argument 'train'"),
    (BatchLast(), 'batch_first', 'the batch of 3 is axis 1, and axis 0 has 2'),
    (OwnSize(), 'batch_first', '(5, 2) for 3 rows and (5, 2) for 4'),
    (Numbers(), 'batch_first', 'leaf `c` of the carry is of type float'),
    (EmptyLeaf(), 'batch_first', 'leaf `d` of the carry is empty'),
    (OutputsTimeFirst(), 'traces', 'time comes first'),
    (Wider(), 'traces', 'the last axis must be width, 2'),
    (Swapped(), 'traces', '(carry, outputs), in this order'),
    (Branches(), 'traces', '`if reset_BT.any():`'),
    (KeepsAVariable(), 'traces', "collection 'cache'"),
    (CountsInFloats(), 'same_carry', 'as int32 (3,) and comes out as float32'),
    (DropsALeaf(), 'same_carry', 'leaf `d` of the carry is missing'),
    (CarryTimeFirst(), 'same_carry', 'comes out as float32 (1, 3, 2)'),
    (HalfPrecision(), 'bfloat16', 'comes out as bfloat16 (3, 2)'),
    (DividesByItsCarry(), 'finite', 'NaN, first at row 0, step 0'),
    (NormalisesTheBatch(), 'rows', 'First at row 2, step 0'),
    (ForgetsInAllRows(), 'rows', 'Resets of rows 0 to 1 change'),
    (RestartsInSegments(), 'segments', 'is not in the carry'),
    (CountsInSegment(), 'segments', 'Pieces of 1 and 11 steps'),
    (LosesASlot(WIDTH, WIDTH, 3), 'segments', 'First at row'),
    (NeverForgets(), 'reset', 'First at row 0, step 40'),
    (ForgetsLate(), 'reset', 'clears after the step'),
    (ReadsAhead(), 'causal', 'Inputs from step 39 on change earlier outputs'),
    (SeesFurther(WIDTH, WIDTH, 3), 'horizon', 'more than 2 steps later'),
    (
      SeesLess(WIDTH, WIDTH, 3),
      'horizon',
      'does not change the output of step 4',
    ),
    (
      IgnoresHorizon(WIDTH, WIDTH, 3),
      'another_horizon',
      'a memory with the horizon',
    ),
    (LearnsWindow(WIDTH, WIDTH, 3), 'another_horizon', 'other parameters'),
    (OneZero(), 'pure', 'leaves `c` and `d` of initial_carry are one array'),
    (DrawsItsCarry(), 'pure', 'another value of leaf `c`'),
    (OneState(), 'eager', 'leaves `c` and `d`'),
    (Counts(), 'eager', 'Outputs differ without jit'),
    (CallsTheHost(), 'replicas', 'NotImplementedError'),
  ],
  ids=lambda x: type(x).__name__ if isinstance(x, Memory) else None,
)
def test_a_broken_memory_is_caught(
  memory: Memory, law: str, words: str
) -> None:
  outcome = tried(memory, law)
  assert outcome.state == BROKEN
  assert words in f'{outcome.text}. {outcome.hint}'
  assert '\n' not in outcome.text


def test_ranks_that_differ_are_advice() -> None:
  with jax.numpy_rank_promotion('allow'):
    seen = list(check_laws(Subject(Promotes(), Features(WIDTH))))
  assert [one.law.name for one in seen if one.state == ADVICE] == ['ranks']
  assert {one.state for one in seen} == {ADVICE, PASSED}
  assert 'test_broken.py' in next(o.text for o in seen if o.state == ADVICE)
