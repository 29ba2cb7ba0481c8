"""Whatever happens to the files, a damaged step is never restored."""

from collections.abc import Callable, Iterator
import logging
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError, NotSaved
from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints

REPOSITORY = Path(__file__).parents[2]


class State(NamedTuple):
  step: Any
  params: Any
  carry: Any


def make_state(step: int, width: int = 64) -> State:
  kernel = jax.random.normal(jax.random.key(step), (width,))
  return State(jnp.int32(step), {'kernel': kernel}, jnp.zeros(3))


def write(folder: Path, *steps: int) -> None:
  with Checkpoints(folder, keep=10) as checkpoints:
    for step in steps:
      checkpoints.save(make_state(step), {})


def restore(folder: Path, width: int = 64) -> State | None:
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    make_state(0, width),
  )
  with Checkpoints(folder, keep=10) as checkpoints:
    return checkpoints.restore(target)


def test_each_byte_of_each_file_counts(tmp_path: Path) -> None:
  write(tmp_path, 1)
  rng = np.random.default_rng(0)
  files = [path for path in (tmp_path / '1').rglob('*') if path.is_file()]
  kinds = {path.name for path in files}
  assert {manifest.NAME, 'manifest.ocdbt', '_METADATA', '_sharding'} <= kinds
  assert {'commit_success.txt', '_CHECKPOINT_METADATA', 'process_0'} <= kinds

  def flip(content: bytes) -> bytes:
    place, bit = rng.integers(len(content)), 1 << rng.integers(8)
    changed = bytearray(content)
    changed[place] ^= bit
    return bytes(changed)

  mutations: list[Callable[[bytes], bytes]] = [
    flip,
    lambda content: content[: rng.integers(len(content))],
    lambda content: content + b'\n',
  ]
  tried = 0
  for path in files:
    content = path.read_bytes()
    for mutate in mutations:
      path.write_bytes(mutate(content))
      with pytest.raises(manifest.Damaged, match=path.name):
        manifest.verify(tmp_path / '1')
      tried += 1
    path.unlink()
    with pytest.raises(manifest.Damaged, match=f'{path.name} is missing'):
      manifest.verify(tmp_path / '1')
    path.write_bytes(content)
  assert tried >= 60
  assert manifest.verify(tmp_path / '1').step == 1


def flip_middle(path: Path) -> None:
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 16
  path.write_bytes(content)


