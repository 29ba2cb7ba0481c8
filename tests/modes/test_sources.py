"""Source files of the user's own classes are kept with every start."""

from collections.abc import Iterator
import importlib
import os
from pathlib import Path
import sys

import pytest

import memjax
from memjax.config.experiment import Experiment
from memjax.modes.evaluate import evaluate
from memjax.modes.train import describe_start
from memjax.runs.sources import own_modules, saved_sources, sha256
from memjax.runs.workdir import open_run, read_run
from memjax.training.loop import train
from tests.small import small

MEMORY = """
import numpy as np
import jax
import own_ops
from own_more import f
from memjax.models.recurrent.gru import GRU
import dataclasses


class Mine(GRU):
  pass
"""


@pytest.fixture
def experiment(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Experiment]:
  """An experiment whose layer is a file that imports two others."""
  folder = tmp_path / 'files'
  folder.mkdir()
  (folder / 'own_memory.py').write_text(MEMORY)
  (folder / 'own_ops.py').write_text('x = 1\n')
  (folder / 'own_more.py').write_text('def f():\n  pass\n')
  (folder / 'own_unused.py').write_text('')
  monkeypatch.syspath_prepend(str(folder))
  options = {'parallel.data': 1, 'model.layer.name': 'own_memory.Mine'}
  importlib.invalidate_caches()
  yield small('adding', 'gru', options)
  forget()


def forget() -> None:
  """The next import of the files is the first."""
  importlib.invalidate_caches()
  for name in ('own_memory', 'own_ops', 'own_more'):
    sys.modules.pop(name, None)


def test_sources_are_copied_with_their_digests(
  experiment: Experiment, tmp_path: Path
) -> None:
  workdir, folder = tmp_path / 'run', tmp_path / 'files'
  with open_run(experiment, workdir):
    pass
  [start] = read_run(workdir).starts
  assert sorted(start['sources']) == ['own_memory', 'own_more', 'own_ops']
  for name, record in start['sources'].items():
    path = folder / f'{name}.py'
    assert record['sha256'] == sha256(path)
    assert (workdir / record['copy']).read_bytes() == path.read_bytes()


def test_a_changed_source_is_reported_and_kept_with_the_old_one(
  experiment: Experiment, tmp_path: Path
) -> None:
  workdir, path = tmp_path / 'run', tmp_path / 'files' / 'own_ops.py'
  with open_run(experiment, workdir):
    pass
  assert list(describe_start(experiment, workdir)) == []
  path.write_text('x = 2\n')
  [line] = describe_start(experiment, workdir)
  assert line.startswith(f'{path}: has changed since the last start')
  with open_run(experiment, workdir):
    pass
  one, two = (start['sources'] for start in read_run(workdir).starts)
  assert (workdir / one['own_ops']['copy']).read_text() == 'x = 1\n'
  assert (workdir / two['own_ops']['copy']).read_text() == 'x = 2\n'
  assert one['own_memory'] == two['own_memory']


@pytest.mark.slow
def test_a_workdir_loads_where_the_files_are_not_found(
  experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  workdir, folder = tmp_path / 'run', tmp_path / 'files'
  assert train(experiment, workdir, lambda *run: None)
  folder.rename(tmp_path / 'elsewhere')
  forget()
  monkeypatch.setattr(sys, 'path', [*sys.path])
  run = memjax.load(workdir)
  layer = type(run.model.layer)
  assert layer.__name__ == 'Mine'
  assert Path(sys.modules['own_ops'].__file__ or '').is_relative_to(workdir)
  forget()
  monkeypatch.setattr(sys, 'path', [x for x in sys.path if 'run' not in x])
  assert evaluate({}, workdir, set_name='twice') == 0


def test_the_copy_of_the_last_start_comes_first(tmp_path: Path) -> None:
  for name in ('b', 'a', 'c'):
    path = tmp_path / 'sources' / name / 'own.py'
    path.parent.mkdir(parents=True)
    path.write_text('')
    time = {'b': 2, 'a': 3, 'c': 1}[name]
    os.utime(path, (time, time))
  assert [path.name for path in saved_sources(tmp_path)] == ['a', 'b', 'c']
  assert saved_sources(tmp_path / 'none') == []


def test_classes_of_memjax_have_no_sources_to_keep() -> None:
  assert own_modules(small('adding', 'gru').config) == {}
