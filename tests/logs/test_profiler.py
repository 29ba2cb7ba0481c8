"""A trace has the steps that were chosen, and only those."""

import gzip
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from memjax.errors import ConfigError
from memjax.logs.profiler import Profiler, read_steps


def trace_of(folder: Path) -> list[dict[str, Any]]:
  (path,) = folder.rglob('*.trace.json.gz')
  return json.loads(gzip.decompress(path.read_bytes()))['traceEvents']


def steps_in(folder: Path) -> list[int]:
  """The numbers of the steps that a trace marks."""
  return sorted(
    int(event['args']['step_num'])
    for event in trace_of(folder)
    if event.get('name', '').startswith('train') and 'args' in event
  )


def run(folder: Path, profile: str, first: int = 0, per_call: int = 1) -> None:
  advance = jax.jit(lambda x: jnp.tanh(x @ x))
  state = jnp.ones((64, 64))
  with Profiler(folder, profile, 20) as profiler:
    for step in range(first, 20, per_call):
      with profiler.call(step, state):
        state = advance(state)


@pytest.mark.parametrize(
  ('profile', 'first', 'per_call', 'steps'),
  [
    ('3', 0, 1, [2, 3, 4]),
    ('3', 10, 1, [12, 13, 14]),
    ('5:8', 0, 1, [5, 6, 7]),
    ('5:8', 0, 4, [8]),
    ('5:8', 6, 1, [6, 7, 8]),
    ('18:30', 0, 1, [18, 19]),
  ],
)
def test_the_chosen_steps_are_traced(
  profile: str, first: int, per_call: int, steps: list[int], tmp_path: Path
) -> None:
  run(tmp_path, profile, first, per_call)
  assert steps_in(tmp_path) == steps
  assert len(list(tmp_path.rglob('*.xplane.pb'))) == 1


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
  run(tmp_path / 'profile', '')
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('steps', ['x', '0', '-3', '5:5', '7:5', '1:2:3', ':5'])
def test_other_steps_are_refused(steps: str) -> None:
  with pytest.raises(
    ConfigError, match=r'profile.*as 10, or a range, as 100:110'
  ):
    read_steps(steps)


def test_steps_after_the_end_are_refused(tmp_path: Path) -> None:
  with pytest.raises(ConfigError, match='starts at or after the last step, 20'):
    Profiler(tmp_path, '20:30', 20)
