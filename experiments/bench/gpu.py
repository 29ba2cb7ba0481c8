"""What memjax does on an accelerator, in one command and under ten minutes.

    python -m experiments.bench.gpu [--tiny] [--out gpu.json]

Needs jax for the device, `pip install 'jax[cuda13]'`, beside requirements.txt.
PyTorch, if it is installed with CUDA, runs cuDNN's LSTM and GRU for comparison.
The file is JSON and is written anew after each part. A part that fails has its
error there, and the next one runs. Parts that would begin after MINUTES are
left out, and say so. All times are medians of wall seconds, after one call to
compile.

- train: 150M parameters of GPT and of Transformer-XL in bfloat16: tokens per
  second, and MFU, see `memjax/logs/hardware.py`;
- attention: forward and backward in bfloat16 by cuDNN and by tiles;
- diagonal: a real and a complex recurrence, forward and backward, by the kernel
  and in a tree;
- layers: memories that read in a loop, in a kernel or in chunks: milliseconds
  of a training step of one layer; beside the LSTM and the GRU, cuDNN's;
- replicas: sixteen runs over one program of sixteen;
- generation: milliseconds of a token.

`--tiny` tries all parts at small sizes, which a CPU can do.
"""

import argparse
from collections.abc import Callable
import dataclasses
import functools
import importlib.util
import json
from pathlib import Path
import platform
import time
from typing import Any

import jax
import numpy as np

from experiments.bench import generate, gpu_ops, replicas
from experiments.bench.gpu_ops import seconds
from experiments.bench.peers import memjax_step
from memjax.generation.decode import prefill
from memjax.logs import hardware
from memjax.ops.diagonal import diagonal, rotating
from memjax.training.program import step_flops

MINUTES = 8.0


@dataclasses.dataclass(frozen=True)
class Sizes:
  """How large the parts are.

  Attributes:
    width, depth, head_width: of the Transformers.
    vocab: their tokens.
    rows, length: of their batches.
    layer_width: of the layers that are timed one by one.
    layer_rows, layer_length: of their batches.
    number: of replicas.
  """

  width: int = 768
  depth: int = 18
  head_width: int = 64
  vocab: int = 16384
  rows: int = 8
  length: int = 1024
  layer_width: int = 512
  layer_rows: int = 32
  layer_length: int = 1024
  number: int = 16


TINY = Sizes(8, 1, 8, 16, 2, 8, 8, 2, 8, 2)
TRANSFORMERS = {
  'gpt': ('transformer.BlockAttention', {'positions': 'learned'}),
  'transformer_xl': ('transformer_xl.TransformerXL', {}),
}
TOKENS = ('lstm', 'transformer')
LAYERS: dict[str, tuple[str, tuple[str, ...]]] = {  # name: class, its widths
  'lstm': ('lstm.LSTM', ()),
  'gru': ('gru.GRU', ()),
  'min_gru': ('min_rnn.MinGRU', ()),
  'lru': ('lru.LRU', ()),
  'mamba2': ('mamba2.Mamba2', ('head_width',)),
  'gated_delta_net': ('gated_delta_net.GatedDeltaNet', ('head_width',)),
}


def train(name: str, sizes: Sizes) -> dict[str, float | None]:
  """A whole training step in bfloat16."""
  layer, stack = TRANSFORMERS[name]
  attention = {
    'name': layer,
    'head_width': sizes.head_width,
    'window': sizes.length,
  }
  model = {
    'name': 'stack.Stack',
    'width': sizes.width,
    'depth': sizes.depth,
    'mlp': 4.0,
    'layer': attention,
  }
  task = {'length': sizes.length, 'vocab': sizes.vocab}
  experiment = memjax_step.experiment(model | stack, sizes.rows, **task)
  half = dataclasses.replace(experiment.train, dtype='bfloat16')
  experiment = dataclasses.replace(experiment, train=half)
  rival = memjax_step.competitor(experiment)
  took = seconds(rival.step)
  peak = hardware.total_peak(jax.devices()[:1])
  return {
    'parameters': rival.parameters,
    'ms': 1e3 * took,
    'tokens_per_second': sizes.rows * sizes.length / took,
    'mfu': step_flops(experiment) / took / peak if peak else None,
  }


