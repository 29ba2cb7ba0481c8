"""Races of what is not a training step of a Transformer or a recurrent layer.

The delta rule is the bare operation, forward and backward, with keys and values
as inputs. PyTorch's side is the chunked form of Yang et al. 2024, section 3,
https://arxiv.org/abs/2406.06484. Generating is one text of one row, a random
token at a time, with models of two layers of width 128; PyTorch is eager, its
Transformer has a cache of keys and values. A step is TOKENS tokens.
"""

import functools

import numpy as np

from experiments.bench.peers.race import Competitor, Race

ROWS, LENGTH, HEADS, KEYS = 4, 1024, 4, 64
TOKENS, VOCAB, WIDTH, LAYERS, WINDOW = 256, 256, 128, 2, 64


def drawn() -> list[np.ndarray]:
  """q, k of length 1, v, all `(B, T, H, K)`, and beta `(B, T, H)`, float32."""
  rng = np.random.default_rng(0)
  q, k, v = rng.normal(size=(3, ROWS, LENGTH, HEADS, KEYS))
  k /= np.linalg.norm(k, axis=-1, keepdims=True)
  beta = rng.uniform(size=(ROWS, LENGTH, HEADS))
  return [x.astype(np.float32) for x in (q, k, v, beta)]


def our_delta() -> Competitor:
  import jax
  import jax.numpy as jnp

  from memjax.ops.linear_attention import correct

  w_BHKV = jnp.zeros((ROWS, HEADS, KEYS, KEYS))
  reset_BT = jnp.zeros((ROWS, LENGTH), bool)

  def loss(inputs: list[jax.Array]) -> jax.Array:
    q, k, v, beta = inputs
    share = beta[..., None]
    y = correct(w_BHKV, q, k, share * v, share * k, reset_BT)[1]
    return jnp.square(y).mean()

  inputs = [jnp.asarray(x) for x in drawn()]
  run = jax.jit(jax.value_and_grad(loss))
  return Competitor(
    lambda: float(jax.block_until_ready(run(inputs))[0]),
    0,
    f'jax {jax.__version__}',
    None,
  )


def their_delta() -> Competitor:
  import torch

  from experiments.bench.peers import reading_torch

  inputs = [torch.tensor(x, requires_grad=True) for x in drawn()]

  def step() -> float:
    for x in inputs:
      x.grad = None
    loss = reading_torch.delta_rule(*inputs).square().mean()
    loss.backward()
    return loss.item()

  return Competitor(step, 0, f'torch {torch.__version__}', None)


def our_text(name: str) -> Competitor:
  import jax

  from experiments.bench import generate
  from memjax.generation.decode import prefill

  model, params = generate.untrained(name)
  state = prefill(model, params, np.arange(1))

  def step() -> float:
    generate.continue_text(model, params, state, TOKENS)
    return 0.0

  return Competitor(step, 0, f'jax {jax.__version__}', None)


def their_text(name: str) -> Competitor:
  import torch

  from experiments.bench.peers import reading_torch

  step = reading_torch.text_step(
    name, VOCAB, WIDTH, LAYERS, WINDOW, WIDTH // 2, TOKENS
  )
  return Competitor(step, 0, f'torch {torch.__version__}', None)


def text(name: str) -> Race:
  return Race(
    f'{TOKENS} tokens of {name} {LAYERS} x {WIDTH}',
    functools.partial(our_text, name),
    {'torch': functools.partial(their_text, name)},
  )


RACES = {
  'delta_rule': Race(
    f'delta rule, B {ROWS}, T {LENGTH}, H {HEADS}, K = V = {KEYS}',
    our_delta,
    {'torch, chunked': their_delta},
  ),
  'text_lstm': text('lstm'),
  'text_transformer': text('transformer'),
}
