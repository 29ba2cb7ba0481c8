"""Flat products are the plain ones, and their gradients as well."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.dense import Dense, ExactDense
from memjax.ops.products import flat_product, head_product, outer


@pytest.mark.parametrize(
  ('inputs', 'width'), [(5, 3), (5, 7), (5, 512), (512, 5)]
)
def test_values_and_gradients_are_those_of_float64(
  inputs: int, width: int
) -> None:
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, inputs)) / inputs**0.5
  w = rng.normal(size=(inputs, width))
  weights = rng.normal(size=(2, 3, width)) / width**0.5

  def loss(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = flat_product(x, w)
    return (y * weights.astype(np.float32)).sum(), y

  (dx, dw), y = jax.grad(loss, (0, 1), has_aux=True)(
    jnp.float32(x), jnp.float32(w)
  )
  for found, exact in (
    (y, x @ w),
    (dx, weights @ w.T),
    (dw, np.einsum('btd,btf->df', x, weights)),
  ):
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_heads_have_kernels_of_their_own() -> None:
  rng = np.random.default_rng(0)
  x, w = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(4, 5, 6))
  weights = rng.normal(size=(2, 3, 4, 6))

  def loss(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = head_product(x, w)
    return (y * weights.astype(np.float32)).sum(), y

  (dx, dw), y = jax.grad(loss, (0, 1), has_aux=True)(
    jnp.float32(x), jnp.float32(w)
  )
  for found, exact in (
    (y, np.einsum('bthf,hfg->bthg', x, w)),
    (dx, np.einsum('bthg,hfg->bthf', weights, w)),
    (dw, np.einsum('bthf,bthg->hfg', x, weights)),
  ):
    np.testing.assert_allclose(found, exact, atol=1e-5)


@pytest.mark.parametrize('width', [6, 512])
def test_outer_products_add_up_over_steps_and_rows(width: int) -> None:
  rng = np.random.default_rng(0)
  x, d = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, width))
  w = jnp.zeros((4, width))
  found = outer(jnp.float32(x), jnp.float32(d), w, jnp.float32)
  np.testing.assert_allclose(found, np.einsum('tbf,tbg->fg', x, d), atol=1e-5)


def test_types_are_those_of_the_factors_or_as_asked() -> None:
  x, w = jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 4), jnp.bfloat16)
  for layer, dtype in (
    (Dense(4, use_bias=False), jnp.bfloat16),
    (ExactDense(4, use_bias=False), jnp.float32),
  ):
    y: Any = layer.apply({'params': {'kernel': w}}, x)
    assert y.dtype == dtype

  def total(x: jax.Array, w: jax.Array) -> jax.Array:
    return flat_product(x, w, out=jnp.float32).sum()

  assert {g.dtype for g in jax.grad(total, (0, 1))(x, w)} == {x.dtype}
