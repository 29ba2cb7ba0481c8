"""Writes what the `rwkv` package of RWKV's author computes, as golden values.

    python tests/parity/golden/make_rwkv7.py

(needs torch and rwkv 0.8.) `pretrained_rwkv7.npz` holds token ids `(2, T)`, the
logits `y` and a `config.json`; the weights are drawn again by `tensors`.
"""

import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np

ROWS, STEPS, VOCAB = 2, 20, 48
WIDTH, HEAD_WIDTH, DEPTH, INNER = 128, 64, 2, 160
RANKS = {'w': 32, 'a': 32, 'v': 32, 'g': 64}  # of this width
FOLDER = pathlib.Path(__file__).parent
CONFIG = {
  'model_type': 'rwkv7',
  'vocab_size': VOCAB,
  'hidden_size': WIDTH,
  'num_hidden_layers': DEPTH,
  'intermediate_size': INNER,
}


def shapes() -> dict[str, tuple[int, ...]]:
  """Of every tensor."""
  vector, square = (1, 1, WIDTH), (WIDTH, WIDTH)
  found: dict[str, tuple[int, ...]] = {'emb.weight': (VOCAB, WIDTH)}
  for i in range(DEPTH):
    att, ffn = f'blocks.{i}.att', f'blocks.{i}.ffn'
    norms = [f'blocks.{i}.{name}' for name in ('ln1', 'ln2')]
    norms += ['blocks.0.ln0'] if i == 0 else []
    for name in (*norms, f'{att}.ln_x'):
      found |= {f'{name}.weight': (WIDTH,), f'{name}.bias': (WIDTH,)}
    found |= {f'{att}.x_{name}': vector for name in 'rwkvag'}
    for name in 'wav':
      found[f'{att}.{name}0'] = vector
    for name, rank in RANKS.items():
      found[f'{att}.{name}1'] = WIDTH, rank
      found[f'{att}.{name}2'] = rank, WIDTH
    found |= {f'{att}.k_k': vector, f'{att}.k_a': vector}
    found[f'{att}.r_k'] = WIDTH // HEAD_WIDTH, HEAD_WIDTH
    for name in ('receptance', 'key', 'value', 'output'):
      found[f'{att}.{name}.weight'] = square
    found[f'{ffn}.x_k'] = vector
    found[f'{ffn}.key.weight'] = INNER, WIDTH
    found[f'{ffn}.value.weight'] = WIDTH, INNER
  found |= {'ln_out.weight': (WIDTH,), 'ln_out.bias': (WIDTH,)}
  return found | {'head.weight': (VOCAB, WIDTH)}


def tensors() -> dict[str, Any]:
  """Weights that all show in the outputs."""
  rng, found = np.random.default_rng(0), {}
  for name, shape in shapes().items():
    noise = rng.standard_normal(shape).astype(np.float32)
    if len(shape) == 2 and not name.endswith('r_k'):
      found[name] = noise * np.float32(shape[-1] ** -0.5)
    else:
      found[name] = 0.3 * noise + np.float32(name.endswith('weight'))
  return found


def main() -> None:
  os.environ |= {'RWKV_V7_ON': '1', 'RWKV_JIT_ON': '0', 'RWKV_CUDA_ON': '0'}
  from rwkv.model import RWKV
  import torch

  ids = np.random.default_rng(1).integers(1, VOCAB, (ROWS, STEPS))
  with tempfile.TemporaryDirectory() as folder:
    path = f'{folder}/model'
    weights = {name: torch.tensor(t) for name, t in tensors().items()}
    torch.save(weights, f'{path}.pth')
    model = RWKV(model=path, strategy='cpu fp32')
    rows = []
    for row in ids.tolist():
      state, steps = None, []
      for token in row:
        y, state = model.forward([token], state)
        steps.append(y.numpy().copy())
      rows.append(np.stack(steps))
  path = f'{FOLDER}/pretrained_rwkv7.npz'
  text = np.array(json.dumps(CONFIG))
  ids = ids.astype(np.int32)
  np.savez_compressed(path, ids=ids, y=np.stack(rows), config=text)


if __name__ == '__main__':
  main()
