"""Each turn of a loop counts, and a peak is that of one kind of device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from memjax.logs import hardware

B, K, M, N, T = 8, 16, 4, 2, 100
X_BK, W_KK = jnp.ones((B, K)), jnp.ones((K, K))
PRODUCT = 2 * B * K * K


def recurrent(w_KK: jax.Array, x_BK: jax.Array) -> jax.Array:
  def step(h_BK: jax.Array, _: None) -> tuple[jax.Array, None]:
    return jnp.tanh(h_BK @ w_KK), None

  return jax.lax.scan(step, x_BK, None, length=T)[0].sum()


def convolve(image: jax.Array, kernel: jax.Array) -> jax.Array:
  names = ('NHWC', 'HWIO', 'NHWC')
  return jax.lax.conv_general_dilated(
    image, kernel, (1, 1), 'SAME', dimension_numbers=names
  )


def branches(w_KK: jax.Array, x_BK: jax.Array) -> jax.Array:
  return jax.lax.cond(
    x_BK[0, 0] > 0, lambda: x_BK @ w_KK, lambda: x_BK @ w_KK @ w_KK
  )


@pytest.mark.parametrize(
  ('function', 'arguments', 'flops'),
  [
    (jnp.matmul, (X_BK, W_KK), PRODUCT),
    (jax.jit(jnp.matmul), (X_BK, W_KK), PRODUCT),
    (jnp.matmul, (jnp.ones((N, B, K)), jnp.ones((N, K, M))), 2 * N * B * K * M),
    (recurrent, (W_KK, X_BK), T * PRODUCT),
    (jax.grad(recurrent), (W_KK, X_BK), 3 * T * PRODUCT),
    (jax.grad(jax.checkpoint(recurrent)), (W_KK, X_BK), 4 * T * PRODUCT),
    (branches, (W_KK, X_BK), 2 * PRODUCT),
    (jnp.tanh, (X_BK,), 0),
    (
      convolve,
      (jnp.ones((1, 8, 8, M)), jnp.ones((3, 3, M, K))),
      2 * 64 * 9 * M * K,
    ),
  ],
)
def test_matrix_products_are_counted(
  function: Callable[..., jax.Array],
  arguments: tuple[jax.Array, ...],
  flops: int,
) -> None:
  jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
  assert hardware.matmul_flops(jaxpr) == flops


def test_the_compiler_counts_the_body_of_a_loop_once() -> None:
  """Why the count is our own. If this fails, the compiler's can be used."""
  costs = jax.jit(recurrent).lower(W_KK, X_BK).compile().cost_analysis()
  assert costs is not None
  assert costs['flops'] < 2 * PRODUCT


@pytest.mark.parametrize(
  ('kind', 'peak'),
  [
    ('NVIDIA H100 80GB HBM3', 989e12),
    ('NVIDIA H100 PCIe', 756e12),
    ('NVIDIA A100-SXM4-40GB', 312e12),
    ('NVIDIA A10', 125e12),
    ('NVIDIA A10G', None),
    ('NVIDIA L4', 121e12),
    ('NVIDIA L40S', 362e12),
    ('NVIDIA GeForce RTX 4090', 165e12),
    ('NVIDIA GeForce RTX 4090 Laptop GPU', None),
    ('TPU v4 lite', 137e12),
    ('TPU v4', 275e12),
    ('TPU v5 lite', 197e12),
    ('TPU v5', 459e12),
    ('TPU v6 lite', 918e12),
    ('cpu', None),
  ],
)
def test_peaks_are_of_this_kind_only(kind: str, peak: float | None) -> None:
  assert hardware.peak_flops(kind) == peak


def test_peaks_of_devices_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
  assert hardware.total_peak(jax.devices()) is None
  monkeypatch.setitem(hardware.PEAKS, 'cpu', 1e9)
  assert hardware.total_peak(jax.devices()) == 1e9 * len(jax.devices())


def test_memory_is_that_of_the_fullest_device(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  class Device:
    def __init__(self, peak: int):
      self._peak = peak

    def memory_stats(self) -> dict[str, int] | None:
      return {'peak_bytes_in_use': self._peak} if self._peak else None

  monkeypatch.setattr(jax, 'local_devices', lambda: [Device(0)])
  assert hardware.peak_memory() is None
  monkeypatch.setattr(jax, 'local_devices', lambda: [Device(5), Device(7)])
  assert hardware.peak_memory() == 7
