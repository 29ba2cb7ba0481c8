"""Memories whose outputs are known in closed form, and tasks for them."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from memjax.models.base import Memory
from memjax.tasks.base import GeneratedTask
from memjax.types import Example, Features, Metric, RowKey, Tokens

SURE = 20.0  # logit of the answer; the others are 0


class DelayLine(Memory):
  """Returns at every step the token of `delay` steps before, with certainty.

  The carry holds the last `delay` tokens. At first they are 0.
  """

  vocab: int
  delay: int

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size, self.delay), jnp.int32)

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    sure = self.param('sure', nn.initializers.constant(SURE), ())
    steps = x.shape[1]
    tokens = jnp.concatenate([carry, x], axis=1)
    started = jnp.cumsum(reset_BT, axis=1)
    since = jnp.concatenate([jnp.zeros_like(carry), started], axis=1)
    same_run = since[:, :steps] == started
    answer = jnp.where(same_run, tokens[:, :steps], 0)
    kept = since[:, steps:] == started[:, -1:]
    carry = jnp.where(kept, tokens[:, steps:], 0)
    return carry, sure * jax.nn.one_hot(answer, self.vocab)


class OneHotDelayLine(DelayLine):
  """The same with a carry of floats: each token as a one-hot vector."""

  def initial_carry(self, batch_size: int) -> Any:
    empty = super().initial_carry(batch_size)
    return jax.nn.one_hot(empty, self.vocab)

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    tokens = carry.argmax(-1).astype(jnp.int32)
    tokens, y = super().__call__(tokens, x, reset_BT, train=train)
    return jax.nn.one_hot(tokens, self.vocab), y


class LeakyIntegrator(Memory):
  """h_t = decay h_(t-1) + x_t; returns h_t. decay^lag is left after a lag.

  The carry is h. A trace halves every ln 2 / -ln decay steps.
  """

  width: int

  def initial_carry(self, batch_size: int) -> Any:
    return jnp.zeros((batch_size, self.width))

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    decay = self.param('decay', nn.initializers.constant(0.8), ())

    def step(h_BD: Any, xs: Any) -> Any:
      x_BD, reset_B = xs
      h_BD = jnp.where(reset_B[:, None], 0, decay * h_BD) + x_BD
      return h_BD, h_BD

    xs = jnp.swapaxes(x, 0, 1), reset_BT.T
    carry, h_TBD = jax.lax.scan(step, carry, xs)
    return carry, jnp.swapaxes(h_TBD, 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatToken(GeneratedTask):
  """Repeat the token of `lag` steps before, at every step that has one."""

  vocab: int = 4
  length: int = 24
  lag: int = 3
  score_axis = 'label_distance'

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self.vocab)

  output_spec = input_spec

  def example(self, key: RowKey) -> Example:
    tokens_T = jax.random.randint(key, (self.length,), 0, self.vocab)
    labelled_T = jnp.arange(self.length) >= self.lag
    return Example(
      tokens_T,
      jnp.where(labelled_T, jnp.roll(tokens_T, self.lag), 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, self.lag, 0),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(GeneratedTask):
  """White noise; the target is its leaky trace with `decay`."""

  width: int = 2
  length: int = 32
  decay: float = 0.8

  @property
  def input_spec(self) -> Features:
    return Features(self.width)

  output_spec = input_spec

  def example(self, key: RowKey) -> Example:
    x_TF = jax.random.normal(key, (self.length, self.width))

    def step(h_F: Any, x_F: Any) -> Any:
      h_F = self.decay * h_F + x_F
      return h_F, h_F

    _, h_TF = jax.lax.scan(step, jnp.zeros(self.width), x_TF)
    return Example(x_TF, h_TF, jnp.ones(self.length))

  def measure(self, y: Any, batch: Any) -> Any:
    error_BT = jnp.square(y - batch.targets).mean(-1)
    weights_BT = batch.loss_weights_BT
    return {'loss': Metric((error_BT * weights_BT).sum(), weights_BT.sum())}


class Idle(DelayLine):
  """A delay line whose carry also has a number and a flag, which it ignores."""

  def initial_carry(self, batch_size: int) -> Any:
    flag_B = jnp.zeros(batch_size, bool)
    return super().initial_carry(batch_size), jnp.zeros(batch_size), flag_B

  @nn.compact
  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    tokens, number_B, flag_B = carry
    line = DelayLine(self.vocab, self.delay, name='line')
    tokens, y = line(tokens, x, reset_BT)
    number_B = jnp.where(reset_BT.any(1), 0, number_B) + x.mean(1)
    return (tokens, number_B, ~flag_B), y
