"""Source files of the user's own classes are kept with every start."""

from collections.abc import Iterator
import importlib
from pathlib import Path
import sys

import pytest

from memjax.config.experiment import Experiment
from memjax.modes.train import describe_start
from memjax.runs.sources import own_modules, sha256
from memjax.runs.workdir import open_run, read_run
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
  for name in ('own_memory', 'own_ops', 'own_more'):
    del sys.modules[name]


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


def test_a_changed_source_is_said_and_kept_beside_the_old_one(
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


def test_classes_of_memjax_have_no_sources_to_keep() -> None:
  assert own_modules(small('adding', 'gru').config) == {}
