"""Transformers in PyTorch: a GPT, and Transformer-XL by its paper's equations.

The GPT is pre-norm with learned positions, `scaled_dot_product_attention` and
an MLP of four times the width. Transformer-XL is post-norm with relu. It
computes both score terms by `einsum` and shifts the second, as the paper's
appendix B does.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Heads(nn.Module):
  """Causal self-attention; `mask` is a (T, T) window, None the whole past."""

  def __init__(self, width: int, head_width: int, mask: Any):
    super().__init__()
    self.heads = width // head_width
    self.qkv = nn.Linear(width, 3 * width)
    self.output = nn.Linear(width, width)
    self.mask = mask

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    batch, length, width = x.shape
    qkv = self.qkv(x).view(batch, length, 3, self.heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    if callable(self.mask):
      y = self.mask(q, k, v)
    else:
      y = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=self.mask, is_causal=self.mask is None
      )
    return self.output(y.transpose(1, 2).reshape(batch, length, width))


def mlp(width: int, activation: nn.Module) -> nn.Module:
  hidden = 4 * width
  return nn.Sequential(
    nn.Linear(width, hidden), activation, nn.Linear(hidden, width)
  )


class GPT(nn.Module):
  """Depth blocks of attention and an MLP."""

  def __init__(
    self,
    vocab: int,
    width: int,
    depth: int,
    length: int,
    head_width: int,
    mask: Any = None,
    positions: bool = True,
  ):
    super().__init__()
    self.embedding = nn.Embedding(vocab, width)
    self.positions = nn.Embedding(length, width) if positions else None
    self.attention_norm = nn.ModuleList(
      nn.LayerNorm(width, 1e-6) for _ in range(depth)
    )
    self.attention = nn.ModuleList(
      Heads(width, head_width, mask) for _ in range(depth)
    )
    self.mlp_norm = nn.ModuleList(
      nn.LayerNorm(width, 1e-6) for _ in range(depth)
    )
    self.mlp = nn.ModuleList(mlp(width, nn.GELU('tanh')) for _ in range(depth))
    self.norm = nn.LayerNorm(width, 1e-6)
    self.readout = nn.Linear(width, vocab)

  def body(self, ids: torch.Tensor, state: None) -> tuple[torch.Tensor, None]:
    x = self.embedding(ids)
    if self.positions is not None:
      x = x + self.positions.weight[: ids.shape[1]]
    for i, attention in enumerate(self.attention):
      x = x + attention(self.attention_norm[i](x))
      x = x + self.mlp[i](self.mlp_norm[i](x))
    return x, None

  def read_out(self) -> nn.Module:
    return nn.Sequential(self.norm, self.readout)


def window_mask(length: int, window: int) -> torch.Tensor:
  """True where a query may look: at itself and `window` positions before."""
  place = torch.arange(length)
  distance = place[:, None] - place[None]
  return (distance >= 0) & (distance <= window)


def block_window(length: int, window: int) -> Any:
  """A window by blocks of queries, each against its own block and the last.

  The block is the window, so that memory grows with T window. `flex_attention`
  skips unseen blocks itself, but has no backward pass on a CPU.
  """
  place = torch.arange(2 * window)
  distance = window + place[:window, None] - place[None]
  near = (distance >= 0) & (distance <= window)
  blocks = length // window
  mask = near.repeat(blocks, 1, 1)
  mask[0, :, :window] = False

  def spans(x: torch.Tensor) -> torch.Tensor:
    x = functional.pad(x, (0, 0, window, 0)).unflatten(2, (-1, window))
    return torch.cat([x[:, :, :-1], x[:, :, 1:]], dim=3)

  def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    y = functional.scaled_dot_product_attention(
      q.unflatten(2, (-1, window)), spans(k), spans(v), attn_mask=mask
    )
    return y.flatten(2, 3)

  return attend


class Relative(nn.Module):
  """Attention of Transformer-XL over memory and segment, section 3.3."""

  def __init__(self, width: int, head_width: int):
    super().__init__()
    self.heads, self.head_width = width // head_width, head_width
    self.query = nn.Linear(width, width, bias=False)
    self.key = nn.Linear(width, width, bias=False)
    self.value = nn.Linear(width, width, bias=False)
    self.position = nn.Linear(width, width, bias=False)
    self.output = nn.Linear(width, width, bias=False)
    self.u = nn.Parameter(torch.randn(self.heads, head_width) * 0.02)
    self.v = nn.Parameter(torch.randn(self.heads, head_width) * 0.02)

  def split(self, x: torch.Tensor) -> torch.Tensor:
    return x.view(*x.shape[:-1], self.heads, self.head_width)

  def forward(
    self, x: torch.Tensor, seen: torch.Tensor, r: torch.Tensor, hidden: Any
  ) -> torch.Tensor:
    q = self.split(self.query(x))
    k, v = self.split(self.key(seen)), self.split(self.value(seen))
    p = self.split(self.position(r))
    content = torch.einsum('bthk,bshk->bhts', q + self.u, k)
    distance = torch.einsum('bthk,rhk->bhtr', q + self.v, p)
    score = (content + shift(distance)) / math.sqrt(self.head_width)
    weights = score.masked_fill(hidden, -1e30).softmax(-1)
    y = torch.einsum('bhts,bshk->bthk', weights, v)
    return self.output(y.reshape(x.shape))


def shift(x: torch.Tensor) -> torch.Tensor:
  """Scores by falling distance, S - 1 ... 0, to scores by key."""
  *lead, queries, keys = x.shape
  x = functional.pad(x, (1, 0)).view(*lead, keys + 1, queries)
  return x[..., 1:, :].reshape(*lead, queries, keys)


class TransformerXL(nn.Module):
  """Depth post-norm blocks; the state is the input of each, M steps long."""

  def __init__(
    self, vocab: int, width: int, depth: int, head_width: int, window: int
  ):
    super().__init__()
    self.window = window
    self.embedding = nn.Embedding(vocab, width)
    self.attention = nn.ModuleList(
      Relative(width, head_width) for _ in range(depth)
    )
    self.attention_norm = nn.ModuleList(
      nn.LayerNorm(width, 1e-6) for _ in range(depth)
    )
    self.mlp = nn.ModuleList(mlp(width, nn.ReLU()) for _ in range(depth))
    self.mlp_norm = nn.ModuleList(
      nn.LayerNorm(width, 1e-6) for _ in range(depth)
    )
    self.readout = nn.Linear(width, vocab)

  def body(self, ids: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
    x = self.embedding(ids)
    length, width = ids.shape[1], x.shape[2]
    slots = state[0].shape[1] if state else 0
    keys = slots + length
    r = sines(keys, width)
    back = torch.arange(slots, keys)[:, None] - torch.arange(keys)[None]
    hidden = (back < 0) | (back > self.window)
    after = []
    for i, attention in enumerate(self.attention):
      seen = torch.cat([state[i], x], dim=1) if state else x
      after.append(seen[:, -self.window :].detach())
      x = self.attention_norm[i](x + attention(x, seen, r, hidden))
      x = self.mlp_norm[i](x + self.mlp[i](x))
    return x, after


def sines(keys: int, width: int) -> torch.Tensor:
  """R, a row for each distance from `keys` - 1 down to 0."""
  rate = 1 / 10_000 ** (torch.arange(0, width, 2) / width)
  angle = torch.arange(keys - 1, -1, -1.0)[:, None] * rate
  return torch.cat([angle.sin(), angle.cos()], dim=1)
