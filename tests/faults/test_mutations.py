"""Random damage to a checkpoint is never restored."""

from collections.abc import Callable
import logging
import os
from pathlib import Path
import pickle
import random
import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints

WIDTH = 300


class State(NamedTuple):
  step: Any
  params: Any
  carry: Any


def make_state(step: int) -> State:
  kernel = jax.random.normal(jax.random.key(step), (WIDTH,))
  return State(jnp.int32(step), {'kernel': kernel}, jnp.ones(3) * step)


def flip(path: Path, draw: random.Random) -> None:
  content = bytearray(path.read_bytes())
  if content:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
  else:
    content += b'\0'
  path.write_bytes(content)


def truncate(path: Path, draw: random.Random) -> None:
  size = path.stat().st_size
  if size:
    os.truncate(path, draw.randrange(size))
  else:
    path.unlink()


def delete(path: Path, draw: random.Random) -> None:
  path.unlink()


def extend(path: Path, draw: random.Random) -> None:
  path.write_bytes(path.read_bytes() + draw.randbytes(draw.randint(1, 9)))


def empty_folder(path: Path, draw: random.Random) -> None:
  step = next(parent for parent in path.parents if parent.name == '2')
  shutil.rmtree(step)
  step.mkdir()


def half_deleted(path: Path, draw: random.Random) -> None:
  folder = path.parent if path.parent.name != '2' else path.parent / 'params'
  shutil.rmtree(folder)


def swap(path: Path, draw: random.Random) -> None:
  """The file of the same name of the step before."""
  parts = list(path.parts)
  parts[parts.index('2')] = '1'
  other = Path(*parts)
  if other.exists() and other.read_bytes() != path.read_bytes():
    shutil.copy(other, path)
  else:
    flip(path, draw)


MUTATIONS: list[Callable[[Path, random.Random], None]] = [
  *(flip, truncate, delete, extend, empty_folder, half_deleted, swap)
]


@pytest.mark.slow
@pytest.mark.parametrize(
  'count', [35, pytest.param(1000, marks=pytest.mark.slow)]
)
def test_random_damage_falls_back_to_the_newest_whole_step(
  count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
  saved, folder = tmp_path / 'saved', tmp_path / 'checkpoints'
  with Checkpoints(saved, keep=2) as checkpoints:
    for step in (1, 2):
      checkpoints.save(make_state(step), {})
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    make_state(0),
  )
  draw, wanted = random.Random(0), make_state(1)
  with (
    Checkpoints(folder, keep=2) as checkpoints,
    caplog.at_level(logging.WARNING),
  ):
    for turn in range(count):
      for name in ('1', '2', 'damaged'):
        shutil.rmtree(folder / name, ignore_errors=True)
      for name in ('1', '2'):
        shutil.copytree(saved / name, folder / name)
      files = [p for p in sorted((folder / '2').rglob('*')) if p.is_file()]
      MUTATIONS[turn % len(MUTATIONS)](draw.choice(files), draw)
      caplog.clear()
      found = checkpoints.restore(target)
      assert found is not None
      for one, other in zip(
        jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True
      ):
        np.testing.assert_array_equal(one, other)
      (line,) = [record.getMessage() for record in caplog.records]
      assert line.startswith('step 2 is damaged: ')


class Payload:
  """What a hostile pickle runs when it is loaded."""

  def __init__(self, marker: Path):
    self.marker = str(marker)

  def __reduce__(self) -> tuple[Any, ...]:
    return os.mkdir, (self.marker,)


def test_a_pickle_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
  folder, marker = tmp_path / 'checkpoints', tmp_path / 'was run'
  with Checkpoints(folder, keep=2) as checkpoints:
    checkpoints.save(make_state(1), {})
  hostile = pickle.dumps(Payload(marker))
  files = [p for p in (folder / '1').rglob('*') if p.is_file()]
  for path in files:
    path.write_bytes(hostile)
  with pytest.raises(manifest.Damaged):
    manifest.verify(folder / '1')
  # Even with a manifest that a hostile hand has written for these files:
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    make_state(0),
  )
  leaves = manifest.leaf_types(make_state(1)._asdict())
  (folder / '1' / manifest.NAME).unlink()
  manifest.seal(folder / '1', manifest.Manifest(1, {}, leaves, {}, {}))
  with (
    Checkpoints(folder, keep=2) as checkpoints,
    pytest.raises((ValueError, TypeError, KeyError)),
  ):
    checkpoints.restore(target)
  assert not marker.exists()
  pickle.loads(hostile)
  assert marker.exists(), 'the payload works'
