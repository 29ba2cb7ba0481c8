"""The cost of a generated token, early and late in a text.

    python -m experiments.bench.generate [MODEL ...]

The models are untrained, have two layers of width 128 and remember 64 steps.
Printed are the time per token around tokens 100, 1,000 and 10,000 of a text
over the time around token 10, with states of the same text taking turns; the
process's memory after 10,000 tokens over its memory after 1,000; and the time
per token if Python waits for every token over the time if the device draws them
in blocks.
"""

import argparse
import os
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.loop import resident
from memjax.config.build import build_model
from memjax.configs.models import model
from memjax.generation import decode
from memjax.generation.decode import State, prefill
from memjax.models.base import Memory
from memjax.types import Params, Tokens

MODELS = (
  'lstm',
  'transformer',
  'sliding',
  'transformer_xl',
  'schlag_delta',
  'dnc',
)
WIDTH, LAYERS, CONTEXT, VOCAB = 128, 2, 64, 256
PLACES = (10, 100, 1_000, 10_000)
ROUNDS, TOKENS = 15, 256


def untrained(name: str) -> tuple[Memory, Params]:
  spec = model(name, width=WIDTH, depth=LAYERS, window=CONTEXT).to_dict()
  built = build_model(spec, Tokens(VOCAB), Tokens(VOCAB))
  ids, reset_BT = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
  carry = built.initial_carry(1)
  made = jax.jit(built.init)(jax.random.key(0), carry, ids, reset_BT)
  return built, made['params']


def continue_text(
  built: Memory, params: Params, state: State, length: int
) -> State:
  """The state `length` tokens later."""
  for _, after in decode.generate(built, params, state, length):
    state = after
  return jax.block_until_ready(state)


def seconds(built: Memory, params: Params, state: State) -> float:
  """Mean seconds per token over the next TOKENS tokens."""
  start = time.perf_counter()
  continue_text(built, params, state, TOKENS)
  return (time.perf_counter() - start) / TOKENS


def one_by_one(built: Memory, params: Params, state: State) -> float:
  """Mean seconds per token without blocks."""
  allowed = decode.BLOCK_SECONDS
  decode.BLOCK_SECONDS = 0.0
  try:
    return seconds(built, params, state)
  finally:
    decode.BLOCK_SECONDS = allowed


def row(name: str) -> str:
  built, params = untrained(name)
  state = prefill(built, params, np.arange(1))
  states, memory, at = [], [], 0
  for place in PLACES:
    state, at = continue_text(built, params, state, place - at), place
    states.append(state)
    memory.append(resident())
  times = np.empty((ROUNDS, len(PLACES)))
  waiting = np.empty(ROUNDS)
  for turn in range(ROUNDS):
    for i in np.roll(range(len(PLACES)), turn):  # the machine's speed drifts
      times[turn, i] = seconds(built, params, states[i])
    waiting[turn] = one_by_one(built, params, states[0])
  first = times[:, 0]
  cells = [
    f'{statistics.median(first) * 1e3:.2f}',
    *(spread(times[:, i] / first) for i in range(1, len(PLACES))),
    f'{memory[-1] / memory[-2]:.3f}',
    spread(waiting / first),
  ]
  return f'| {name} | {" | ".join(cells)} |'


def spread(ratios: np.ndarray) -> str:
  low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
  return f'{middle:.2f} ({low:.2f}-{high:.2f})'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('models', nargs='*', default=MODELS)
  machine, python = platform.machine(), platform.python_version()
  print(f'{machine}, {os.cpu_count()} cores, Python {python},', end=' ')
  print(f'jax {jax.__version__}\n')
  places = ' | '.join(f'token {place:,}' for place in PLACES[1:])
  print(f'| model | ms, token 10 | {places} | memory | one by one |')
  print(f'|---|{"---|" * (len(PLACES) + 2)}')
  for name in parser.parse_args().models:
    print(row(name), flush=True)


if __name__ == '__main__':
  main()
