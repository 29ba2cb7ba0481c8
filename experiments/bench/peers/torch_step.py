"""PyTorch's side of a race: loss at labels, clipping, fused AdamW."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.bench.peers.race import (
  CLIP,
  LEARNING_RATE,
  WEIGHT_DECAY,
  Competitor,
  Tokens,
)

Body = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]


def competitor(
  body: Body,
  readout: nn.Module,
  module: nn.Module,
  tokens: Tokens,
  state: Any = None,
) -> Competitor:
  """An eager training step.

  Args:
    body: `(ids, state) -> (h, state)`; batch first.
    readout: of the h of single positions.
    module: holds the parameters of both.
    tokens: the batch.
    state: what the body starts from; None: the same None at every step. A
      state that the body returns is taken on, without its gradient.
  """
  optimiser = torch.optim.AdamW(
    module.parameters(),
    lr=LEARNING_RATE,
    weight_decay=WEIGHT_DECAY,
    fused=True,
  )
  inputs, targets, labels = (
    torch.from_numpy(part.astype(np.int64)) for part in tokens
  )
  every = labels.shape[1] == inputs.shape[1]
  rows = torch.arange(len(inputs))[:, None]
  targets = targets[rows, labels].reshape(-1)

  def step() -> float:
    nonlocal state
    optimiser.zero_grad(set_to_none=True)
    h, state = body(inputs, state)
    h = h if every else h[rows, labels]
    logits = readout(h.reshape(-1, h.shape[-1]))
    loss = functional.cross_entropy(logits, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), CLIP)
    optimiser.step()
    return loss.item()

  parameters = sum(p.numel() for p in module.parameters())
  return Competitor(step, parameters, f'torch {torch.__version__}', module)