def layer(name: str, sizes: Sizes) -> dict[str, float]:
  """A training step of one layer between an embedding and a readout."""
  memory, widths = LAYERS[name]
  model = {
    'name': 'stack.Stack',
    'width': sizes.layer_width,
    'layer': {'name': memory} | dict.fromkeys(widths, sizes.head_width),
  }
  task = {'length': sizes.layer_length, 'vocab': 256}
  experiment = memjax_step.experiment(model, sizes.layer_rows, **task)
  found = {'ms': 1e3 * seconds(memjax_step.competitor(experiment).step)}
  if cudnn_is_there() and name in ('lstm', 'gru'):
    found['cudnn_ms'] = 1e3 * seconds(cudnn_step(name.upper(), sizes))
  return found


def cudnn_is_there() -> bool:
  if importlib.util.find_spec('torch') is None:
    return False
  import torch

  return torch.cuda.is_available()


def cudnn_step(cell: str, sizes: Sizes) -> Callable[[], None]:
  """PyTorch's step with the same embedding, layer and readout."""
  import torch
  from torch import nn

  from experiments.bench.peers import recurrent_torch

  tokens = torch.randint(256, (sizes.layer_rows, sizes.layer_length)).cuda()
  model = recurrent_torch.Recurrent(cell, 256, sizes.layer_width, 1).cuda()
  optimiser = torch.optim.AdamW(model.parameters(), fused=True)

  def step() -> None:
    optimiser.zero_grad(set_to_none=True)
    logits = model.readout(model.body(tokens, None)[0])
    nn.functional.cross_entropy(
      logits.flatten(0, 1), tokens.flatten()
    ).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    torch.cuda.synchronize()

  return step


def together(width: int, sizes: Sizes) -> dict[str, float]:
  """N runs one after another over N in one program, LSTM on adding."""
  build, number = replicas.build, sizes.number
  alone, all_of_them = (
    seconds(replicas.call_of(build('LSTM on adding', width, n)))
    for n in (1, number)
  )
  return {
    'number': number,
    'ms': 1e3 * all_of_them / replicas.CALL,
    'runs_over_replicas': number * alone / all_of_them,
  }


def token(name: str) -> dict[str, float]:
  """Time of a generated token, two layers of width 128."""
  model, params = generate.untrained(name)
  state = prefill(model, params, np.arange(1))
  took = [generate.seconds(model, params, state) for _ in range(3)]
  return {'ms': 1e3 * min(took[1:])}


def parts(sizes: Sizes) -> dict[str, Callable[[], dict[str, Any]]]:
  """Every part by name, in the order of running."""
  width, part = min(sizes.layer_width, 128), functools.partial
  heads = sizes.width // sizes.head_width
  queries = sizes.rows, sizes.length, heads, sizes.head_width
  units = sizes.layer_rows, sizes.layer_length, sizes.layer_width
  return {
    **{f'train {name}': part(train, name, sizes) for name in TRANSFORMERS},
    'attention': part(gpu_ops.attention, queries, sizes.length),
    'sliding attention': part(gpu_ops.attention, queries, sizes.length // 4),
    'diagonal': part(gpu_ops.recurrence, diagonal, units),
    'rotating': part(gpu_ops.recurrence, rotating, units),
    **{f'layer {name}': part(layer, name, sizes) for name in LAYERS},
    'replicas': part(together, width, sizes),
    **{f'token {name}': part(token, name) for name in TOKENS},
  }


def measure(sizes: Sizes, out: Path) -> dict[str, Any]:
  """Runs the parts and writes the file after each of them."""
  begin = time.perf_counter()
  device = jax.devices()[0]
  found: dict[str, Any] = {
    'device': device.device_kind,
    'platform': device.platform,
    'python': platform.python_version(),
    'jax': jax.__version__,
    'sizes': dataclasses.asdict(sizes),
  }
  for name, part in parts(sizes).items():
    if time.perf_counter() - begin > 60 * MINUTES:
      found[name] = {'left out': f'{MINUTES:.0f} minutes were over'}
    else:
      try:
        found[name] = part()
      except Exception as error:  # the other parts are worth having
        found[name] = {'error': f'{type(error).__name__}: {error}'[:500]}
    found['seconds'] = time.perf_counter() - begin
    out.write_text(json.dumps(found, indent=2) + '\n')
    print(name, found[name], flush=True)
  return found


def main() -> None:
  parser = argparse.ArgumentParser(usage=__doc__)
  parser.add_argument('--tiny', action='store_true')
  parser.add_argument('--out', type=Path, default=Path('gpu.json'))
  options = parser.parse_args()
  measure(TINY if options.tiny else Sizes(), options.out)


if __name__ == '__main__':
  main()
