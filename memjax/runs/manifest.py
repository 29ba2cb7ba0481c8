"""The manifest of a saved step: size and hashes of every file of its folder.

A flipped bit in an array file restores silently as a wrong weight, and a partly
written folder looks like a whole one. So the last file of a step is its
manifest, `manifest.json`: size and hashes of all other files, the type of
every array, the metrics, and a SHA-256 of itself. An item with a file that
differs in one byte is damaged, and nothing is read from it.
"""

from collections.abc import Collection, Iterator, Mapping
import contextlib
import hashlib
import json
from pathlib import Path
import re
from typing import Any, NamedTuple

import jax
import numpy as np

from memjax.errors import require
from memjax.guards.file_hashes import find_fault, hash_parts
from memjax.runs.best import Figure, first_best
from memjax.runs.json_files import sync_folder, write_whole

NAME = 'manifest.json'


class Damaged(Exception):
  """A step's folder differs from its manifest; names file and reason."""


class Manifest(NamedTuple):
  """The contents of a step's folder.

  Attributes:
    step: the number that is also the folder's name.
    metrics: values measured at this step, a list for each metric with replicas;
      may be empty.
    leaves: the type of every array by its path in the state, such as
      `{'params/readout/bias': 'float32[10]'}`.
    diverged: {seed: step} of the replicas that had stopped, as a value was not
      finite; their figures are NaN in `metrics`.
    files: `[bytes, [hash of each MiB]]` of every other file by its path in the
      folder; see `file_hashes.py`.
  """

  step: int
  metrics: dict[str, Figure]
  leaves: dict[str, str]
  diverged: dict[str, int]
  files: dict[str, list]


def steps_in(folder: Path) -> list[int]:
  """The steps with a folder here, verified or not, in increasing order."""
  if not folder.is_dir():
    return []
  return sorted(
    int(path.name)
    for path in folder.iterdir()
    if re.fullmatch('0|[1-9][0-9]*', path.name) and path.is_dir()
  )


def newest_step(workdir: Path) -> int:
  """The newest saved step of a run, verified or not; 0 if none is saved."""
  return max([0, *steps_in(workdir / 'checkpoints')])


def manifests_in(folder: Path) -> dict[int, Manifest]:
  """The undamaged manifests by step, in increasing order."""
  manifests = {}
  for step in steps_in(folder):
    with contextlib.suppress(Damaged):
      manifests[step] = read_manifest(folder / str(step))
  return manifests


def require_order(best_is: str) -> None:
  """Requires 'min' or 'max'."""
  require(best_is in ('min', 'max'), 'best_is', best_is, 'must be min or max')


def best_of(
  manifests: dict[int, Manifest], metric: str, best_is: str
) -> int | None:
  """The first step with the best finite value of a metric, if any has one."""
  values = {
    step: manifest.metrics[metric]
    for step, manifest in manifests.items()
    if metric in manifest.metrics
  }
  index = first_best(list(values.values()), best_is)
  return None if index is None else list(values)[index]


