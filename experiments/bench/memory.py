"""How a training step's memory grows with T and with M, for every memory.

    python -m experiments.bench.memory [MODEL ...]

Prints XLA's temporary memory of one gradient of a layer (or whole model) of
width 64 on 4 rows, and the factor by which it grows when T or M is four times
as large: at most 4 if memory is linear. Programs are compiled and not run, so
the figures are exact for this version and backend.
"""

import argparse
import platform

import jax
import jax.numpy as jnp

from memjax.config.build import build_model
from memjax.configs.models import MODELS, model
from memjax.models.base import apply
from memjax.types import Params, Tokens

ROWS, WIDTH, VOCAB = 4, 64, 32
LENGTH, SLOTS, TIMES = 128, 64, 4


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('models', nargs='*', default=MODELS)
  names = parser.parse_args().models
  machine, python = platform.machine(), platform.python_version()
  print(f'{machine}, Python {python}, jax {jax.__version__}\n')
  print(f'| model | T {LENGTH}, M {SLOTS} (MB) | {TIMES} T | {TIMES} M |')
  print('|---|---|---|---|')
  for name in names:
    base = temporary_bytes(name, LENGTH, SLOTS)
    long = temporary_bytes(name, TIMES * LENGTH, SLOTS)
    large = temporary_bytes(name, LENGTH, TIMES * SLOTS)
    print(
      f'| {name} | {base / 1e6:.1f} | {long / base:.2f} | {large / base:.2f} |',
      flush=True,
    )


def temporary_bytes(name: str, length: int, slots: int) -> int:
  """Of one gradient of the summed squares of the outputs."""
  spec = model(name, width=WIDTH, depth=1, window=slots).to_dict()
  memory = build_model(spec, Tokens(VOCAB), Tokens(VOCAB))
  inputs = jnp.zeros((ROWS, length), jnp.int32)
  reset_BT = jnp.zeros((ROWS, length), bool)
  carry = memory.initial_carry(ROWS)
  key = jax.random.key(0)
  params = jax.eval_shape(memory.init, key, carry, inputs, reset_BT)['params']

  def loss(params: Params) -> jax.Array:
    _, y = apply(memory, params, carry, inputs, reset_BT, noise=key)
    return jnp.square(y).sum()

  compiled = jax.jit(jax.grad(loss)).lower(params).compile()
  used = compiled.memory_analysis()
  assert used is not None
  return used.temp_size_in_bytes


if __name__ == '__main__':
  main()
