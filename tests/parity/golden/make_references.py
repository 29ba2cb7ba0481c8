"""Writes what the authors' code computes, as golden values.

    python tests/parity/golden/make_references.py \
        --fla=DIR --hattention=DIR --mamba=DIR --recurrentgemma=DIR --xlstm=DIR

(needs torch, einops, jax, jaxtyping and numpy.) Each DIR is a checkout:

    https://github.com/fla-org/flash-linear-attention    its naive forms
    https://github.com/HanGuo97/log-linear-attention     its recurrent form
    https://github.com/state-spaces/mamba                the minimal SSD
    https://github.com/google-deepmind/recurrentgemma    Griffin's block
    https://github.com/NX-AI/xlstm                       the cells

`reference_*.npz` holds the inputs that the cases of a repository share under
`in/`, and for each CASE the outputs y and last states under `CASE/out/`, the
weights of a loss, the sum of outputs times weights, under `CASE/weight/`, and
the gradients of the inputs under `CASE/grad/`. Time is axis 1, heads are axis
2; `griffin` has the parameters of its block beside the inputs.
"""

import argparse
from collections.abc import Callable
import importlib
import pathlib
import sys
import types
from typing import Any

import numpy as np
import torch

ROWS, STEPS, HEADS, KEY, VALUE, SLOTS = 2, 24, 2, 4, 3, 5
LEVELS = 5  # the least whose bits hold all steps
Tensors = dict[str, Any]
Case = Callable[[Tensors], Tensors]


def package(name: str, folder: pathlib.Path) -> None:
  """Makes modules below `folder` importable without the packages' own code."""
  module = types.ModuleType(name)
  module.__path__ = [str(folder)]
  sys.modules[name] = module


def draw() -> Tensors:
  """All inputs that a rule may have; decays from 1 to exp(-5)."""
  rng = torch.Generator().manual_seed(0)

  def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=rng)

  def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=rng)

  def decays(*shape: int) -> torch.Tensor:
    return -5 * uniform(*shape) ** 4

  step = ROWS, STEPS, HEADS
  unit = torch.nn.functional.normalize
  return {
    'q': normal(*step, KEY),
    'k': unit(normal(*step, KEY), dim=-1),
    'v': normal(*step, VALUE),
    'beta': uniform(*step),
    'erase': uniform(*step, KEY),
    'write': uniform(*step, VALUE),
    'share': uniform(*step, SLOTS),
    'at': unit(normal(*step, KEY), dim=-1),
    'bonus': normal(HEADS, KEY),
    'penalty': 0.25 + uniform(HEADS, KEY),
    'log_decay': decays(*step),
    'channels': decays(*step, KEY),
    'slots': decays(*step, SLOTS),
    'levels': uniform(*step, LEVELS + 1),
    'i': 3 * normal(*step),
    'f': 3 * normal(*step),
    'w': normal(ROWS, HEADS, KEY, VALUE),
    'keys': normal(ROWS, HEADS, KEY, SLOTS),
    'values': normal(ROWS, HEADS, SLOTS, VALUE),
  }


def golden(names: str, case: Case) -> Tensors:
  """Inputs by name, outputs, weights and gradients of one rule."""
  inputs = {n: x for n, x in draw().items() if n in names.split()}
  for x in inputs.values():
    x.requires_grad_()
  outputs = case(inputs)
  rng = torch.Generator().manual_seed(1)
  weights = {n: torch.randn(y.shape, generator=rng) for n, y in outputs.items()}
  sum((outputs[n] * weights[n]).sum() for n in outputs).backward()
  found = {'in': inputs, 'out': outputs, 'weight': weights}
  found['grad'] = {n: x.grad for n, x in inputs.items()}
  return {
    f'{kind}/{name}': value.detach().numpy()
    for kind, values in found.items()
    for name, value in values.items()
  }


