"""An id outside the vocabulary is refused with its place."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.guards.ids import require_32_bits, require_ids
from memjax.tasks.base import Stream, invalid_ids
from memjax.tasks.recall.mqar import MQAR
from memjax.training import step as steps
from memjax.training.loop import train
from memjax.types import Batch
from tests.small import small

ONE = {'parallel.data': 1, 'train.steps_per_call': 1, 'log.every': 4}
WRONG = (-1, 70_000, 2**31 - 1, -(2**31))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Damaged(MQAR):
  """One wrong id at one place of one step."""

  step: int = 0
  row: int = 0
  position: int = 0
  kind: str = 'inputs'
  wrong: int = -1

  def batch(self, host_batch: Any) -> Batch:
    batch = super().batch(host_batch)
    ids_BT = getattr(batch, self.kind)
    bad = ids_BT.at[self.row, self.position].set(self.wrong)
    now = host_batch[0][2] == self.step
    return batch._replace(**{self.kind: jnp.where(now, bad, ids_BT)})


def damaged(**fields: Any) -> Experiment:
  whole = small('mqar', 'lstm', ONE)
  names = [field.name for field in dataclasses.fields(MQAR) if field.init]
  known = {name: getattr(whole.task, name) for name in names}
  return dataclasses.replace(whole, task=Damaged(**known, **fields))


@pytest.mark.slow
def test_a_thousand_batches_with_one_wrong_id_are_refused() -> None:
  whole = small('mqar', 'lstm', ONE)
  task, rows = whole.task, np.arange(8)
  batch = task.batch(task.rows(Stream(0, 0, 8), 0, rows))
  size, length = task.input_spec.size, batch.inputs.shape[1]
  wrong_N = np.resize([*WRONG, size, size + 1], 1000)
  rng = np.random.default_rng(0)
  place_N = np.arange(1000), rng.integers(8, size=1000), rng.integers(length)

  @jax.jit
  @jax.vmap
  def count(inputs: jax.Array, targets: jax.Array) -> jax.Array:
    changed = batch._replace(inputs=inputs, targets=targets)
    return invalid_ids(task, changed)

  pair = batch.inputs, batch.targets
  whole_N = [np.repeat(np.asarray(x)[None], 1000, axis=0) for x in pair]
  assert not count(*whole_N).any()
  for i in range(2):
    bad_N = [x.copy() for x in whole_N]
    bad_N[i][place_N] = wrong_N
    assert (count(*bad_N) == 1).all()


@pytest.mark.parametrize('kind', ['inputs', 'targets'])
def test_the_place_of_the_first_one_is_named(kind: str) -> None:
  place = {'step': 5, 'row': 3, 'position': 9}
  experiment = damaged(**place, kind=kind, wrong=70_000)
  require_ids(experiment, range(5))
  with pytest.raises(ConfigError) as error:
    require_ids(experiment, range(2, 8))
  size = experiment.task.input_spec.size
  assert str(error.value).endswith(
    'has ids outside its vocabulary, first at step 6, row 3, position 9: the '
    f'{kind[:-1]} is 70000, must be from 0 to below {size}'
  )


@pytest.mark.slow
def test_a_run_ends_at_the_row_of_that_step(tmp_path: Path) -> None:
  experiment = damaged(step=1, row=7, position=1, wrong=-1)
  with pytest.raises(ConfigError, match='step 2, row 7, position 1: the input'):
    train(experiment, tmp_path, lambda *_: None)


def test_an_integer_that_a_device_would_cut_is_refused() -> None:
  for kept in (2**31 - 1, -(2**31)):
    require_32_bits([np.array([3, kept])], 0)
  require_32_bits(
    (np.array([2**32 - 1], np.uint64), np.ones(3), np.zeros(0)), 0
  )
  for lost in (2**33 + 5, 2**31, -(2**31) - 1):
    with pytest.raises(ConfigError) as error:
      require_32_bits({'rows': np.array([1, lost])}, 4)
    line = f'task: {lost}: a row of step 5 has it: it does not fit in 32 bits'
    assert str(error.value) == line


@pytest.mark.slow
def test_the_check_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
  experiment = small('mqar', 'lstm', ONE)
  task, rows, sgd = experiment.task, np.arange(8), optax.sgd(0.1)
  batch = task.batch(task.rows(Stream(0, 0, 8), 0, rows))

  def two_steps() -> Any:
    state = steps.initial_state(experiment, sgd, jnp.uint32(0))
    step = jax.jit(steps.make_step(experiment, sgd))
    for _ in range(2):
      state, sums = step(state, batch)
    return state.params, sums.metrics['loss'].sum

  checked = two_steps()
  monkeypatch.setattr(steps, 'invalid_ids', lambda *_: jnp.zeros(()))
  jax.tree.map(np.testing.assert_array_equal, checked, two_steps())
