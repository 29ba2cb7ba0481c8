"""A run that cannot fit in memory is refused in one line with both numbers."""

from pathlib import Path
from typing import Any

import jax
import pytest

from memjax.errors import ConfigError
from memjax.guards import memory
from memjax.training import parallel, program
from tests.small import run, small

ONE = {'parallel.data': 1}
ADAM = {'optim.name': 'adam'}


def refusal(family: str, changes: dict[str, Any]) -> str:
  experiment = small(family, 'lstm', ONE | changes)
  with pytest.raises(ConfigError) as error:
    program.program(experiment, parallel.make_mesh(experiment.parallel))
  line = str(error.value)
  assert '\n' not in line
  assert line.count('B') >= 2, 'both numbers have a unit'
  return line


@pytest.mark.parametrize(
  ('family', 'changes', 'words'),
  [
    ('mqar', {'model.width': 10_000_000}, ['model', 'parameters', 'PB']),
    (
      'mqar',
      {'task.vocab': 1_000_000_000},
      ['model: ', '264 GB', 'parameters 132 GB'],
    ),
    (
      'copy_memory',
      {'train.batch_size': 10**18},
      ['train.batch_size: 1000000000000000000', 'smaller train.batch_size'],
    ),
    (
      'copy_memory',
      {'evals.held_out.batch_size': 10**18},
      ['evals.held_out.batch_size', '1000000000000000000'],
    ),
    (
      'copy_memory',
      {'task.delay': 10**9, 'train.segment_length': 0},
      ['train.batch_size: 8', 'task.length'],
    ),
    (
      'copy_memory',
      {'train.replicas': 10**6},
      ['needs', 'fewer train.replicas'],
    ),
  ],
)
def test_what_cannot_fit_is_refused_before_it_is_compiled(
  family: str, changes: dict[str, Any], words: list[str]
) -> None:
  line = refusal(family, changes)
  for word in words:
    assert word in line, line


def test_the_compiled_step_is_compared_with_the_limit(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  experiment = small('copy_memory', 'lstm', ONE)
  mesh = parallel.make_mesh(experiment.parallel)
  abstract = program.program(experiment, mesh).abstract
  state = memory.size_of(abstract)
  assert state > memory.size_of(abstract.params) * 2  # and the optimiser's
  small_limit = memory.Limit(3 * state, 'a test allows', 1)
  monkeypatch.setattr(memory, 'memory_limit', lambda mesh: small_limit)
  with pytest.raises(ConfigError, match='intermediate values') as error:
    run(experiment, 1)
  line = str(error.value)
  assert 'train.batch_size: 8: needs ' in line
  assert f'a test allows {memory.format_bytes(3 * state)}' in line
  assert 'train.grad_accum_steps=2' in line
  tiny = memory.Limit(3 * memory.size_of(abstract.params), 'a test allows', 1)
  monkeypatch.setattr(memory, 'memory_limit', lambda mesh: tiny)
  with pytest.raises(ConfigError, match='optimiser 19'):
    program.program(small('copy_memory', 'lstm', ONE | ADAM), mesh)


def test_the_limit_is_the_cgroups_if_it_is_lower(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  mesh = parallel.make_mesh(small('copy_memory', 'lstm', ONE).parallel)
  monkeypatch.setattr(memory, 'CGROUPS', (str(tmp_path / 'absent'),))
  whole = memory.memory_limit(mesh)
  assert whole
  assert whole.what == 'the machine has'
  for text, expected in (('max\n', whole.bytes), ('123456\n', 123456)):
    (tmp_path / 'memory.max').write_text(text)
    monkeypatch.setattr(memory, 'CGROUPS', (str(tmp_path / 'memory.max'),))
    limit = memory.memory_limit(mesh)
    assert limit
    assert limit.bytes == expected


def test_bytes_are_written_short() -> None:
  sizes = {999: '999 bytes', 1000: '1 kB', 23_456_000_000: '23.5 GB'}
  assert {s: memory.format_bytes(s) for s in sizes} == sizes
  assert memory.size_of(jax.ShapeDtypeStruct((3, 5), 'float32')) == 60
