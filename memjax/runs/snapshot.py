"""Reads a saved step of a workdir: for load, eval, sample and reports.

A `Snapshot` is one saved step of a workdir, and what the workdir says about
it. Nothing in the workdir changes. Arrays come back as numpy arrays, whatever
devices saved them.
"""

from collections.abc import Collection
import functools
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from memjax.errors import ConfigError, nearest, require
from memjax.runs import frozen, manifest
from memjax.runs.best import Figure
from memjax.runs.checkpoint import ITEMS, silence_orbax
from memjax.runs.interface import Interface, read_interface
from memjax.runs.manifest import Damaged, Manifest
from memjax.runs.workdir import read_config
from memjax.types import Params

TRAINED = ('params', 'ema')
WEIGHTS = 'weights'  # the moving average if the run keeps one, else params

log = logging.getLogger(__name__)


class Snapshot:
  """One saved step of a workdir.

  The parameters of an adapted run are the model's: what is frozen and what is
  trained, merged.

  Every JSON file of the workdir is read at most once, when it is first needed.
  Every file of the step is hashed at most once: those of `items` when the
  snapshot is opened, those of another item before it is first read.

  Args:
    workdir: the folder of a run, which may be in progress.
    step: 'latest', 'best' by the config's `checkpoint.best`, or a number.
      'latest' is the newest step whose `items` are whole: a damaged step is
      skipped with a warning. With replicas, 'best' is the step with the best
      median.
    items: the items that must be whole, among 'weights', 'params', 'ema',
      'carry' and 'rest'. An item without arrays is not saved, and is not
      missed here.

  Raises:
    ConfigError: the workdir has no such step, or it is damaged.
  """

  def __init__(
    self,
    workdir: str | Path,
    step: int | str = 'latest',
    items: Collection[str] = (WEIGHTS,),
  ):
    silence_orbax()
    self.workdir = Path(workdir)
    self._folder = (self.workdir / 'checkpoints').absolute()
    names = {self._saved_name(item) for item in items}
    self._manifest = self._choose(step, names)
    self._verified = names

  @functools.cached_property
  def config(self) -> dict[str, Any]:
    """The config of the run, as nested dicts."""
    return read_config(self.workdir)

  @functools.cached_property
  def interface(self) -> Interface:
    """What the model reads and answers, and the tokenizer."""
    return read_interface(self.workdir)

  @property
  def step(self) -> int:
    """Number of optimiser steps taken."""
    return self._manifest.step

  @property
  def _freezes(self) -> bool:
    """Whether the run trains a part; see frozen.py."""
    leaves = manifest.leaves_of(self._manifest, 'params')
    return {path.split('/')[1] for path in leaves} <= {*frozen.TRAINED}

  @property
  def metrics(self) -> dict[str, Figure]:
    """What was measured at this step; with replicas, a list of their values."""
    return self._manifest.metrics

  @property
  def diverged(self) -> dict[str, int]:
    """{seed: step} of the replicas that had stopped, as they diverged."""
    return self._manifest.diverged

  def read(self, item: str, target: Any = None) -> Any:
    """One item, as numpy arrays.

    Args:
      item: 'weights', 'params', 'ema', 'carry' or 'rest'.
      target: a pytree of anything with the shapes and dtypes that were saved,
        such as `jax.eval_shape(lambda: model.initial_carry(batch_size))`. The
        item comes back in this structure. Without a target, tuples and
        NamedTuples come back as lists.

    Raises:
      ConfigError: the item was not saved, is damaged, or holds other arrays
        than `target`.
    """
    if target is not None and not jax.tree.leaves(target):
      return target  # an item without arrays is not saved
    name = self._saved_name(item)
    saved = manifest.items_of(self._manifest)
    rule = f'was not saved at step {self.step}; {nearest(name, saved)}'
    require(name in saved, 'items', name, rule)
    if name not in self._verified:
      self._verify(self._manifest, {name})
      self._verified.add(name)
    if name in TRAINED and self._freezes:
      return self._merged(name, target)
    return self._restored(name, target)

  def _merged(self, name: str, target: Any) -> Params:
    """The model's parameters, of an adapted run."""
    base = frozen.read(self._folder)
    params = jax.device_get(frozen.merged(base, self._restored(name, None)))
    if target is not None:
      wanted, folder = manifest.leaf_types(target), self._step_folder()
      manifest.require_leaves(manifest.leaf_types(params), wanted, folder)
    return params

  def _restored(self, name: str, target: Any) -> Any:
    path, reader = self._step_folder() / name, ocp.PyTreeCheckpointer()
    if target is None:
      stored = reader.metadata(path).item_metadata.tree
      return reader.restore(path, restore_args=_as_numpy(stored))
    manifest.require_leaves(
      manifest.leaves_of(self._manifest, name),
      manifest.leaf_types({name: target}),
      path,
    )
    return reader.restore(path, item=target, restore_args=_as_numpy(target))

  def _saved_name(self, item: str) -> str:
    """The name under which an item is saved."""
    known = (WEIGHTS, *ITEMS, 'rest')
    require(item in known, 'items', item, nearest(item, known))
    if item != WEIGHTS:
      return item
    return 'ema' if self.config['optim']['ema'] else 'params'

  def _step_folder(self) -> Path:
    return self._folder / str(self.step)

  def _choose(self, step: int | str, names: Collection[str]) -> Manifest:
    if step == 'latest':
      return self._newest_whole(names)
    if step == 'best':
      return self._verify(self._best(), names)
    number = isinstance(step, int)
    require(number, 'step', step, 'must be latest, best or a number')
    try:
      found = manifest.read_manifest(self._folder / str(step))
    except Damaged as damage:
      raise ConfigError('step', step, f'{self._folder}: {damage}') from None
    return self._verify(found, names)

  def _newest_whole(self, names: Collection[str]) -> Manifest:
    for step in reversed(manifest.steps_in(self._folder)):
      folder = self._folder / str(step)
      try:
        found = manifest.read_manifest(folder)
        manifest.verify_files(folder, found, names)
      except Damaged as damage:
        log.warning('step %s in %s is damaged: %s', step, self._folder, damage)
      else:
        return found
    raise ConfigError('checkpoints', str(self._folder), 'has no undamaged step')

  def _best(self) -> Manifest:
    settings = self.config['checkpoint']
    metric = settings['best']
    require(
      bool(metric),
      'checkpoint.best',
      metric,
      'must name a metric to use the best step',
    )
    manifests = manifest.manifests_in(self._folder)
    best = manifest.best_of(manifests, metric, settings['best_is'])
    if best is None:
      raise ConfigError('step', 'best', f'no saved step has a {metric}')
    return manifests[best]

  def _verify(self, found: Manifest, names: Collection[str]) -> Manifest:
    """The manifest, once these items of its step equal it."""
    try:
      manifest.verify_files(self._folder / str(found.step), found, names)
    except Damaged as damage:
      rule = f'{self._folder}: {damage}'
      raise ConfigError('step', found.step, rule) from None
    return found


def _as_numpy(tree: Any) -> Any:
  return jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
