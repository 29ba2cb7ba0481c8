"""Floors of forget gates, which rise from layer to layer and are learned.

With L layers, numbers g_i of each layer and each unit, and the softmax over
the layers,

    [P_0 ... P_(L-1)] = softmax([g_0 ... g_(L-1)])
    l_i = P_1 + ... + P_i,   l_0 = 0
    f = l_i + (1 - l_i) sigma(a),   1 - f = (1 - l_i) sigma(-a)

g starts at 0, so l_i at i / L: lower layers forget fast, upper ones slowly. The
lowest layer that has floors owns the numbers of all layers.

Papers: HGRN, Qin et al. 2023, https://arxiv.org/abs/2311.04823; HGRN2, Qin et
al. 2024, https://arxiv.org/abs/2404.07904.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp


def shared_floors(
  module: nn.Module,
  name: str,
  shared: dict[str, jax.Array],
  units: int,
  depth: int,
) -> dict[str, jax.Array]:
  """`shared` with log P, `(L, units)`, under this name.

  Args:
    module: owns g if no layer below does.
    name: of the memories that share the floors.
    shared: what the layers below hand on.
    units: number of gates of a layer.
    depth: L.
  """
  key = f'{name}_floors_{units}'
  if key in shared or depth == 1:
    return shared
  zeros = nn.initializers.zeros_init()
  g = module.param('floors', zeros, (depth * units,)).astype(jnp.float32)
  return shared | {key: jax.nn.log_softmax(g.reshape(depth, units), axis=0)}


def gates(
  a_BTU: jax.Array, name: str, shared: dict[str, jax.Array], index: int
) -> tuple[jax.Array, jax.Array]:
  """log f and 1 - f of layer `index`, without a logarithm of 0.

  Args:
    a_BTU: float32.
    name: as in `shared_floors`.
    shared: what `shared_floors` returns.
    index: i.
  """
  log_kept, log_left = nn.log_sigmoid(a_BTU), nn.log_sigmoid(-a_BTU)
  if index == 0:
    return log_kept, jnp.exp(log_left)
  log_LU = shared[f'{name}_floors_{a_BTU.shape[-1]}']
  floor_U = jax.nn.logsumexp(log_LU[1 : index + 1], axis=0)
  above = jnp.concatenate([log_LU[:1], log_LU[index + 1 :]])
  rest_U = jax.nn.logsumexp(above, axis=0)  # log (1 - l)
  log_f = jnp.logaddexp(floor_U[None, None], rest_U[None, None] + log_kept)
  # Rounded, a sum of shares may be above 1.
  return jnp.minimum(log_f, 0), jnp.exp(rest_U[None, None] + log_left)
