"""The tests' own speed: no program that takes long is compiled twice."""

import jax
from jax import monitoring
import jax.numpy as jnp
import numpy as np

READ = '/jax/compilation_cache/cache_hits'


def slow_to_compile(x: jax.Array) -> jax.Array:
  for _ in range(60):
    x = jnp.sin(x @ x).at[0].add(x.sum())
  return x


def test_a_dropped_program_is_read_and_not_compiled_again() -> None:
  events: list[str] = []

  def note(event: str, **_: str | int) -> None:
    events.append(event)

  x = np.ones((4, 4), np.float32)
  jax.jit(slow_to_compile)(x).block_until_ready()
  jax.clear_caches()
  monitoring.register_event_listener(note)
  try:
    jax.jit(slow_to_compile)(x).block_until_ready()
  finally:
    monitoring.unregister_event_listener(note)
  assert events.count(READ) == 1
