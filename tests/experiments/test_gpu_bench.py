"""The benchmark of accelerators runs, at sizes that a CPU can do."""

import json
import math
from pathlib import Path

import pytest

from experiments.bench import gpu


@pytest.mark.slow
def test_every_part_has_figures(tmp_path: Path) -> None:
  gpu.measure(gpu.TINY, tmp_path / 'gpu.json')
  found = json.loads((tmp_path / 'gpu.json').read_text())
  for name in gpu.parts(gpu.TINY):
    assert not {'error', 'left out'} & set(found[name]), found[name]
    assert 0 < found[name]['ms'] < math.inf


def test_a_part_that_fails_leaves_the_others(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def broken() -> dict[str, float]:
    raise ValueError('no kernel')

  parts = {'one': broken, 'two': lambda: {'ms': 1.0}}
  monkeypatch.setattr(gpu, 'parts', lambda sizes: parts)
  gpu.measure(gpu.TINY, tmp_path / 'gpu.json')
  found = json.loads((tmp_path / 'gpu.json').read_text())
  assert found['one'] == {'error': 'ValueError: no kernel'}
  assert found['two'] == {'ms': 1.0}


def test_parts_that_would_begin_late_are_left_out(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(gpu, 'MINUTES', -1.0)
  monkeypatch.setattr(gpu, 'parts', lambda sizes: {'one': lambda: {'ms': 1.0}})
  found = gpu.measure(gpu.TINY, tmp_path / 'gpu.json')
  assert 'left out' in found['one']
