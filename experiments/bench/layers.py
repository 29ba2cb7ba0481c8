"""Times of memjax's layers against the recurrent layers of Flax and PyTorch.

    python -m experiments.bench.layers [ROUNDS]

A step is the loss sum(y ** 2) and its gradient in parameters and inputs. The
libraries run in turn, in one order and then in the other. Each row gives the
median and the quartiles, over rounds, of another library's time divided by
memjax's in the same round: above 1, memjax is faster. Transformer-XL is
compared with their LSTMs. Memory is XLA's temporary memory of one step. PyTorch
is measured if it is installed (`pip install torch`). Both libraries use a
thread for each available core. On a busy machine PyTorch's threads wait for
each other; `taskset -c 0 python ...` is fair there.
"""

from collections.abc import Callable, Mapping
import importlib.util
import os
import platform
import sys
import time
from typing import Any, TypeVar

import flax
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.attention.transformer_xl import TransformerXL
from memjax.models.base import Memory
from memjax.models.recurrent.gru import GRU
from memjax.models.recurrent.lstm import LSTM

SHAPES = ((32, 128, 256), (32, 512, 64), (8, 256, 128))  # B, T, D


def transformer_xl(width: int) -> Memory:
  """A layer with heads of width 64 and a window of 128."""
  return TransformerXL(width, 64, 128)


# Each layer of memjax, and the layers of Flax and PyTorch to compare it with.
LAYERS: dict[str, tuple[Callable[[int], Memory], Callable[[int], Any], str]] = {
  'LSTM': (LSTM, nn.OptimizedLSTMCell, 'LSTM'),
  'GRU': (GRU, nn.GRUCell, 'GRU'),
  'Transformer-XL': (transformer_xl, nn.OptimizedLSTMCell, 'LSTM'),
}
TORCH = importlib.util.find_spec('torch') is not None

Step = Callable[[], None]
Clock = Callable[[], float]
Name = TypeVar('Name')


def compiled(model: nn.Module, *inputs: Any) -> tuple[Step, float]:
  """A training step of a linen module, and its temporary memory in MB."""

  def loss(params: Any, x_BTF: jax.Array) -> jax.Array:
    y = model.apply(params, *inputs[:-2], x_BTF, *inputs[-1])
    return jnp.square(y[1] if isinstance(y, tuple) else y).sum()

  x_BTF, rest = inputs[-2:]
  params = model.init(jax.random.key(0), *inputs[:-2], x_BTF, *rest)
  run = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, x_BTF).compile()
  memory = run.memory_analysis()
  assert memory is not None
  return (
    lambda: jax.block_until_ready(run(params, x_BTF)),
    memory.temp_size_in_bytes / 1e6,
  )


def torch_step(cell: str, x_BTF: jax.Array) -> Step:
  import torch

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  width = x_BTF.shape[-1]
  layer = getattr(torch.nn, cell)(width, width, batch_first=True)
  x = torch.tensor(np.asarray(x_BTF), requires_grad=True)

  def step() -> None:
    layer.zero_grad()
    x.grad = None
    layer(x)[0].square().sum().backward()

  return step


def seconds(step: Step, clock: Clock = time.perf_counter) -> float:
  begin = clock()
  step()
  return clock() - begin


def measure(
  steps: Mapping[Name, Step], rounds: int, clock: Clock = time.perf_counter
) -> dict[Name, np.ndarray]:
  """Seconds of each competitor in each round, after one to warm up."""
  taken: dict[Name, list[float]] = {name: [] for name in steps}
  for i in range(rounds + 1):
    order = list(steps)[:: 1 if i % 2 else -1]
    for name in order:
      taken[name].append(seconds(steps[name], clock))
  return {name: np.array(values[1:]) for name, values in taken.items()}


def spread(ratios: np.ndarray) -> str:
  """Their median and quartiles."""
  low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
  return f'{middle:.2f} ({low:.2f}-{high:.2f})'


def machine() -> str:
  """The processor, and how many of its cores this process may use."""
  cores = f'{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores'
  processor = platform.processor() or platform.machine()
  return f'{processor}, {cores}, {jax.devices()[0].device_kind}'


def row(layer_name: str, shape: tuple[int, int, int], rounds: int) -> str:
  ours, flaxs, torchs = LAYERS[layer_name]
  rng = np.random.default_rng(0)
  x_BTF = jnp.asarray(rng.normal(size=shape), jnp.float32)
  layer = ours(shape[2])
  carry = layer.initial_carry(shape[0])
  resets = (jnp.zeros(shape[:2], bool),)
  steps, memory = {}, {}
  steps['memjax'], memory['memjax'] = compiled(layer, carry, x_BTF, resets)
  linen = nn.RNN(flaxs(shape[2]))
  steps['linen'], memory['linen'] = compiled(linen, x_BTF, ())
  if TORCH:
    steps['torch'] = torch_step(torchs, x_BTF)
  taken = measure(steps, rounds)
  cells = [layer_name, ' '.join(map(str, shape))]
  cells.append(f'{1e3 * np.median(taken["memjax"]):.1f}')
  for name in ('linen', 'torch'):
    if name in taken:
      cells.append(spread(taken[name] / taken['memjax']))
    else:
      cells.append('-')
  cells.append(f'{memory["memjax"]:.1f}')
  cells.append(f'{memory["linen"]:.1f}')
  return f'| {" | ".join(cells)} |'


def main() -> None:
  rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
  versions = f'jax {jax.__version__}, flax {flax.__version__}'
  if TORCH:
    import torch

    versions += f', torch {torch.__version__}'
  print(f'{machine()}; {versions}')
  print(
    '| layer | B T D | memjax ms | linen / memjax | torch / memjax ', end=''
  )
  print('| memjax MB | linen MB |')
  print('|---|---|---|---|---|---|---|')
  for layer in LAYERS:
    for shape in SHAPES:
      print(row(layer, shape, rounds), flush=True)


if __name__ == '__main__':
  main()
