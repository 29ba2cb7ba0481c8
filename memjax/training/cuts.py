"""How the mesh cuts parameters and carry.

`tensor` cuts units (Shoeybi et al. 2019, https://arxiv.org/abs/1909.08053): the
columns of a kernel, or its rows where the kernel leads out of a layer, so that
the devices add up once, at the layer's end. A carry is cut with the batch, and
along its last axis: units of a cell, values of a matrix. A recurrent kernel's
columns are cut too, and its products meet at every step. What `tensor` does not
divide stays whole.
"""

import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from memjax.errors import ConfigError

ROWS = ('data', 'fsdp')  # the mesh axes that cut a batch
LEADS_OUT = re.compile(r'(output|mlp_out|down|memory/readout)/kernel$')
LEAST_CUT = 0.5  # share of the parameters that `tensor` must cut


def params_shardings(mesh: Mesh, abstract: Any) -> Any:
  """Cuts arrays `(N, ...)`: kernels by units over tensor, then over fsdp.

  Over fsdp an array is cut along the largest axis left that fsdp divides.
  """
  fsdp, tensor = mesh.shape['fsdp'], mesh.shape['tensor']

  def sharding(path: Any, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    spec: list[str | None] = [None] * leaf.ndim
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    units = [-2, -1] if LEADS_OUT.search(name) else [-1, -2]
    fits = [i for i in units if leaf.ndim > 2 and leaf.shape[i] % tensor == 0]
    if tensor > 1 and fits:
      spec[fits[0]] = 'tensor'
    sizes = {i: n for i, n in enumerate(leaf.shape) if i and spec[i] is None}
    fits = [i for i, n in sizes.items() if n % fsdp == 0 and n > 1]
    if fsdp > 1 and fits:
      spec[max(fits, key=sizes.__getitem__)] = 'fsdp'
    return NamedSharding(mesh, PartitionSpec(*spec))

  return jax.tree_util.tree_map_with_path(sharding, abstract)


def gathered(mesh: Mesh | None, params: Any) -> Any:
  """The parameters of one replica, whole over fsdp where tensor cuts them.

  XLA's partitioner (jaxlib 0.10.2) computes a wrong gradient, without a word,
  of a recurrent kernel whose rows fsdp cuts and whose columns tensor cuts.
  """
  if mesh is None or min(mesh.shape['fsdp'], mesh.shape['tensor']) == 1:
    return params
  shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), params
  )

  def whole(x: jax.Array, place: NamedSharding) -> jax.Array:
    axes = [None if axis == 'fsdp' else axis for axis in place.spec[1:]]
    to = NamedSharding(mesh, PartitionSpec(*axes))
    return jax.lax.with_sharding_constraint(x, to)

  return jax.tree.map(whole, params, params_shardings(mesh, shapes))


def check_units(mesh: Mesh, params: Any) -> None:
  """Requires `tensor` to cut most of the parameters `(N, ...)`.

  Raises:
    ConfigError: names the share and the largest array that stays whole.
  """
  tensor, places = mesh.shape['tensor'], params_shardings(mesh, params)
  arrays = jax.tree_util.tree_leaves_with_path(params)
  whole = [
    (leaf.size, jax.tree_util.keystr(path, simple=True, separator='/'), leaf)
    for (path, leaf), place in zip(arrays, jax.tree.leaves(places), strict=True)
    if 'tensor' not in place.spec
  ]
  share = 1 - sum(size for size, *_ in whole) / sum(x.size for _, x in arrays)
  if tensor == 1 or share >= LEAST_CUT:
    return
  _, name, leaf = max(whole)
  rule = f'cuts {share:.0%} of the parameters, less than half: it divides no '
  rule += f'axis of {name}, {leaf.shape[1:]}'
  raise ConfigError('parallel.tensor', tensor, rule)


def carry_sharding(mesh: Mesh, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
  """Cuts `(N, B, ...)` along B, and along the last axis where tensor fits."""
  tensor = mesh.shape['tensor']
  spec: list[Any] = [None, ROWS, *[None] * (leaf.ndim - 2)]
  if leaf.ndim > 2 and leaf.shape[-1] % tensor == 0 and tensor > 1:
    spec[-1] = 'tensor'
  return NamedSharding(mesh, PartitionSpec(*spec))
