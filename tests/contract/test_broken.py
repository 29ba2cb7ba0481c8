"""The laws catch a memory that breaks them."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.attention.transformer import SlidingAttention
from memjax.models.base import Memory
from memjax.ops.steps import forget
from memjax.types import Features
from tests.contract import laws
from tests.contract.laws import LAWS, SLOW, subject

WIDTH = 2


class Decay(Memory):
  """y_t = c_t = rate c_(t-1) + x_t: a memory that keeps the laws."""

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


class SeesFurther(SlidingAttention):
  """Sees one step more than its horizon."""

  @property
  def horizon(self) -> int:
    return self.window - 1


class SeesLess(SlidingAttention):
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


class TimeFirst(Decay):
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


def test_a_memory_that_reads_ahead_may_declare_it() -> None:
  laws.causal(subject(ReadsAheadOnPurpose(), Features(WIDTH)))


@pytest.mark.parametrize('law', [*LAWS, *SLOW])
def test_a_correct_memory_keeps_every_law(law: Callable) -> None:
  law(subject(Decay(), Features(WIDTH)))


@pytest.mark.parametrize(
  ('memory', 'law', 'error'),
  [
    (RestartsInSegments(), laws.segments, AssertionError),
    (CountsInSegment(), laws.segments, AssertionError),
    (LosesASlot(WIDTH, WIDTH, 3), laws.segments, AssertionError),
    (SeesFurther(WIDTH, WIDTH, 3), laws.horizon, AssertionError),
    (SeesLess(WIDTH, WIDTH, 3), laws.horizon, AssertionError),
    (IgnoresHorizon(WIDTH, WIDTH, 3), laws.another_horizon, AssertionError),
    (LearnsWindow(WIDTH, WIDTH, 3), laws.another_horizon, AssertionError),
    (NeverForgets(), laws.reset, AssertionError),
    (ForgetsLate(), laws.reset, AssertionError),
    (ForgetsInAllRows(), laws.rows, AssertionError),
    (ReadsAhead(), laws.causal, AssertionError),
    (SaysItReadsAhead(), laws.causal, AssertionError),
    (TimeFirst(), laws.batch_first, AssertionError),
    (HalfPrecision(), laws.batch_first, AssertionError),
    (OneZero(), laws.pure, AssertionError),
    (OneState(), laws.eager, AssertionError),
    (Counts(), laws.eager, AssertionError),
    (CallsTheHost(), laws.replicas, NotImplementedError),
  ],
  ids=lambda x: x.__name__ if callable(x) and hasattr(x, '__name__') else None,
)
def test_a_broken_memory_is_caught(
  memory: Memory, law: Callable, error: type[Exception]
) -> None:
  with pytest.raises(error):
    law(subject(memory, Features(WIDTH)))
