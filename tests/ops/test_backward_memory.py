"""What the backward pass keeps of a state: at most one for each chunk."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.linear.rwkv6 import read_before_write
from memjax.ops.dplr import dplr
from memjax.ops.exponential import exponential, nothing
from memjax.ops.fenwick import add_levels, correct_levels
from memjax.ops.linear_attention import add, correct
from memjax.ops.mesa import regress
from memjax.ops.selective import PIECE, selective
from memjax.ops.slots import attend_slots
from memjax.ops.taylor import add_taylor, number_of_features

STEPS, WIDE, LEVELS, CHUNK = 128, 32, 3, 16  # far fewer chunks than steps
STEP = 1, STEPS, 1
WIDE_W = 1, 1, WIDE, WIDE
NEVER = jnp.zeros((1, STEPS), bool)


def zeros(*shape: int) -> jax.Array:
  return jnp.zeros(shape)


KEY = zeros(*STEP, WIDE)
HEAD = zeros(*STEP)
BEFORE = zeros(1, LEVELS, *WIDE_W[1:]), jnp.zeros(1, jnp.int32)
BY_CHANNEL: dict[str, Any] = {'log_decay': KEY, 'chunk': CHUNK}
BY_HEAD: dict[str, Any] = {'log_decay': HEAD, 'chunk': CHUNK}

# What each reads, and the number of floats of its state.
CASES: dict[str, tuple[Callable[[jax.Array], Any], int]] = {
  'add': (
    lambda q: add(zeros(*WIDE_W), q, KEY, KEY, NEVER, **BY_HEAD),
    WIDE**2,
  ),
  'add by channel': (
    lambda q: add(zeros(*WIDE_W), q, KEY, KEY, NEVER, **BY_CHANNEL),
    WIDE**2,
  ),
  'correct': (
    lambda q: correct(zeros(*WIDE_W), q, q, q, q, NEVER, **BY_HEAD),
    WIDE**2,
  ),
  'read before write': (
    lambda q: read_before_write(zeros(*WIDE_W), q, q, q, NEVER, **BY_CHANNEL),
    WIDE**2,
  ),
  'dplr': (
    lambda q: dplr(zeros(*WIDE_W), q, q, q, q, q, NEVER, **BY_CHANNEL),
    WIDE**2,
  ),
  'slots': (
    lambda q: attend_slots(
      zeros(*WIDE_W), zeros(*WIDE_W), q, q, q, q, q, NEVER, chunk=CHUNK
    ),
    WIDE**2,
  ),
  'taylor': (
    lambda q: add_taylor(
      zeros(1, 1, number_of_features(WIDE), WIDE), q, q, q, NEVER, chunk=CHUNK
    ),
    number_of_features(WIDE) * WIDE,
  ),
  'mesa': (
    lambda q: regress(
      zeros(*WIDE_W),
      zeros(*WIDE_W),
      q,
      q,
      q,
      HEAD,
      jnp.ones((1, WIDE)),
      NEVER,
      iterations=4,
      **BY_HEAD,
    ),
    2 * WIDE**2,
  ),
  'levels': (
    lambda q: add_levels(
      *BEFORE, q, q, q, q[..., : LEVELS + 1], NEVER, **BY_HEAD
    ),
    LEVELS * WIDE**2,
  ),
  'corrected levels': (
    lambda q: correct_levels(
      *BEFORE, q, q, q, q, q[..., : LEVELS + 1], NEVER, **BY_HEAD
    ),
    LEVELS * WIDE**2,
  ),
  'exponential': (
    lambda q: exponential(
      nothing(1, 1, WIDE, WIDE), q, q, q, HEAD, HEAD, NEVER, chunk=CHUNK
    ),
    WIDE**2,
  ),
  'selective': (
    lambda q: selective(
      zeros(1, WIDE, WIDE), *(q[:, :, 0],) * 4, zeros(WIDE, WIDE), NEVER
    ),
    WIDE**2,
  ),
}


@pytest.mark.parametrize('case', CASES)
def test_no_array_holds_more_than_a_state_for_each_chunk(case: str) -> None:
  read, state = CASES[case]
  chunks = STEPS // (PIECE if case == 'selective' else CHUNK)

  def kept(q: jax.Array) -> Any:
    return jax.vjp(read, q)[1]

  sizes = [
    int(np.prod(x.shape)) for x in jax.tree.leaves(jax.eval_shape(kept, KEY))
  ]
  assert max(sizes) >= chunks * state / 2, 'the state is not seen'
  assert max(sizes) <= 1.5 * chunks * state
