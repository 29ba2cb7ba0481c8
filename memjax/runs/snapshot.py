"""Reading checkpoints without touching them: notebooks, sampling, analysis.

Arrays come back as numpy arrays whatever devices saved them, only the wanted
items are read, and each file is compared with the manifest first.
"""

from collections.abc import Collection
import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from memjax.errors import ConfigError, nearest, require
from memjax.runs import manifest
from memjax.runs.best import Figure
from memjax.runs.checkpoint import silence_orbax
from memjax.runs.manifest import Damaged, Manifest

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
  """What was read from one step.

  Attributes:
    step: its number.
    metrics: what was measured there, of replicas each one's.
    items: pytrees of numpy arrays by name, such as `items['params']`.
  """

  step: int
  metrics: dict[str, Figure]
  items: dict[str, Any]


def load_arrays(
  folder: Path, step: int | None = None, items: tuple[str, ...] = ('params',)
) -> Loaded:
  """Reads whole items as saved; of tuples and NamedTuples it makes lists.

  Args:
    folder: the checkpoints of a run, which may be in progress.
    step: None for the newest that is whole.
    items: among 'params', 'ema', 'carry' and 'rest', those that were saved.

  Raises:
    ConfigError: there is no such step or item, or it is damaged.
  """
  found = newest_whole(folder, step, items)
  reader = ocp.PyTreeCheckpointer()
  loaded = {}
  for item in items:
    path = folder.absolute() / str(found.step) / item
    saved = reader.metadata(path).item_metadata.tree
    loaded[item] = reader.restore(path, restore_args=_as_numpy(saved))
  return Loaded(found.step, found.metrics, loaded)


def load_item(
  folder: Path, item: str, target: Any, step: int | None = None
) -> Any:
  """Reads one item into the structure of `target`, as numpy arrays.

  Args:
    folder: the checkpoints of a run, which may be in progress.
    item: 'params', 'ema' or 'carry'.
    target: a pytree of anything with the shapes and dtypes that were saved,
      such as `jax.eval_shape(lambda: model.initial_carry(batch_size))`.
    step: None for the newest that is whole.

  Raises:
    ConfigError: there is no such step or item, it is damaged, or it holds
      other arrays than `target`.
  """
  if not jax.tree.leaves(target):
    return target  # items without arrays are not saved
  found = newest_whole(folder, step, (item,))
  path = folder.absolute() / str(found.step) / item
  stored = {
    name: kind
    for name, kind in found.leaves.items()
    if name.partition('/')[0] == item
  }
  manifest.require_leaves(stored, manifest.leaf_types({item: target}), path)
  return ocp.PyTreeCheckpointer().restore(
    path, item=target, restore_args=_as_numpy(target)
  )


def best_step(folder: Path, metric: str, best_is: str = 'min') -> int | None:
  """The step with the best finite value of a metric; None if none has one.

  Of replicas that of their median, see `best.py`.

  Args:
    folder: the checkpoints of a run.
    metric: its name, such as 'valid/loss'.
    best_is: 'min' or 'max'.

  Raises:
    ConfigError: `best_is` is neither.
  """
  manifest.require_order(best_is)
  return manifest.best_of(manifest.manifests_in(folder), metric, best_is)


def newest_whole(
  folder: Path, step: int | None, items: Collection[str]
) -> Manifest:
  """The manifest of the newest step whose files of these items are whole.

  Raises:
    ConfigError: there is no such step or item, or it is damaged.
  """
  silence_orbax()
  steps = manifest.steps_in(folder) if step is None else [step]
  for candidate in reversed(steps):
    try:
      found = manifest.verify(folder / str(candidate), items)
    except Damaged as damage:
      if step is not None:
        raise ConfigError('step', step, f'{folder}: {damage}') from None
      log.warning('step %s in %s is damaged: %s', candidate, folder, damage)
      continue
    known = {name.partition('/')[0] for name in found.files if '/' in name}
    for item in items:
      require(item in known, 'items', item, nearest(item, known))
    return found
  raise ConfigError('checkpoints', str(folder), 'holds no whole step')


def _as_numpy(tree: Any) -> Any:
  return jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