def test_the_newest_whole_step_is_restored_and_damage_moved(
  tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
  write(tmp_path, 1, 2, 3, 4)
  array = max(
    (tmp_path / '4' / 'params').rglob('d/*'), key=lambda p: p.stat().st_size
  )
  flip_middle(array)
  (tmp_path / '3' / manifest.NAME).unlink()
  shutil.copytree(tmp_path / '2', tmp_path / '7')
  (tmp_path / '99').mkdir()
  (tmp_path / 'notes').mkdir()
  (tmp_path / '007').mkdir()
  (tmp_path / '1000').write_text('a file')
  names = sorted(p.name for p in array.parent.iterdir())

  with caplog.at_level(logging.WARNING):
    restored = restore(tmp_path)
  assert restored is not None
  assert int(restored.step) == 2
  np.testing.assert_array_equal(
    restored.params['kernel'], make_state(2).params['kernel']
  )
  assert manifest.steps_in(tmp_path) == [1, 2]
  aside = tmp_path / 'damaged'
  assert {p.name for p in aside.iterdir()} == {
    f'STEP-{step}' for step in (3, 4, 7, 99)
  }
  moved = aside / 'STEP-4' / array.parent.relative_to(tmp_path / '4')
  assert sorted(p.name for p in moved.iterdir()) == names
  assert {'notes', '007', '1000'} <= {p.name for p in tmp_path.iterdir()}
  lines = [record.getMessage() for record in caplog.records]
  reasons = ['manifest.json is missing', 'is that of step 2']
  reasons += [f'{array.name} differs from its hash', 'manifest.json is missing']
  assert len(lines) == 4
  for line, step, reason in zip(lines, (99, 7, 4, 3), reasons, strict=True):
    assert f'step {step} is damaged' in line
    assert reason in line

  write(tmp_path, 3)
  flip_middle(tmp_path / '3' / 'params' / '_METADATA')
  state = restore(tmp_path)
  assert state is not None
  assert int(state.step) == 2
  assert (aside / 'STEP-3-2').is_dir()
  for step in (1, 2):
    (tmp_path / str(step) / 'rest' / '_METADATA').unlink()
  for _ in range(2):  # to begin anew is the user's to say, not ours
    with pytest.raises(ConfigError, match='all checkpoints are damaged'):
      restore(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
  folder = tmp_path / 'disk'
  folder.mkdir()
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'none', str(folder)]
  if subprocess.run(mount, capture_output=True).returncode:
    pytest.skip('mounting a small file system needs root')
  yield folder
  subprocess.run(['umount', str(folder)], check=True)


def test_a_full_disk_is_one_line_and_older_steps_stay(
  small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
  folder = small_disk / 'checkpoints'
  fits, too_big = 100_000, 600_000
  checkpoints = Checkpoints(folder, keep=1)
  checkpoints.save(make_state(1, fits), {})
  checkpoints.save(make_state(2, too_big), {})
  with pytest.raises(NotSaved, match='step 2 was not saved') as error:
    checkpoints.wait()
  assert 'No space left on device' in str(error.value)
  assert '\n' not in str(error.value)
  assert len(str(error.value)) < 250
  assert [r.getMessage() for r in caplog.records] == [str(error.value)]
  assert manifest.verify(folder / '1')
  assert manifest.steps_in(folder) == [1]
  assert not list((folder / 'unfinished').iterdir())
  checkpoints.save(make_state(3, fits), {})  # there is space again
  checkpoints.wait()
  assert manifest.steps_in(folder) == [3]
  checkpoints.save(make_state(4, too_big), {})
  with pytest.raises(NotSaved, match='step 4 was not saved'):
    checkpoints.close()
  assert not list((folder / 'unfinished').iterdir())
  restored = restore(folder, fits)
  assert restored is not None
  assert int(restored.step) == 3


def test_a_manifest_that_cannot_be_written_publishes_nothing(
  tmp_path: Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  def full(folder: Path, *_: object) -> None:
    raise OSError(28, 'No space left on device', str(folder))

  write(tmp_path, 1)
  monkeypatch.setattr(manifest, 'seal', full)
  checkpoints = Checkpoints(tmp_path, keep=1)
  checkpoints.save(make_state(2), {})
  with pytest.raises(NotSaved, match=r'step 2 was not saved.*No space left'):
    checkpoints.wait()

  def crash_with_a_save_in_flight() -> None:
    with checkpoints:
      checkpoints.save(make_state(4), {})
      raise ZeroDivisionError

  with caplog.at_level(logging.ERROR), pytest.raises(ZeroDivisionError):
    crash_with_a_save_in_flight()
  assert 'step 4 was not saved' in caplog.text
  assert manifest.steps_in(tmp_path) == [1]
  assert not list((tmp_path / 'unfinished').iterdir())


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = [{repository!r}, {tests!r}]
from test_checkpoint_damage import Checkpoints, make_state
with Checkpoints(Path({folder!r}), keep=2) as checkpoints:
  for step in range(10_000):
    checkpoints.save(make_state(step, 1 << 20), {{}})
"""


def test_kill_in_mid_save_leaves_the_newest_whole_step(tmp_path: Path) -> None:
  child = subprocess.Popen(
    [
      sys.executable,
      '-c',
      CHILD.format(
        repository=str(REPOSITORY),
        tests=str(Path(__file__).parent),
        folder=str(tmp_path),
      ),
    ],
    env=os.environ | {'PYTHONDONTWRITEBYTECODE': '1'},
  )
  deadline = time.monotonic() + 120
  try:
    while len(manifest.steps_in(tmp_path)) < 2:
      assert child.poll() is None
      assert time.monotonic() < deadline
      time.sleep(0.01)
    while True:  # the child stands still while its folder is looked at
      child.send_signal(signal.SIGSTOP)
      os.waitpid(child.pid, os.WUNTRACED)
      if any((tmp_path / 'unfinished').glob('*.orbax-checkpoint-tmp*')):
        break
      child.send_signal(signal.SIGCONT)
      assert time.monotonic() < deadline
      time.sleep(0.001)
  finally:
    child.send_signal(signal.SIGKILL)
    child.wait()
  assert list((tmp_path / 'unfinished').iterdir())
  newest = manifest.steps_in(tmp_path)[-1]
  restored = restore(tmp_path, 1 << 20)
  assert restored is not None
  assert int(restored.step) == newest
  np.testing.assert_array_equal(
    restored.params['kernel'], make_state(newest, 1 << 20).params['kernel']
  )
  assert not (tmp_path / 'damaged').exists()
  assert not list((tmp_path / 'unfinished').iterdir())