def fla(folder: pathlib.Path) -> dict[str, tuple[str, Case]]:
  package('fla', folder / 'fla')
  package('fla.ops', folder / 'fla' / 'ops')

  def rule(path: str, name: str) -> Any:
    parts = path.split('.')
    for i in range(1, len(parts)):
      parents = parts[:i]
      package(
        '.'.join(['fla.ops', *parents]), folder.joinpath('fla', 'ops', *parents)
      )
    return getattr(importlib.import_module(f'fla.ops.{path}'), name)

  delta = rule('delta_rule.naive', 'delta_rule_recurrence')
  gated = rule('gated_delta_rule.naive', 'naive_recurrent_gated_delta_rule')
  kda = rule('kda.naive', 'naive_recurrent_kda')
  gdn2 = rule('gdn2.naive', 'naive_recurrent_gdn2')
  gla = rule('gla.naive', 'naive_recurrent_gla')
  gsa = rule('gsa.naive', 'naive_recurrent_gsa')
  rwkv6 = rule('rwkv6.recurrent_naive', 'naive_recurrent_rwkv6')
  dplr = rule('generalized_delta_rule.dplr.naive', 'dplr_recurrence')
  mesa = rule('mesa_net.naive', 'naive_mesa_net_exact')
  log_linear = rule('log_linear_attn.naive', 'naive_log_linear_attn')
  based = rule('based.naive', 'naive_parallel_based')

  def heads_first(*x: torch.Tensor) -> list[torch.Tensor]:
    return [a.transpose(1, 2) for a in x]

  def both(found: tuple[torch.Tensor, torch.Tensor]) -> Tensors:
    y, last = found
    return {'y': y, 'last': last}

  def heads_second(found: tuple[torch.Tensor, torch.Tensor]) -> Tensors:
    y, last = found
    return {'y': y.transpose(1, 2), 'last': last}

  def of_delta(x: Tensors) -> Tensors:
    steps = heads_first(*(x[n] for n in ('q', 'k', 'v', 'beta')))
    return heads_second(delta(*steps, initial_state=x['w']))

  def of_gated(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'beta', 'log_decay'))
    return both(gated(*steps, initial_state=x['w'], output_final_state=True))

  def of_kda(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'channels', 'beta'))
    return both(kda(*steps, initial_state=x['w'], output_final_state=True))

  def of_gdn2(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'channels', 'erase', 'write'))
    return both(gdn2(*steps, initial_state=x['w'], output_final_state=True))

  def of_gla(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'channels'))
    return both(gla(*steps, initial_state=x['w'], output_final_state=True))

  def of_gsa(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'share', 'slots'))
    before = x['keys'], x['values']
    y, (keys, values) = gsa(
      *steps, scale=1, initial_state=before, output_final_state=True
    )
    return {'y': y, 'keys': keys, 'values': values}

  def of_rwkv6(x: Tensors) -> Tensors:
    steps = heads_first(*(x[n] for n in ('q', 'k', 'v', 'channels')))
    found = rwkv6(
      *steps, x['bonus'], 1.0, initial_state=x['w'], output_final_state=True
    )
    return heads_second(found)

  def of_dplr(x: Tensors) -> Tensors:
    steps = heads_first(
      x['q'], x['k'], x['v'], -x['at'], x['at'] * x['erase'], x['channels']
    )
    return heads_second(dplr(*steps, initial_state=x['w']))

  def of_mesa(x: Tensors) -> Tensors:
    w = x['w'] @ x['w'].transpose(2, 3)  # its values are as wide as its keys
    steps = (x[n] for n in ('q', 'k', 'at', 'log_decay', 'penalty', 'beta'))
    y, g, r = mesa(*steps, w, w)
    return {'y': y, 'g': g, 'r': r}

  def of_log_linear(x: Tensors) -> Tensors:
    steps = (x[n] for n in ('q', 'k', 'v', 'log_decay', 'levels'))
    return {'y': log_linear(*steps)}

  def of_based(x: Tensors) -> Tensors:
    steps = heads_first(*(x[n] for n in ('q', 'k', 'v')))
    return {'y': based(*steps).transpose(1, 2)}

  return {
    'delta': ('q k v beta w', of_delta),
    'gated_delta': ('q k v beta log_decay w', of_gated),
    'kda': ('q k v beta channels w', of_kda),
    'gdn2': ('q k v channels erase write w', of_gdn2),
    'gla': ('q k v channels w', of_gla),
    'gsa': ('q k v share slots keys values', of_gsa),
    'rwkv6': ('q k v channels bonus w', of_rwkv6),
    'dplr': ('q k v at erase channels w', of_dplr),
    'mesa': ('q k at log_decay penalty beta w', of_mesa),
    'log_linear': ('q k v log_decay levels', of_log_linear),
    'based': ('q k v', of_based),
  }


def hattention(folder: pathlib.Path) -> dict[str, tuple[str, Case]]:
  package('hattention', folder / 'hattention')
  base = importlib.import_module('hattention.base')
  recurrent = importlib.import_module('hattention.recurrent')
  merge = recurrent.HState.cascade_weak

  def merge_copy(state: Any) -> None:
    """Levels merge in place, which gradients do not allow."""
    state.states = state.states.clone()
    merge(state)

  recurrent.HState.cascade_weak = merge_copy
  kinds = {'base': 2, 'htype': base.HType.WEAK, 'hstruct': base.HStruct.GDELTA}

  def of_gated(x: Tensors) -> Tensors:
    steps = x['q'], x['k'], x['v'], x['log_decay'].exp(), x['beta'], x['levels']
    return {'y': recurrent.hattention_recurrent(*steps, **kinds)[0]}

  return {'log_linear_gated': ('q k v beta log_decay levels', of_gated)}


