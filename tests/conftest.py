"""One set of rules for all tests: 8 CPU devices, checked shapes and types."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'
os.environ['WANDB_MODE'] = 'offline'
os.environ['WANDB_SILENT'] = 'true'

from collections.abc import Iterator

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook(
  ['memjax.ops', 'memjax.models', 'memjax.tasks'], 'beartype.beartype'
)
jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture(autouse=True)
def no_silent_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
  """No float type turns into another unasked; optax's own arithmetic does."""
  with_optax = {'training', 'learning'} & set(request.path.parts)
  mode = 'standard' if with_optax else 'strict'
  with jax.numpy_dtype_promotion(mode):
    yield
