"""How much slower a vanilla Transformer evaluates than a Transformer-XL.

    python -m experiments.xl_speed.run [--lengths=800,1800] [--rounds=7]

Both have the same layers and give every label the same number of tokens, the
attention length. The vanilla model slides by one token: for every label it
reads a new window of that length. Transformer-XL reads segments of 128 tokens
after a memory. Each reads the number of windows or streams side by side that is
fastest for it. They take turns. The table has the median and quartiles of the
ratios of their times per label in the same turn, the ratio of multiplications,
and the paper's ratio.
"""

import argparse
from collections.abc import Callable
import os
import platform
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.config.build import build_model
from memjax.configs.models import model as model_of
from memjax.models.base import Memory, apply
from memjax.ops.attention import CHUNK
from memjax.types import Tokens

# Dai et al. 2019, https://arxiv.org/abs/1901.02860, table 9, on a GPU. The
# segment is that of the authors' script for their largest model on enwik8.
PAPER = {800: 363, 1800: 773, 2800: 1409, 3800: 1874}
SEGMENT, LAYERS, WIDTH, VOCAB = 128, 4, 128, 256
SIDE_BY_SIDE = (1, 2, 4)
CALLS = 8  # segments of a turn


class Contender(NamedTuple):
  """One of the two, ready to run.

  Attributes:
    turn: reads, and returns when it is done.
    labels: number of labels in a turn.
    rows: windows or streams side by side.
    parameters: of the model.
  """

  turn: Callable[[], None]
  labels: int
  rows: int
  parameters: int


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--lengths', default=','.join(map(str, PAPER)))
  parser.add_argument('--rounds', type=int, default=7)
  given = parser.parse_args()
  cores = f'{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores'
  machine = platform.processor() or platform.machine()
  print(f'{machine}, {cores}, {jax.devices()[0].device_kind};', end=' ')
  print(f'Python {platform.python_version()}, jax {jax.__version__}')
  print(f'{LAYERS} layers of width {WIDTH}, segments of {SEGMENT}')
  print(
    '| attention length | vanilla: ms a label (windows, parameters) '
    '| Transformer-XL: ms a label (streams, parameters) '
    '| ratio | of multiplications | paper |'
  )
  print('|---|---|---|---|---|---|')
  for length in map(int, given.lengths.split(',')):
    print(row(length, given.rounds), flush=True)


def row(length: int, rounds: int) -> str:
  """The table's line for one attention length."""
  both = [fastest(make, length) for make in (sliding, recurrent)]
  taken = np.empty((rounds, 2))
  for turn in range(rounds):
    for i in (0, 1) if turn % 2 else (1, 0):
      taken[turn, i] = seconds(both[i])
  low, middle, high = np.quantile(taken[:, 0] / taken[:, 1], [0.25, 0.5, 0.75])
  cells = [
    f'{1e3 * np.median(t):.3g} ({c.rows}, {c.parameters / 1e6:.2f} M)'
    for t, c in zip(taken.T, both, strict=True)
  ]
  cells.append(f'{middle:.0f} ({low:.0f}-{high:.0f})')
  cells += [f'{multiplications(length):.0f}', str(PAPER.get(length, '-'))]
  return f'| {length} | {" | ".join(cells)} |'


def fastest(make: Callable[[int, int], Contender], length: int) -> Contender:
  """The contender with the number of rows that costs least per label."""
  contenders = [make(length, rows) for rows in SIDE_BY_SIDE]
  for contender in contenders:
    contender.turn()  # compiles
  return min(contenders, key=seconds)


def seconds(contender: Contender) -> float:
  """Seconds per label in one turn."""
  began = clock()
  contender.turn()
  return (clock() - began) / contender.labels


def clock() -> float:
  """Seconds; on a CPU, processor seconds of this process."""
  on_cpu = jax.default_backend() == 'cpu'
  return time.process_time() if on_cpu else time.perf_counter()


def sliding(length: int, rows: int) -> Contender:
  """Reads windows from an empty memory; only the last label of each counts."""
  model = vanilla(length)
  params, parameters = initialise(model)
  # One empty slot: a model that starts afresh should not pay for a cache.
  fresh = vanilla(1).initial_carry(rows)
  ids_BT, targets_B = random_ids(rows, length), random_ids(rows, 1)[:, 0]
  reset_BT = jnp.zeros(ids_BT.shape, bool)

  @jax.jit
  def read(params: Any) -> jax.Array:
    _, logits_BTV = apply(model, params, fresh, ids_BT, reset_BT)
    return nats(logits_BTV[:, -1], targets_B)

  def turn() -> None:
    jax.block_until_ready(read(params))

  return Contender(turn, rows, rows, parameters)


def recurrent(length: int, rows: int) -> Contender:
  """Reads segment after segment with its carry; every label counts."""
  model = transformer_xl(length)
  params, parameters = initialise(model)
  ids_BT, targets_BT = random_ids(rows, SEGMENT), random_ids(rows, SEGMENT)
  reset_BT = jnp.zeros(ids_BT.shape, bool)
  begin = model.initial_carry(rows)

  @jax.jit
  def read(params: Any, carry: Any) -> tuple[Any, jax.Array]:
    carry, logits_BTV = apply(model, params, carry, ids_BT, reset_BT)
    return carry, nats(logits_BTV, targets_BT)

  def turn() -> None:
    carry = begin
    for _ in range(CALLS):
      carry, loss = read(params, carry)
    jax.block_until_ready((carry, loss))

  return Contender(turn, CALLS * rows * SEGMENT, rows, parameters)


def vanilla(length: int) -> Memory:
  """A token sees itself and all earlier tokens of its window."""
  config = model_of('transformer', WIDTH, LAYERS, length)
  return build_model(config.to_dict(), Tokens(VOCAB), Tokens(VOCAB))


def transformer_xl(length: int) -> Memory:
  """A token sees itself and the length - 1 tokens before it."""
  config = model_of('transformer_xl', WIDTH, LAYERS, length - 1)
  return build_model(config.to_dict(), Tokens(VOCAB), Tokens(VOCAB))


def initialise(model: Memory) -> tuple[Any, int]:
  """Initial parameters, and their number."""
  begin = model.initial_carry(1), random_ids(1, 1), jnp.zeros((1, 1), bool)
  params = jax.jit(model.init)(jax.random.key(0), *begin)['params']
  return params, sum(p.size for p in jax.tree.leaves(params))


def random_ids(rows: int, length: int) -> jax.Array:
  return jax.random.randint(jax.random.key(1), (rows, length), 0, VOCAB)


def nats(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """The summed cross-entropy."""
  chosen = jnp.take_along_axis(logits, targets[..., None], -1)
  return (jax.nn.logsumexp(logits, -1, keepdims=True) - chosen).sum()


def multiplications(length: int) -> float:
  """Multiplications per label, vanilla over Transformer-XL.

  A layer has 12 D D for each token it reads: 4 for attention, 8 for the MLP.
  The vanilla model has L (L + C) D for the scores and values of a window: in
  tiles of C queries, none of which reads further than its queries may see.
  Transformer-XL has 3 (M + T) D for each token and, for each segment, 3 M D D
  for the keys and values of its memory and the keys of all distances.
  """
  tokens, scores = 12 * WIDTH**2, WIDTH * (length + CHUNK)
  window = length * (tokens + scores)
  memory = 3 * length / SEGMENT * WIDTH**2
  segment = tokens + memory + 3 * (length + SEGMENT) * WIDTH
  readout = WIDTH * VOCAB
  return (LAYERS * window + readout) / (LAYERS * segment + readout)


if __name__ == '__main__':
  main()
