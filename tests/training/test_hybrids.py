"""Hybrids of the configs train, and have the layers of their papers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.build import build_model
from memjax.configs.hybrids import hybrids
from memjax.configs.models import model
from memjax.models.base import apply
from memjax.types import Tokens

NAMES = tuple(hybrids(64, 64, 1))
STEPS, VOCAB = 12, 7


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_a_few_steps_train_every_layer(name: str) -> None:
  vocab = Tokens(VOCAB)
  stack = build_model(model(name, 8, 1, 4).to_dict(), vocab, vocab)
  rng = np.random.default_rng(0)
  ids = jnp.asarray(rng.integers(0, VOCAB, (4, 9)), jnp.int32)
  reset_BT = jnp.zeros((4, 8), bool)
  carry = stack.initial_carry(4)
  optimiser = optax.adam(1e-2)

  def loss(params: Any) -> Any:
    _, y = apply(stack, params, carry, ids[:, :-1], reset_BT)
    losses = optax.softmax_cross_entropy_with_integer_labels(y, ids[:, 1:])
    return losses.mean()

  @jax.jit
  def step(params: Any, state: Any) -> Any:
    value, slope = jax.value_and_grad(loss)(params)
    change, state = optimiser.update(slope, state)
    return optax.apply_updates(params, change), state, value, slope

  params = jax.jit(stack.init)(jax.random.key(0), carry, ids[:, :-1], reset_BT)[
    'params'
  ]
  state, values = optimiser.init(params), []
  for _ in range(STEPS):
    params, state, value, slope = step(params, state)
    values.append(float(value))
  assert values[-1] < 0.8 * values[0], values
  moved = {
    layer: float(optax.tree.norm(slopes)) for layer, slopes in slope.items()
  }
  assert {f'layer_{i}' for i in range(len(carry))} <= moved.keys()
  assert min(moved.values()) > 0, moved


@pytest.mark.parametrize(
  ('name', 'depth', 'layers'),
  [
    ('griffin', 1, 'layer attention'),
    ('griffin', 2, 'layer layer attention'),
    ('kimi_linear', 5, 2 * 'layer layer layer attention '),
    ('xlstm', 8, 7 * 'layer ' + 'slstm'),
  ],
)
def test_depths_are_whole_patterns(name: str, depth: int, layers: str) -> None:
  fields = model(name, 8, depth, 4)
  turn = fields.pattern.split()
  assert fields.depth == len(layers.split())
  assert turn * (fields.depth // len(turn)) == layers.split()
