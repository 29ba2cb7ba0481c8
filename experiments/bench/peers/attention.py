"""Races of memories that attend.

Both sides of a row have the same shapes, parameters and labels. Torch is
imported by its side alone and jax by memjax's, so that each process's memory is
its own.
"""

import dataclasses
from typing import Any

from experiments.bench.peers.race import (
  Competitor,
  Race,
  Tokens,
  draw_tokens,
)


@dataclasses.dataclass(frozen=True)
class Sizes:
  """One row.

  Attributes:
    rows: B.
    length: T.
    width: D.
    depth: L.
    vocab: V.
    labels: number of predicted positions of a row; 0: all.
    window: steps that a token sees before itself.
    head_width: K.
  """

  rows: int
  length: int
  width: int
  depth: int
  vocab: int = 256
  labels: int = 0
  window: int = 0
  head_width: int = 64


GPT = Sizes(16, 256, 256, 4)
MQAR = Sizes(64, 64, 64, 2, vocab=8192, labels=4)
XL = Sizes(16, 128, 256, 4, window=128)
SLIDING = Sizes(4, 1024, 256, 4, window=256)


def ours(
  name: str, sizes: Sizes, *, flows: bool = False, **stack: str
) -> Competitor:
  """A Stack of a layer that has a window."""
  from experiments.bench.peers import memjax_step

  layer = {
    'name': name,
    'head_width': sizes.head_width,
    'window': sizes.window or sizes.length,
  }
  model = {
    'name': 'stack.Stack',
    'width': sizes.width,
    'depth': sizes.depth,
    'mlp': 4.0,
    'layer': layer,
  }
  task = {
    'length': sizes.length,
    'vocab': sizes.vocab,
    'predicted': sizes.labels,
    'flows': flows,
  }
  experiment = memjax_step.experiment(model | stack, sizes.rows, **task)
  return memjax_step.competitor(experiment)


def gpt(sizes: Sizes, attends: str = 'causal') -> Competitor:
  """PyTorch's GPT; 'causal', or a window by 'mask' or by 'blocks'."""
  from experiments.bench.peers import attention_torch, torch_step

  mask = {
    'causal': lambda *_: None,
    'mask': attention_torch.window_mask,
    'blocks': attention_torch.block_window,
  }[attends](sizes.length, sizes.window)
  model = attention_torch.GPT(
    sizes.vocab,
    sizes.width,
    sizes.depth,
    sizes.length,
    sizes.head_width,
    mask,
    positions=attends == 'causal',
  )
  return torch_step.competitor(
    model.body, model.read_out(), model, tokens_of(sizes)
  )


def transformer_xl(sizes: Sizes, flows: bool) -> Competitor:
  """PyTorch's Transformer-XL; without flow, no memory is passed at all."""
  from experiments.bench.peers import attention_torch, torch_step

  model = attention_torch.TransformerXL(
    sizes.vocab,
    sizes.width,
    sizes.depth,
    sizes.head_width,
    sizes.window,
  )

  def fresh(ids: Any, state: Any) -> Any:
    return model.body(ids, None)

  body = model.body if flows else fresh
  return torch_step.competitor(body, model.readout, model, tokens_of(sizes))


def tokens_of(sizes: Sizes) -> Tokens:
  return draw_tokens(sizes.rows, sizes.length, sizes.vocab, sizes.labels)


RACES = {
  'gpt': Race(
    'GPT 4 x 256, B 16, T 256',
    lambda: ours('transformer.BlockAttention', GPT, positions='learned'),
    {'torch': lambda: gpt(GPT)},
  ),
  'mqar': Race(
    'GPT 2 x 64, B 64, T 64, V 8192, 4 labels a row',
    lambda: ours('transformer.BlockAttention', MQAR, positions='learned'),
    {'torch': lambda: gpt(MQAR)},
  ),
  'transformer_xl': Race(
    'Transformer-XL 4 x 256, B 16, T 128, window 128, flowing text',
    lambda: ours(
      'transformer_xl.TransformerXL',
      XL,
      flows=True,
      wiring='post_norm',
      activation='relu',
    ),
    {'torch': lambda: transformer_xl(XL, flows=True)},
  ),
  'transformer_xl_fresh': Race(
    'the same on episodes: no memory to read',
    lambda: ours(
      'transformer_xl.TransformerXL',
      XL,
      wiring='post_norm',
      activation='relu',
    ),
    {'torch': lambda: transformer_xl(XL, flows=False)},
  ),
  'sliding': Race(
    'sliding window 4 x 256, B 4, T 1024, window 256',
    lambda: ours('transformer.SlidingAttention', SLIDING),
    {
      'torch, masked': lambda: gpt(SLIDING, 'mask'),
      'torch, blocks': lambda: gpt(SLIDING, 'blocks'),
    },
  ),
}
