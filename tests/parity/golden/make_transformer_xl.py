"""Writes small Transformer-XL models with random weights, as golden values.

    python tests/parity/golden/make_transformer_xl.py FOLDER

(needs torch and transformers 4.35, the last one with this model, and in FOLDER
the directory `pytorch` of github.com/kimiyoung/transformer-xl.) Of transformers
is `pretrained_transfo-xl.npz`, of the authors `pretrained_transformer-xl.npz`:
under `w/` each tensor, the text of `config.json`, token ids `(2, T)` and log p
`y`, read in segments, from a memory without entries. `y_grows` are those of a
model whose span grows with the segments, which `lengths` tells.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch

ROWS, LENGTHS, VOCAB = 2, (8, 8, 4), 30
FOLDER = pathlib.Path(__file__).parent
SIZES: dict[str, Any] = {
  'n_layer': 2,
  'n_head': 2,
  'd_head': 8,
  'd_inner': 24,
  'd_model': 16,
  'mem_len': 6,
  'clamp_len': 4,
}


def draw(model: torch.nn.Module) -> None:
  """Gives each parameter a value of its own that shows in the outputs."""
  rng = torch.Generator().manual_seed(0)
  for name, parameter in model.named_parameters():
    noise = torch.randn(parameter.shape, generator=rng)
    if parameter.ndim > 1:
      parameter.data = noise * parameter.shape[-1] ** -0.5
    else:
      parameter.data = 0.3 * noise + float('norm.weight' in name)


def ids() -> torch.Tensor:
  rng = torch.Generator().manual_seed(1)
  return torch.randint(0, VOCAB, (ROWS, sum(LENGTHS)), generator=rng)


def of_transformers(same_length: bool) -> dict[str, Any]:
  """Post-norm, narrow tails, tied tables, tails' projections tied."""
  import transformers

  config = transformers.TransfoXLConfig(
    vocab_size=VOCAB,
    cutoffs=[12, 20],
    div_val=2,
    d_embed=12,
    same_length=same_length,
    **SIZES,
  )
  model = transformers.TransfoXLLMHeadModel(config).eval()
  draw(model)
  empty = torch.zeros(0, ROWS, config.d_model)
  mems, steps = [empty] * config.n_layer, []
  with torch.no_grad():
    for piece in ids().split(LENGTHS, 1):
      found = model(piece, mems=mems)
      mems = found.mems
      steps.append(found.prediction_scores)
  described = {
    name: getattr(config, name)
    for name in (
      *('model_type', 'vocab_size', 'cutoffs', 'div_val', 'd_embed', *SIZES),
      *('same_length', 'pre_lnorm', 'untie_r', 'tie_word_embeddings'),
      *('tie_projs', 'layer_norm_epsilon', 'attn_type'),
    )
  }
  return record(model, described, steps)


def of_authors(folder: str) -> dict[str, Any]:
  """Pre-norm, one table of another width, nothing tied but u and v."""
  torch.version.cuda = '12.0'  # the code asks, a build for CPUs has none
  torch.Tensor.byte = torch.Tensor.bool  # masks of bytes are refused now
  sys.path[:0] = [folder, f'{folder}/utils']
  from mem_transformer import MemTransformerLM

  described = {
    'cutoffs': [12, 20],
    'div_val': 1,
    'd_embed': 12,
    'pre_lnorm': True,
    'same_length': True,
    'tie_weight': False,
    **SIZES,
  }
  more = {'dropout': 0.0, 'dropatt': 0.0, 'tgt_len': 8, 'ext_len': 0}
  model = MemTransformerLM(VOCAB, **described, **more).eval()
  draw(model)
  mems, steps = (), []
  with torch.no_grad():
    for piece in ids().split(LENGTHS, 1):
      mems = mems or model.init_mems()
      h, mems = model._forward(piece.T, mems=mems)
      flat = h.reshape(-1, h.shape[-1])
      nats = [
        model.crit(flat, torch.full((len(flat),), v), keep_order=True)
        for v in range(VOCAB)
      ]
      y = -torch.stack(nats, 1).reshape(len(piece.T), ROWS, VOCAB)
      steps.append(y.transpose(0, 1))
  kind = {'model_type': 'transformer-xl', 'vocab_size': VOCAB}
  return record(model, kind | described, steps)


def record(
  model: torch.nn.Module, config: dict[str, Any], steps: list[torch.Tensor]
) -> dict[str, Any]:
  """What a file holds."""
  found = {f'w/{n}': t.numpy() for n, t in model.state_dict().items()}
  return found | {
    'config': np.array(json.dumps(config, sort_keys=True)),
    'ids': ids().numpy().astype(np.int32),
    'y': torch.cat(steps, 1).numpy(),
  }


def main() -> None:
  grows = {
    'y_grows': of_transformers(same_length=False)['y'],
    'lengths': np.array(LENGTHS),
  }
  for name, found in (
    ('transfo-xl', of_transformers(same_length=True) | grows),
    ('transformer-xl', of_authors(sys.argv[1])),
  ):
    path = FOLDER / f'pretrained_{name}.npz'
    np.savez_compressed(path, **found)
    print(path, path.stat().st_size)


if __name__ == '__main__':
  main()
