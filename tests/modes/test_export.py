"""An exported file gives back the model bit for bit, or one line."""

from pathlib import Path
import shutil
from typing import Any

import jax
import numpy as np
import pytest

import memjax
from memjax.errors import ConfigError
from memjax.modes.export import export
from memjax.runs.load import Run, load_replicas
from memjax.training.loop import train
from tests.small import small

SMALL: dict[str, Any] = {
  'parallel.data': 1,
  'train.replicas': 2,
  'optim.ema': 0.5,
  'optim.learning_rate': 0.01,
}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
  folder = tmp_path_factory.mktemp('export') / 'run'
  assert train(small('copy_memory', 'lstm', SMALL), folder, lambda *run: None)
  return folder


def assert_same(one: Run, other: Run) -> None:
  jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
  for field in ('config', 'model', 'tokenizer', 'step', 'metrics'):
    assert getattr(one, field) == getattr(other, field), field


@pytest.mark.slow
def test_an_exported_model_is_the_same_model(
  workdir: Path, tmp_path: Path, capsys: Any
) -> None:
  path = tmp_path / 'one.safetensors'
  assert export(workdir, output=str(path), step='latest', replica=1) == 0
  run = memjax.load(workdir, replica=1, carry=False)
  assert_same(memjax.load(path), run)
  line, place = capsys.readouterr().out.splitlines()
  assert line == repr(run)
  assert place == f'is in {path}: {path.stat().st_size:,} bytes'


def test_other_programs_read_the_arrays_by_name(
  workdir: Path, tmp_path: Path
) -> None:
  from safetensors.numpy import load_file

  run = memjax.load(workdir)
  run.save(tmp_path / 'weights.safetensors')
  arrays = load_file(tmp_path / 'weights.safetensors')
  for path, leaf in jax.tree_util.tree_leaves_with_path(run.params):
    name = jax.tree_util.keystr(path, simple=True, separator='.')
    np.testing.assert_array_equal(arrays[name], np.asarray(leaf))
  assert any(name.startswith('layer_0.memory.') for name in arrays)
  assert len(arrays) == len(jax.tree.leaves(run.params))


def test_the_file_is_in_the_workdir_unless_it_is_named(workdir: Path) -> None:
  export(workdir, output=None, step='latest', replica=0)
  assert_same(
    memjax.load(workdir / 'weights.safetensors'),
    memjax.load(workdir, carry=False),
  )


def test_a_damaged_or_foreign_file_is_one_line(
  workdir: Path, tmp_path: Path
) -> None:
  from safetensors.numpy import save_file

  path = tmp_path / 'weights.safetensors'
  memjax.load(workdir).save(path)
  whole = path.read_bytes()
  flipped = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
  for content in (whole[:-1], whole[: len(whole) // 2], b'', flipped):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match='is damaged') as error:
      memjax.load(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)
  save_file({'x': np.zeros(3)}, path)
  with pytest.raises(ConfigError, match='was not written by memjax'):
    memjax.load(path)
  with pytest.raises(ConfigError, match=r'weights: .*none\.safetensors'):
    memjax.load(tmp_path / 'none.safetensors')
  with pytest.raises(ConfigError, match=r'output: .*cannot be written'):
    memjax.load(workdir).save(tmp_path / 'no/where.safetensors')


def test_a_run_is_one_short_line(workdir: Path) -> None:
  count = sum(
    leaf.size for leaf in jax.tree.leaves(memjax.load(workdir).params)
  )
  task = 'copy_memory.CopyMemory'
  line = f'Run({task}, stack.Stack of lstm.LSTM, {count:,} parameters, step 2)'
  assert repr(memjax.load(workdir)) == line
  both = repr(load_replicas(workdir))
  assert f'{2 * count:,} parameters' in both


def test_an_export_does_not_need_the_workdir(
  workdir: Path, tmp_path: Path
) -> None:
  shutil.copytree(workdir, tmp_path / 'run')
  memjax.load(tmp_path / 'run').save(tmp_path / 'w.safetensors')
  shutil.rmtree(tmp_path / 'run')
  assert memjax.load(tmp_path / 'w.safetensors').step == 2
