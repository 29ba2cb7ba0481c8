"""One table of all memories: errors against papers and laws, and times.

    python -m experiments.bench.memories [NAME ...] [--csv FILE] [--no-parity]

Each memory is one block of a Stack, as configs name it. A row has

    floats   of the carry of one row, counts included
    parity   the largest error against the float64 equations of its paper, that
             the tests of `tests/parity` see; '-' where those compare otherwise
    pieces   the largest difference of a stream read in pieces of 11 and 1 steps
             to the whole
    reset    the same, of what follows a reset to a fresh start
    ms       processor time of a step, sum(y ** 2) and its gradient in all
             parameters, median of the rounds
    loop     the same by a loop over single steps, divided by ms: above 1, the
             step is faster than the loop

Errors are divided by the largest output. Use one core, by `taskset -c 0`:
threads that wait for each other count as processor time.
"""

import argparse
from collections.abc import Callable
import csv
import time
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.layers import machine, measure
from memjax.config.build import build_model
from memjax.configs.models import MODELS, model
from memjax.laws.subject import LENGTH, PIECE, Subject, draw, some_resets
from memjax.models.base import Memory, apply
from memjax.types import Features, Params
from tests.parity.layers import Layer

NARROW = 16  # width for errors, where many short programs are compiled


class Sizes(NamedTuple):
  """Of the timed step.

  Attributes:
    rows: B.
    steps: T.
    width: D.
    rounds: number of times that a step is measured.
  """

  rows: int = 4
  steps: int = 256
  width: int = 128
  rounds: int = 5


class Row(NamedTuple):
  """A row of the table, in words."""

  memory: str
  floats: str
  parity: str
  pieces: str
  reset: str
  ms: str
  loop: str


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('names', nargs='*', default=MODELS)
  parser.add_argument('--csv', default='', help='file to write the rows to')
  parser.add_argument(
    '--parity',
    action=argparse.BooleanOptionalAction,
    default=True,
    help='run the tests of tests/parity, some minutes',
  )
  flags = parser.parse_args()
  errors = parity_errors() if flags.parity else {}
  print(f'{machine()}; jax {jax.__version__}; {Sizes()}\n')
  print(f'| {" | ".join(Row._fields)} |\n|{"---|" * len(Row._fields)}')
  rows = []
  for name in flags.names:
    rows.append(row(name, Sizes(), errors))
    print(f'| {" | ".join(rows[-1])} |', flush=True)
  if flags.csv:
    with open(flags.csv, 'w', newline='') as file:
      csv.writer(file).writerows([Row._fields, *rows])


def row(name: str, sizes: Sizes, errors: dict[str, float]) -> Row:
  """The figures of a memory that configs name."""
  memory = built(name, sizes.width)
  kind = getattr(memory, 'layer', memory)
  leaves = jax.tree.leaves(jax.eval_shape(lambda: memory.initial_carry(1)))
  parity = errors.get(type(kind).__name__)
  pieces, reset = law_errors(built(name, NARROW))
  whole, loop = times(memory, sizes)
  return Row(
    name,
    str(sum(int(np.prod(leaf.shape)) for leaf in leaves)),
    '-' if parity is None else f'{parity:.0e}',
    f'{pieces:.0e}',
    f'{reset:.0e}',
    f'{1e3 * np.median(whole):.1f}',
    f'{np.median(loop / whole):.2f}',
  )


def built(name: str, width: int) -> Memory:
  spec = model(name, width=width, depth=1, window=min(width, 64)).to_dict()
  memory: Memory = build_model(spec, Features(width), Features(width))
  return memory


def parity_errors(tests: str = 'tests/parity') -> dict[str, float]:
  """{class: its largest error}, as the tests of parity see them."""
  found: dict[str, float] = {}
  read, compare = Layer.read, np.testing.assert_allclose
  last = ''

  def noting_read(self: Layer, sizes: list[int]) -> np.ndarray:
    nonlocal last
    last = type(self.model).__name__
    return read(self, sizes)

  def noting_compare(one: Any, other: Any, *args: Any, **kwargs: Any) -> None:
    compare(one, other, *args, **kwargs)
    if last and np.ndim(one) == 3:
      found[last] = max(found.get(last, 0.0), relative(one, other))

  class Forget:
    def pytest_runtest_setup(self) -> None:
      nonlocal last
      last = ''

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Layer, 'read', noting_read)
    patch.setattr(np.testing, 'assert_allclose', noting_compare)
    flags = ['-q', '-n0', '-p', 'no:cacheprovider', '-k', 'equals']
    # The tests' plugins are imported here already.
    flags += ['-W', 'ignore::pytest.PytestAssertRewriteWarning']
    status = pytest.main([*flags, tests], plugins=[Forget()])
  if status:
    raise SystemExit(f'{tests} did not pass')
  return found


def law_errors(memory: Memory) -> tuple[float, float]:
  """Of pieces against the whole, and of a reset against a fresh start."""
  subject = Subject(memory, Features(NARROW))
  length = 2 * LENGTH
  inputs, never = draw(subject.input_spec, length)
  whole = subject.read_in([LENGTH, LENGTH], inputs, some_resets(length))
  sizes = [PIECE] * 6 + [1] * (length - 6 * PIECE)
  in_pieces = subject.read_in(sizes, inputs, some_resets(length))
  at = LENGTH + PIECE
  reset_BT = never.copy()
  reset_BT[:, at] = True
  y = subject.read_in([LENGTH, LENGTH], inputs, reset_BT)[:, at:]
  fresh = subject.read_in([length - at], inputs[:, at:], never[:, at:])
  return relative(in_pieces, whole), relative(y, fresh)


def relative(one: Any, other: Any) -> float:
  """The largest difference, divided by the largest number of the second."""
  one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
  return float(np.abs(one - other).max() / np.abs(other).max())


def times(memory: Memory, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
  """Processor seconds of each round: of a step, and of a loop of its steps."""
  shape = sizes.rows, sizes.steps, sizes.width
  x_BTF = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
  reset_BT = jnp.zeros(shape[:2], bool)
  fresh = memory.initial_carry(sizes.rows)
  read = jax.random.key(0), fresh, x_BTF, reset_BT
  params = jax.jit(memory.init)(*read)['params']

  def whole(params: Params) -> jax.Array:
    return jnp.square(apply(memory, params, fresh, x_BTF, reset_BT)[1]).sum()

  def loop(params: Params) -> jax.Array:
    def one(carry: Any, x_BF: jax.Array) -> Any:
      step = x_BF[:, None], reset_BT[:, :1]
      carry, y = apply(memory, params, carry, *step)
      return carry, jnp.square(y).sum()

    return lax.scan(one, fresh, jnp.swapaxes(x_BTF, 0, 1))[1].sum()

  def step(loss: Callable[[Params], jax.Array]) -> Callable[[], None]:
    run = jax.jit(jax.grad(loss))
    return lambda: jax.block_until_ready(run(params))

  steps = {'whole': step(whole), 'loop': step(loop)}
  taken = measure(steps, sizes.rounds, time.process_time)
  return taken['whole'], taken['loop']


if __name__ == '__main__':
  main()
