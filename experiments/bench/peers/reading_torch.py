"""PyTorch's delta rule in chunks, and its texts, a token at a time."""

from collections.abc import Callable

import torch
from torch.nn import functional

from experiments.bench.peers import attention_torch, recurrent_torch

CHUNK = 64


def delta_rule(
  q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, beta: torch.Tensor
) -> torch.Tensor:
  """y of all steps, from an empty memory; `(B, T, H, K)`, T whole chunks."""

  def cut(x: torch.Tensor) -> torch.Tensor:
    """To `(B, H, N, C, K)`."""
    x = x.transpose(1, 2)
    return x.reshape(*x.shape[:2], -1, CHUNK, x.shape[-1])

  q, k, v, beta = cut(q), cut(k), cut(v), cut(beta[..., None])
  scaled = k * beta
  lower = torch.tril(scaled @ k.mT, -1)
  known = torch.cat([v * beta, scaled], -1)
  solved = torch.linalg.solve_triangular(
    lower, known, upper=False, unitriangular=True
  )
  of_v, of_k = solved.split([v.shape[-1], k.shape[-1]], -1)
  scores = torch.tril(q @ k.mT)
  memory = q.new_zeros(*q.shape[:2], k.shape[-1], v.shape[-1])
  outputs = []
  for n in range(q.shape[2]):
    u = of_v[:, :, n] - of_k[:, :, n] @ memory
    outputs.append(q[:, :, n] @ memory + scores[:, :, n] @ u)
    memory = memory + k[:, :, n].mT @ u
  y = torch.stack(outputs, 2)
  return y.flatten(2, 3).transpose(1, 2)


def text_step(
  name: str,
  vocab: int,
  width: int,
  layers: int,
  window: int,
  head_width: int,
  tokens: int,
) -> Callable[[], float]:
  """Draws a text of one row; `name` is 'lstm' or 'transformer'."""
  if name == 'lstm':
    lstm = recurrent_torch.Recurrent('LSTM', vocab, width, layers)
    return _step(_lstm(lstm), window=tokens, tokens=tokens)
  gpt = attention_torch.GPT(vocab, width, layers, window, head_width)
  return _step(_cached(gpt, window), window=window, tokens=tokens)


def _step(
  reader: Callable[[], Callable[[torch.Tensor], torch.Tensor]],
  window: int,
  tokens: int,
) -> Callable[[], float]:
  """Blocks of `window` tokens, each from an empty memory."""

  @torch.inference_mode()
  def step() -> float:
    token = torch.zeros(1, 1, dtype=torch.int64)
    for i in range(tokens):
      if i % window == 0:
        read = reader()
      shares = functional.softmax(read(token)[0], -1)
      token = torch.multinomial(shares, 1)
    return float(token)

  return step


def _lstm(model: recurrent_torch.Recurrent) -> Callable:
  def reader() -> Callable[[torch.Tensor], torch.Tensor]:
    state = None

    def read(token: torch.Tensor) -> torch.Tensor:
      nonlocal state
      h, state = model.layers(model.embedding(token), state)
      return model.readout(h)

    return read

  return reader


def _cached(model: attention_torch.GPT, window: int) -> Callable:
  def reader() -> Callable[[torch.Tensor], torch.Tensor]:
    """A fresh cache, `(1, H, window, K)` for each layer."""
    place = 0
    heads = model.attention[0].heads
    width = model.embedding.weight.shape[1]
    places = model.positions
    assert places is not None
    caches = [
      torch.zeros(2, 1, heads, window, width // heads) for _ in model.attention
    ]

    def read(token: torch.Tensor) -> torch.Tensor:
      nonlocal place
      x = model.embedding(token) + places.weight[place]
      for i, attention in enumerate(model.attention):
        qkv = attention.qkv(model.attention_norm[i](x))
        q, k, v = qkv.view(1, 1, 3, heads, -1).permute(2, 0, 3, 1, 4)
        caches[i][:, :, :, place : place + 1] = torch.stack([k, v])
        seen = caches[i][:, :, :, : place + 1]
        y = functional.scaled_dot_product_attention(q, seen[0], seen[1])
        x = x + attention.output(y.transpose(1, 2).reshape(1, 1, width))
        x = x + model.mlp[i](model.mlp_norm[i](x))
      place += 1
      return model.read_out()(x)

    return read

  return reader