def leaf_types(tree: Any) -> dict[str, str]:
  """The type of every array by its path: `{'a/kernel': 'float32[4,8]'}`."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): (
      f'{leaf.dtype}[{",".join(map(str, leaf.shape))}]'
    )
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def require_leaves(
  stored: dict[str, str], wanted: dict[str, str], folder: Path
) -> None:
  """Raises ConfigError naming the first array whose type differs."""

  def parameters_first(path: str) -> tuple[bool, str]:
    return not path.startswith('params/'), path

  for path in sorted(stored.keys() | wanted.keys(), key=parameters_first):
    have, want = (types.get(path, 'nothing') for types in (stored, wanted))
    require(
      have == want,
      path,
      want,
      f'the checkpoint {folder} has {have}: it was made by another model or '
      'another config',
    )


def seal(folder: Path, manifest: Manifest) -> None:
  """Hashes all files of a step's folder, adds them to its manifest, syncs all.

  Raises:
    OSError: the disk is full, or the folder cannot be written.
  """
  files: dict[str, list] = {}
  for path in sorted(folder.rglob('*')):
    if path.is_dir():
      sync_folder(path)
    else:
      name = path.relative_to(folder).as_posix()
      files[name] = [path.stat().st_size, hash_parts(path, sync=True)]
  whole = manifest._replace(metrics=_to_json(manifest.metrics), files=files)
  write_whole(folder / NAME, _render(whole))


def add_metrics(folder: Path, metrics: Mapping[str, Figure]) -> None:
  """Adds values that were measured after the step was saved.

  Raises:
    Damaged: the manifest differs from what was written.
    OSError: the disk is full, or the folder cannot be written.
  """
  manifest = read_manifest(folder)
  whole = manifest.metrics | _to_json(metrics)
  if whole != manifest.metrics:
    write_whole(folder / NAME, _render(manifest._replace(metrics=whole)))


def _to_json(metrics: Mapping[str, Figure]) -> dict[str, Figure]:
  return {k: np.asarray(v, float).tolist() for k, v in metrics.items()}


def publish(sealed: Path, folder: Path) -> None:
  """Renames a sealed step to its final folder."""
  sealed.rename(folder)
  sync_folder(folder.parent)


def read_manifest(folder: Path) -> Manifest:
  """The manifest of a step's folder, checked against its own hash.

  Raises:
    Damaged: it is missing, or differs from what was written.
  """
  try:
    text = (folder / NAME).read_text('utf-8')
    manifest = Manifest(**json.loads(text)['manifest'])
  except FileNotFoundError:
    raise Damaged(f'{NAME} is missing') from None
  except OSError as error:
    raise Damaged(f'{NAME} cannot be read: {error.strerror}') from None
  except (ValueError, KeyError, TypeError):
    raise Damaged(f'{NAME} is garbled') from None
  if text != _render(manifest):
    raise Damaged(f'{NAME} differs from its own hash')
  if str(manifest.step) != folder.name:
    raise Damaged(f'{NAME} is that of step {manifest.step}')
  return manifest


def items_of(manifest: Manifest) -> set[str]:
  """The names of the items that were saved."""
  return {name.partition('/')[0] for name in manifest.files if '/' in name}


def leaves_of(manifest: Manifest, item: str) -> dict[str, str]:
  """The type of every array of one item, by its path in the state."""
  return {
    path: leaf
    for path, leaf in manifest.leaves.items()
    if path.partition('/')[0] == item
  }


def verify(folder: Path) -> Manifest:
  """The manifest of a step's folder, once every file equals it.

  Raises:
    Damaged: a file is missing, unreadable or differs.
  """
  manifest = read_manifest(folder)
  verify_files(folder, manifest)
  return manifest


def verify_files(
  folder: Path, manifest: Manifest, items: Collection[str] | None = None
) -> None:
  """Hashes files of a step's folder and compares them with the manifest.

  Args:
    folder: the step's folder.
    manifest: what the folder must hold.
    items: compares only the files of these items; None: all files.

  Raises:
    Damaged: a file is missing, unreadable or differs.
  """
  for fault in find_faults(folder, manifest, items):
    raise Damaged(fault)


def find_faults(
  folder: Path, manifest: Manifest, items: Collection[str] | None = None
) -> Iterator[str]:
  """What is wrong with each file; see `verify_files`."""
  for name, (size, hashes) in manifest.files.items():
    if items is None or name.partition('/')[0] in items:
      fault = find_fault(folder, name, size, hashes)
      if fault:
        yield fault


def _render(manifest: Manifest) -> str:
  body = json.dumps(manifest._asdict(), sort_keys=True)
  whole = {
    'manifest': manifest._asdict(),
    'sha256': hashlib.sha256(body.encode()).hexdigest(),
  }
  return json.dumps(whole, sort_keys=True, indent=1) + '\n'
