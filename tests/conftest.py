"""One set of rules for all tests: 8 CPU devices, checked shapes and types."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'
os.environ['WANDB_MODE'] = 'offline'
os.environ['WANDB_SILENT'] = 'true'

import jax
import jaxtyping

jaxtyping.install_import_hook(
  ['memjax.ops', 'memjax.models', 'memjax.tasks'], 'beartype.beartype'
)
jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')
