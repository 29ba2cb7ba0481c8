"""Every memory learns to recall one symbol, which it cannot without its state.

A row has one of four symbols at a random step, noise elsewhere, and asks for
the symbol at the end. A new memory joins by its entry in `configs/memories.py`.
"""

import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import optax
import pytest

from memjax.config.build import build_model
from memjax.configs.models import MODELS, model
from memjax.models.base import apply_body, apply_readout
from memjax.types import Tokens

SYMBOLS, LENGTH, ROWS, STEPS = 4, 10, 64, 150
NOISE, ASK = SYMBOLS, SYMBOLS + 1
FAST = ('gated_delta_net',)  # the others are tested with the slow tests


def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Rows of ids, `(B, T)`, and the symbol in each, `(B,)`."""
  one, two = jax.random.split(key)
  symbol_B = jax.random.randint(one, (ROWS,), 0, SYMBOLS)
  place_B = jax.random.randint(two, (ROWS,), 0, LENGTH - 1)
  ids_BT = jnp.full((ROWS, LENGTH), NOISE).at[:, -1].set(ASK)
  return ids_BT.at[jnp.arange(ROWS), place_B].set(symbol_B), symbol_B


@functools.partial(jax.jit, static_argnums=(0, 1))
def learn(name: str, cut: bool) -> tuple[jax.Array, jax.Array]:
  """The accuracy after training, and with the state cut before the question.

  Args:
    name: of a memory.
    cut: whether the state is cut in training as well.
  """
  spec = model(name, width=16, depth=1, window=LENGTH).to_dict()
  memory = build_model(spec, Tokens(SYMBOLS + 2), Tokens(SYMBOLS))
  fresh, whole = memory.initial_carry(ROWS), jnp.zeros((ROWS, LENGTH), bool)
  asked = whole.at[:, -1].set(True)

  def logits(params: Any, ids_BT: jax.Array, reset_BT: jax.Array) -> jax.Array:
    _, h_BTD = apply_body(memory, params, fresh, ids_BT, reset_BT)
    return apply_readout(memory, params, h_BTD[:, -1])

  def loss(params: Any, key: jax.Array) -> jax.Array:
    ids_BT, symbol_B = draw(key)
    y_BV = logits(params, ids_BT, asked if cut else whole)
    losses_B = optax.softmax_cross_entropy_with_integer_labels(y_BV, symbol_B)
    return losses_B.mean()

  optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))

  def step(state: Any, key: jax.Array) -> tuple[Any, None]:
    params, moments = state
    updates, moments = optimiser.update(jax.grad(loss)(params, key), moments)
    return (optax.apply_updates(params, updates), moments), None

  first, last, *keys = jax.random.split(jax.random.key(0), STEPS + 2)
  ids_BT, symbol_B = draw(last)
  params = memory.init(first, fresh, ids_BT, whole)['params']
  (params, _), _ = lax.scan(
    step, (params, optimiser.init(params)), jnp.stack(keys)
  )

  def accuracy(reset_BT: jax.Array) -> jax.Array:
    return (logits(params, ids_BT, reset_BT).argmax(-1) == symbol_B).mean()

  return accuracy(asked if cut else whole), accuracy(asked)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name in MODELS
  ],
)
def test_a_memory_recalls_a_symbol(name: str) -> None:
  accuracy, without_state = learn(name, False)
  assert accuracy > 0.9
  assert without_state < 0.5


@pytest.mark.slow
def test_nothing_is_learned_without_a_state() -> None:
  accuracy, _ = learn('gru', True)
  assert accuracy < 0.5