def mamba(folder: pathlib.Path) -> dict[str, tuple[str, Case]]:
  for name in ('', '.modules', '.ops', '.ops.triton'):
    package(f'mamba_ssm{name}', folder / f'mamba_ssm{name}'.replace('.', '/'))
  # The file imports a GPU kernel to test itself against.
  kernel = types.ModuleType('mamba_ssm.ops.triton.ssd_combined')
  kernel.__dict__['mamba_chunk_scan_combined'] = None
  sys.modules[kernel.__name__] = kernel
  ssd = importlib.import_module('mamba_ssm.modules.ssd_minimal')

  def of_ssd(x: Tensors) -> Tensors:
    before = x['w'].transpose(2, 3)[:, None]
    y, last = ssd.ssd_minimal_discrete(
      x['v'], x['log_decay'], x['k'], x['q'], 8, before
    )
    return {'y': y, 'last': last.transpose(2, 3)}

  return {'ssd': ('q k v log_decay w', of_ssd)}


def recurrentgemma(folder: pathlib.Path) -> dict[str, tuple[str, Case]]:
  for name in ('recurrentgemma', 'recurrentgemma.torch'):
    package(name, folder / name.replace('.', '/'))
  modules = importlib.import_module('recurrentgemma.torch.modules')
  torch.manual_seed(0)
  block = modules.RecurrentBlock(width=6, num_heads=2, lru_width=8)
  for parameter in block.parameters():
    torch.nn.init.normal_(parameter, std=0.5)

  def of_block(x: Tensors) -> Tensors:
    # A first step at position 0 would not be scaled.
    place = torch.arange(1, STEPS + 1).expand(ROWS, STEPS)
    y, last = block(x['v'].flatten(2), place)
    x |= dict(block.named_parameters())
    return {'y': y, 'last': last.rg_lru_state}

  return {'griffin': ('v', of_block)}


def xlstm(folder: pathlib.Path) -> dict[str, tuple[str, Case]]:
  for name in (
    '',
    '.blocks',
    '.blocks.mlstm',
    '.blocks.slstm',
    '.blocks.slstm.src',
    '.blocks.slstm.src.vanilla',
  ):
    package(f'xlstm{name}', folder / f'xlstm{name}'.replace('.', '/'))
  backends = importlib.import_module('xlstm.blocks.mlstm.backends')
  cell = importlib.import_module('xlstm.blocks.slstm.src.vanilla.slstm')

  def of_mlstm(x: Tensors) -> Tensors:
    steps = (x[n].transpose(1, 2) for n in ('q', 'k', 'v'))
    gates = (x[n].transpose(1, 2)[..., None] for n in ('i', 'f'))
    y = backends.parallel_stabilized_simple(*steps, *gates, eps=0.0)
    return {'y': y.transpose(1, 2)}

  def of_slstm(x: Tensors) -> Tensors:
    a = 2 * x['q'].reshape(ROWS, STEPS, -1)  # four gates of two units
    states = torch.zeros(4, ROWS, a.shape[-1] // 4)
    ys = []
    for t in range(STEPS):
      zeros = torch.zeros_like(a[:, t])
      states, _ = cell.slstm_forward_pointwise(
        a[:, t], zeros, zeros, states, {}
      )
      ys.append(states[0])
    return {'y': torch.stack(ys, dim=1), 'last': states}

  return {'mlstm': ('q k v i f', of_mlstm), 'slstm': ('q', of_slstm)}


def main() -> None:
  repositories = {
    'fla': fla,
    'hattention': hattention,
    'mamba': mamba,
    'recurrentgemma': recurrentgemma,
    'xlstm': xlstm,
  }
  parser = argparse.ArgumentParser()
  for name in repositories:
    parser.add_argument(f'--{name}', type=pathlib.Path)
  for name, folder in vars(parser.parse_args()).items():
    if folder is None:
      continue
    arrays: Tensors = {}
    for case, (names, rule) in repositories[name](folder).items():
      found = golden(names, rule)
      for key, value in found.items():
        shared = key.startswith('in/')
        arrays[key if shared else f'{case}/{key}'] = value
    path = pathlib.Path(__file__).parent / f'reference_{name}.npz'
    np.savez_compressed(path, version=torch.__version__, **arrays)


if __name__ == '__main__':
  main()
