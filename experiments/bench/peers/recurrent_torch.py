"""PyTorch's recurrent networks, with an embedding before them."""

from typing import Any

import torch
from torch import nn


class Recurrent(nn.Module):
  """Embedding, nn.LSTM or nn.GRU of several layers, readout."""

  def __init__(self, cell: str, vocab: int, width: int, layers: int):
    super().__init__()
    self.embedding = nn.Embedding(vocab, width)
    self.layers = getattr(nn, cell)(width, width, layers, batch_first=True)
    self.readout = nn.Linear(width, vocab)

  def body(self, ids: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
    return self.layers(self.embedding(ids))[0], state
