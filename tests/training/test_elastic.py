"""`parallel.determinism = 'elastic'`: no bit depends on the devices."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh
import numpy as np
import pytest

import memjax
from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.guards.elastic import in_groups
from memjax.guards.interrupts import Interrupts
from memjax.logs import metrics_file
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train
from tests.small import run, small

SETTINGS = {
  'parallel.determinism': 'elastic',
  'train.batch_size': 16,
  'train.steps': 4,
  'checkpoint.every': 2,
  'log.every': 1,
  'evals.held_out.every': 2,
  'evals.held_out.batch_size': 16,
  'evals.held_out.steps': 2,
}


def experiment(
  devices: int, variant: str = 'lstm', determinism: str = 'elastic'
) -> Experiment:
  changes = {'parallel.data': devices, 'parallel.determinism': determinism}
  return small('copy_memory', variant, SETTINGS | changes)


def differing(one: Any, other: Any) -> list[str]:
  """The paths of the leaves with another bit."""
  leaves = jax.tree_util.tree_leaves_with_path(one)
  return [
    jax.tree_util.keystr(path)
    for (path, a), b in zip(leaves, jax.tree.leaves(other), strict=True)
    if np.asarray(a).tobytes() != np.asarray(b).tobytes()
  ]


def test_sums_over_groups_have_the_same_bits_on_any_devices() -> None:
  draw = np.random.default_rng(0)
  w_IO = draw.normal(size=(40, 30)).astype(np.float32)
  x_BI = draw.normal(size=(64, 40)).astype(np.float32)

  def loss(w_IO: jax.Array, x_BI: jax.Array) -> jax.Array:
    return jnp.tanh(x_BI @ w_IO).sum()

  def group(w_IO: Any, x_BI: Any, index: jax.Array) -> tuple[Any, Any]:
    return jax.grad(loss)(w_IO, x_BI) + 0 * index, x_BI * 2

  found = []
  for devices in (1, 2, 4, 8):
    grid = np.array(jax.devices()[:devices]).reshape(devices, 1)
    mesh = Mesh(grid, ('data', 'fsdp'), axis_types=(AxisType.Auto,) * 2)
    sums = jax.jit(functools.partial(in_groups, mesh, group))
    found.append(sums(w_IO, x_BI))
  for one in found:
    assert not differing(one, found[-1])
    np.testing.assert_array_equal(one[1], x_BI * 2)
    exact = jax.grad(loss)(jnp.asarray(w_IO), jnp.asarray(x_BI))
    np.testing.assert_allclose(one[0], exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'parallel.data': 3}, 'parallel.data: 3: must be one of [1, 2, 4, 8]'),
    ({'parallel.fsdp': 2}, 'parallel.fsdp: 2: must be 1 for'),
    ({'train.replicas': 2}, 'train.replicas: 2: must be 1 for'),
    ({'train.batch_size': 12}, 'train.batch_size: 12: must be a multiple of 8'),
    ({'evals.held_out.batch_size': 4}, 'evals.held_out.batch_size: 4: must'),
  ],
)
def test_what_is_not_elastic_is_refused(
  changes: dict[str, Any], words: str
) -> None:
  refused = small('copy_memory', 'lstm', SETTINGS | changes)
  with pytest.raises(ConfigError) as error:
    parallel.check_divides(parallel.make_mesh(refused.parallel), refused)
  assert str(error.value).startswith(words)


def bits(settings: Experiment) -> tuple[Any, Any]:
  """The whole state after three steps, and the figures of an evaluation."""
  state = run(settings, 3)
  mesh = parallel.make_mesh(settings.parallel)
  figures = Evaluator('held_out', settings, mesh).measure(state.params)
  kept = (*state[:5], state.sums)  # all but the key, which is no array
  return jax.tree.map(np.asarray, kept), figures


@pytest.mark.slow
@pytest.mark.parametrize('variant', ['lstm', 'transformer_xl'])
def test_no_bit_depends_on_the_number_of_devices(variant: str) -> None:
  eight = bits(experiment(8, variant))
  for devices in (1, 2, 4):
    assert not differing(bits(experiment(devices, variant)), eight)
  fixed = [bits(experiment(devices, variant, 'fixed')) for devices in (1, 8)]
  assert differing(*fixed)


@pytest.mark.slow
def test_the_devices_may_change_in_mid_run(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  for name, devices in (('whole', 8), ('parts', 8), ('parts', 2)):
    last = 2 if (name, devices) == ('parts', 8) else 0
    monkeypatch.setattr(Interrupts, 'stop', lambda self, n, s=last: n == s)
    train(experiment(devices), tmp_path / name, lambda *run: None)
  whole, parts = (
    [
      (row['step'], row['split'], row['metrics'])
      for row in metrics_file.load_rows(tmp_path / name / 'metrics.jsonl')
    ]
    for name in ('whole', 'parts')
  )
  assert whole == parts
  states = [memjax.load(tmp_path / name) for name in ('whole', 'parts')]
  assert not differing(*((state.params, state.carry) for state in states))
