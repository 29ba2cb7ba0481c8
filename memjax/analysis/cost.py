"""What remembering costs: bytes of state, bits a symbol, time and memory.

State: the bytes of one row's carry. A carry that grew with what it remembers
would show here; no memory's does.

Bits per remembered symbol: the bits of one row's state over the symbols that
can be told from it. Who tells a token of entropy H, one of V, and is wrong with
probability e knows at least H - h(e) - e log2(V - 1) bits of it, h the entropy
of a coin (Fano's inequality; Cover & Thomas 2006, Elements of Information
Theory, theorem 2.10.1). Summed over the lags probed, where accuracy is above
chance, that is what is recalled; over H, it is counted in symbols. It is a
lower bound where the inputs are independent of each other, as those of most
generated tasks; of a text, whose tokens tell of each other, it counts some
bits twice. Bits by accuracy as in Collins, Sohl-Dickstein & Sussillo 2017,
https://arxiv.org/abs/1611.09913. Unit: bits of state per symbol.

Speed: tokens (steps of a row) per second of one segment, read from an empty
memory, and of the gradient of the mean square of what was said. Compiling is
left out; quartiles are over repeats. Unit: steps times rows per second.
Memory: what the compiled program needs beside its arguments and results, by its
own account. Unit: bytes. All of it is by the length of the segment, of this
machine, and of the first replica, for all cost the same.
"""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.linear_probes import ALL, Probes
from memjax.errors import require
from memjax.models.base import Memory, apply
from memjax.tasks.base import Task
from memjax.types import Carry, Params

QUARTILES = (0.25, 0.5, 0.75)


class State(NamedTuple):
  """Bytes of one row's carry: of floats, and of integers and truths."""

  floating: int
  integer: int

  @property
  def bits(self) -> int:
    """All of it in bits."""
    return 8 * sum(self)


class Density(NamedTuple):
  """How dearly a memory keeps a symbol.

  Attributes:
    state_bits: of one row.
    recalled_bits: `(N,)`, at least what can be told of the past.
    symbols: `(N,)`, the same in symbols.
    bits_per_symbol: `(N,)`, infinite where nothing is recalled.
  """

  state_bits: int
  recalled_bits: np.ndarray
  symbols: np.ndarray
  bits_per_symbol: np.ndarray


class Cost(NamedTuple):
  """What a segment costs, by its length; 'read' and 'train' are the programs.

  Attributes:
    lengths: `(E,)`, T.
    tokens_per_second: {'read', 'train': `(E, 3)`}, quartiles, the median
      between them.
    memory: {'read', 'train': `(E,)`} bytes; no number where the device does
      not tell.
    state: of one row.
  """

  lengths: np.ndarray
  tokens_per_second: dict[str, np.ndarray]
  memory: dict[str, np.ndarray]
  state: State


def state_size(model: Memory) -> State:
  """Bytes of one row's carry."""
  sizes = {True: 0, False: 0}
  for leaf in jax.tree.leaves(jax.eval_shape(lambda: model.initial_carry(1))):
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    sizes[bool(floating)] += leaf.size * leaf.dtype.itemsize
  return State(sizes[True], sizes[False])


def density(model: Memory, found: Probes) -> Density:
  """Bits of state per symbol that probes of all the carry can tell.

  Args:
    model: the memory that was probed.
    found: with as many lags as count: those left out are not recalled.

  Raises:
    ConfigError: the probes are of features, which are no symbols.
  """
  rule = 'tells features; symbols are tokens'
  require(bool(found.classes), 'found', found.metric, rule)
  right_NL = found.score[ALL]
  bits_NL = np.where(
    right_NL > found.chance, fano(right_NL, found.bits, found.classes), 0
  )
  recalled_N = bits_NL.sum(1)
  entropy_L = np.where(found.bits > 0, found.bits, np.inf)
  symbols_N = (bits_NL / entropy_L).sum(1)
  bits = state_size(model).bits
  with np.errstate(divide='ignore'):
    return Density(bits, recalled_N, symbols_N, bits / symbols_N)


def fano(accuracy: np.ndarray, bits: np.ndarray, classes: int) -> np.ndarray:
  """The least information, in bits, of answers that are right so often.

  Args:
    accuracy: share of right answers.
    bits: entropy of what is asked for.
    classes: V, of how many; at least 2.
  """
  wrong = 1 - accuracy
  coin = sum(-p * np.log2(np.where(p > 0, p, 1)) for p in (accuracy, wrong))
  return np.maximum(bits - coin - wrong * np.log2(classes - 1), 0)


def cost(
  model: Memory,
  params_N: Params,
  task: Task,
  lengths: np.ndarray,
  batch_size: int = 64,
  repeats: int = 9,
  seed: int = 0,
) -> Cost:
  """Measures segments of several lengths, each with programs of its own.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: what the model reads; the inputs are drawn at random.
    lengths: `(E,)`, T, each at least 1.
    batch_size: rows read at once.
    repeats: of each measurement, at least 1.
    seed: of the inputs.

  Raises:
    ConfigError: no length, or a length or the repeats below 1.
  """
  lengths = np.asarray(lengths)
  fits = lengths.size > 0 and bool((lengths >= 1).all())
  require(fits, 'lengths', lengths.tolist(), 'must all be at least 1')
  require(repeats >= 1, 'repeats', repeats, 'must be at least 1')
  params = jax.tree.map(lambda leaf: leaf[0], params_N)
  carry = model.initial_carry(batch_size)

  def read(params: Params, *segment: Any) -> tuple[Carry, jax.Array]:
    return apply(model, params, *segment)

  def train(params: Params, *segment: Any) -> tuple[Params, Carry]:
    def loss(params: Params) -> tuple[jax.Array, Carry]:
      after, y = apply(model, params, *segment)
      return jnp.square(y).mean(), after

    return jax.grad(loss, has_aux=True)(params)

  speed: dict[str, list[np.ndarray]] = {'read': [], 'train': []}
  memory: dict[str, list[float]] = {'read': [], 'train': []}
  rng = np.random.default_rng(seed)
  for length in lengths.tolist():
    inputs = task.input_spec.sample(rng, batch_size, length)
    reset_BT = jnp.zeros((batch_size, length), bool)
    arguments = params, carry, inputs, reset_BT
    for name, function in (('read', read), ('train', train)):
      seconds, needed = _measure(function, arguments, repeats)
      speed[name].append(np.quantile(batch_size * length / seconds, QUARTILES))
      memory[name].append(needed)
  return Cost(
    lengths,
    {name: np.stack(quartiles) for name, quartiles in speed.items()},
    {name: np.asarray(needed) for name, needed in memory.items()},
    state_size(model),
  )


def _measure(
  function: Callable[..., Any], arguments: tuple[Any, ...], repeats: int
) -> tuple[np.ndarray, float]:
  """Seconds of each repeat, and bytes of the program; one run warms up."""
  program = jax.jit(function).lower(*arguments).compile()
  jax.block_until_ready(program(*arguments))
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    seconds.append(time.perf_counter() - start)
  told = program.memory_analysis()
  return np.asarray(seconds), told.temp_size_in_bytes if told else np.nan
