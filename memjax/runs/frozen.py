"""What an adapted run does not train: saved once, and merged where it is read.

A run whose `adapt` section freezes a part of the model has two trees:

    params   {'low_rank': factors by kernel, 'whole': parameters}   trained
    frozen   {'base': parameters, 'scale': alpha / r}               constant

and the model's own parameters are

    W = base + scale A B            lora     A (rows, r), B (r, columns)
    W = base + scale P diag(l) Q    adalora  P (rows, r), l (r,), Q (r, columns)

Any other run has `frozen == ()`, and its `params` are the model's.

The frozen tree lies in `checkpoints/frozen/0/`, with a manifest as any step.
"""

from pathlib import Path
import shutil
from typing import Any

from flax import traverse_util
import jax
import numpy as np
import orbax.checkpoint as ocp

from memjax.errors import ConfigError
from memjax.runs import manifest, processes
from memjax.runs.manifest import Damaged, Manifest
from memjax.types import Params

ITEM = 'frozen'
TRAINED = ('low_rank', 'whole')  # the trees of an adapted run's `params`
Frozen = Any  # () or the tree above
RULE = 'holds what the run does not train, which no step can be read without'


def materialise(frozen: Frozen, params: Params) -> Params:
  """The model's parameters; arrays may have leading axes in common."""
  if not frozen:
    return params
  leaves = traverse_util.flatten_dict(frozen['base'])
  leaves |= traverse_util.flatten_dict(params.get('whole', {}))
  for path, factors in factors_by_kernel(params).items():
    change, scale = product(factors), frozen['scale']
    scale = scale.reshape(scale.shape + (1,) * (change.ndim - scale.ndim))
    leaves[path] = leaves[path] + scale * change
  return traverse_util.unflatten_dict(leaves)


def factors_by_kernel(params: Params) -> dict[tuple[str, ...], Params]:
  """{path of a kernel: {'a', 'b'} or {'p', 'l', 'q'}}."""
  found: dict[tuple[str, ...], Params] = {}
  factors = traverse_util.flatten_dict(params.get('low_rank', {}))
  for (*path, name), factor in factors.items():
    found.setdefault(tuple(path), {})[name] = factor
  return found


def product(factors: Params) -> jax.Array:
  """A B, or P diag(l) Q."""
  if 'a' in factors:
    return factors['a'] @ factors['b']
  return (factors['p'] * factors['l'][..., None, :]) @ factors['q']


merged = jax.jit(materialise)


def save(
  orbax: Any, checkpoints: Path, unfinished: Path, frozen: Frozen
) -> None:
  """Writes the tree, unless it is there; every process calls it, and waits."""
  folder = checkpoints / ITEM / '0'
  if processes.broadcast(int(folder.exists())):
    return
  args = ocp.args.Composite(**{ITEM: ocp.args.PyTreeSave(frozen)})
  orbax.save(unfinished / ITEM, args=args)
  orbax.wait_until_finished()
  if processes.is_first():
    leaves = manifest.leaf_types({ITEM: frozen})
    manifest.seal(unfinished / ITEM, Manifest(0, {}, leaves, {}, files={}))
    folder.parent.mkdir(exist_ok=True)
    manifest.publish(unfinished / ITEM, folder)
  processes.barrier('memjax.frozen.saved')


def discard(checkpoints: Path) -> None:
  """Removes a tree that no step was saved with: its run begins anew."""
  if processes.is_first():
    shutil.rmtree(checkpoints / ITEM, ignore_errors=True)
  processes.barrier('memjax.frozen.discarded')


def restore(orbax: Any, checkpoints: Path, abstract: Frozen) -> Frozen:
  """The tree, on the devices of today.

  Args:
    orbax: reads it.
    checkpoints: the folder of the steps.
    abstract: a ShapeDtypeStruct with a sharding for each array.

  Raises:
    ConfigError: it is missing or damaged, or holds other arrays.
  """
  folder, stored = _verified(checkpoints)
  wanted = manifest.leaf_types({ITEM: abstract})
  manifest.require_leaves(stored.leaves, wanted, folder)
  places = ocp.checkpoint_utils.construct_restore_args(abstract)
  target = ocp.args.PyTreeRestore(abstract, restore_args=places)
  return orbax.restore(folder, args=ocp.args.Composite(**{ITEM: target}))[ITEM]


def read(checkpoints: Path) -> Frozen:
  """The tree as numpy arrays, `(N, ...)`.

  Raises:
    ConfigError: it is missing or damaged.
  """
  path, reader = _verified(checkpoints)[0] / ITEM, ocp.PyTreeCheckpointer()
  tree = reader.metadata(path).item_metadata.tree
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
  )
  return reader.restore(path, restore_args=as_numpy)


def _verified(checkpoints: Path) -> tuple[Path, Manifest]:
  """Its folder, once every file equals the manifest."""
  folder = checkpoints / ITEM / '0'
  try:
    return folder, manifest.verify(folder)
  except Damaged as damage:
    rule = f'{damage}; it {RULE}'
    raise ConfigError('checkpoints', str(folder), rule) from None
