"""The laws of pure functions: calls depend on their arguments only.

Each is a function of a subject. It raises Broken, or returns a remark.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.laws.broken import (
  TOLERANCE,
  named_leaves,
  require_close,
  require_law,
)
from memjax.laws.subject import PIECE, Subject, compiled, draw, some_resets
from memjax.types import Carry

REPLICAS = 2
HIDDEN = (
  'state outside the carry: an attribute, a global variable, numpy.random'
)


def pure(s: Subject) -> str:
  """The same twice; no two leaves share memory."""
  _apart(s.fresh(), 'of initial_carry')
  first, second = map(named_leaves, (s.fresh(), s.fresh()))
  for (leaf, one), (_, other) in zip(first, second, strict=True):
    require_law(
      bool((one == other).all()),
      f'initial_carry gives another value of {leaf} the second time',
      HIDDEN,
    )
  inputs, reset_BT = draw(s.input_spec, PIECE)
  carry, y = s.read(s.fresh(), inputs, reset_BT)
  again, y_again = s.read(s.fresh(), inputs, reset_BT)
  first, second = named_leaves((carry, y)), named_leaves((again, y_again))
  for (_, one), (_, other) in zip(first, second, strict=True):
    require_law(
      np.array_equal(one, other),
      'the same call gives another result the second time',
      'a callback to the host, or an operation without a fixed order',
    )
  _apart(carry, 'of the carry that a call returns')
  return ''


def _apart(carry: Carry, whose: str) -> None:
  """No two leaves share memory, so a step may overwrite each of them."""
  places: dict[int, str] = {}
  for path, value in jax.tree_util.tree_leaves_with_path(carry):
    leaf = jax.tree_util.keystr(path, simple=True, separator='.')
    here = value.unsafe_buffer_pointer()
    require_law(
      here not in places,
      f'leaves `{places.get(here)}` and `{leaf}` {whose} are one array, which '
      'a step cannot overwrite',
      'one jnp.zeros for two leaves: make an array for each',
    )
    places[here] = leaf


def eager(s: Subject) -> str:
  """The same without jit, where no two leaves share memory either."""
  inputs, reset_BT = draw(s.input_spec, 1)
  arguments = s.fresh(), jnp.asarray(inputs), jnp.asarray(reset_BT)
  with jax.default_matmul_precision('highest'):
    carry, y = s.model.apply({'params': s.params}, *arguments)
  jitted, y_jitted = s.read(s.fresh(), inputs, reset_BT)
  require_close(y, y_jitted, 'Outputs differ without jit', HIDDEN)
  for (leaf, one), (_, other) in zip(
    named_leaves(carry), named_leaves(jitted), strict=True
  ):
    require_law(
      np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE),
      f'{leaf} differs without jit',
      HIDDEN,
    )
  _apart(carry, 'of the carry that a call without jit returns')
  return ''


def replicas(s: Subject) -> str:
  """Under vmap each replica of the parameters reads its own stream."""
  streams = [draw(s.input_spec, PIECE, seed=n)[0] for n in range(REPLICAS)]
  reset_BT = some_resets(PIECE)
  params = [
    jax.tree.map(lambda p, n=n: p * (1 + n / 4), s.params)
    for n in range(REPLICAS)
  ]

  def stack(*leaves: Any) -> jax.Array:
    return jnp.stack(leaves)

  carry = jax.tree.map(stack, *[s.fresh() for _ in range(REPLICAS)])
  call = jax.vmap(compiled(s.model), in_axes=(0, 0, 0, None))
  _, y = jax.jit(call)(
    jax.tree.map(stack, *params), carry, np.stack(streams), reset_BT
  )
  for n in range(REPLICAS):
    _, alone = s.call(params[n], s.fresh(), streams[n], reset_BT)
    require_close(
      y[n],
      alone,
      f'Replica {n} of {REPLICAS} gives other outputs than it does alone',
      'shapes or values that are read with Python, or a callback',
    )
  return ''
