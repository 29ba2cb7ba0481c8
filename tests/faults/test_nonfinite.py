"""A step that is not finite is never taken, and no state holds its values."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, Diverged
from memjax.guards import finite, nonfinite
from memjax.guards.finite import CAUSES, Faults, Health
from memjax.guards.nonfinite import NonFinite
from memjax.logs import metrics_file
from memjax.runs.snapshot import Snapshot
from memjax.tasks.base import TRAINING, GeneratedTask, Stream
from memjax.training import parallel, program
from memjax.training.loop import train as train_and_draw
from memjax.training.prefetch import prefetch
from memjax.types import Batch
from tests.small import small

BAD = 5  # the step, from 1
RUN = {
  'parallel.data': 1,
  'train.steps': 8,
  'train.steps_per_call': 1,
  'log.every': 4,
  'checkpoint.every': 2,
  'checkpoint.best': 'held_out/loss',
  'evals.held_out.every': 4,
}


@pytest.fixture
def bad_seeds(monkeypatch: pytest.MonkeyPatch) -> set[int]:
  """Seeds whose batch at step BAD gives a loss that is NaN."""
  seeds: set[int] = set()
  make = GeneratedTask.batch

  def batch(self: GeneratedTask, host_batch: Any) -> Batch:
    made = make(self, host_batch)
    seed, number, step, _ = host_batch[0]
    wanted = jnp.isin(seed, jnp.array(list(seeds), jnp.uint32))
    bad = wanted & (number == TRAINING) & (step == BAD - 1)
    weights_BT = jnp.where(bad, jnp.nan, made.loss_weights_BT)
    return made._replace(loss_weights_BT=weights_BT)

  monkeypatch.setattr(GeneratedTask, 'batch', batch)
  return seeds


def experiment(**changes: Any) -> Experiment:
  dotted = {k.replace('__', '.'): v for k, v in changes.items()}
  return small('copy_memory', 'lstm', RUN | dotted)


def train(run: Experiment, folder: Path) -> list[dict[str, Any]]:
  train_and_draw(run, folder, lambda *_: None)
  return metrics_file.load_rows(folder / 'metrics.jsonl')


def saved_steps(folder: Path) -> list[int]:
  return sorted(
    int(path.name) for path in (folder / 'checkpoints').glob('[0-9]*')
  )


def assert_all_finite(folder: Path) -> None:
  for step in saved_steps(folder):
    snapshot = Snapshot(folder, step)
    for item in ('params', 'carry', 'rest'):
      tree = snapshot.read(item)
      tree = tree['opt_state'] if item == 'rest' else tree
      for leaf in jax.tree.leaves(tree):
        assert np.isfinite(leaf).all()


@pytest.mark.slow
def test_a_skipped_step_changes_no_bit(bad_seeds: set[int]) -> None:
  """Of each policy: the step before and after the fault, in one program."""
  bad_seeds |= {0}
  for policy in finite.POLICIES:
    run = experiment(train__nonfinite=policy, optim__ema=0.9)
    mesh = parallel.make_mesh(run.parallel)
    functions = program.program(run, mesh)
    state = functions.initial_state()
    stream = Stream(run.seed, 0, run.train.batch_size)
    states = []
    for batch in prefetch(run.task, stream, mesh, range(7), 1, 1):
      state = functions.advance(state, batch)
      states.append(parallel.to_host(state._replace(key=state.step)))
    before, bad, after = states[BAD - 2 : BAD + 1]
    for name in ('params', 'opt_state', 'ema', 'carry'):
      leaves = jax.tree.leaves((getattr(before, name), getattr(bad, name)))
      half = len(leaves) // 2
      for one, other in zip(leaves[:half], leaves[half:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert bad.faults.step.tolist() == [BAD]
    assert finite.CAUSES[bad.faults.cause[0]] == 'loss'
    moved = any(
      (one != other).any()
      for one, other in zip(
        jax.tree.leaves(bad.params),
        jax.tree.leaves(after.params),
        strict=True,
      )
    )
    assert moved == (policy == 'skip')
    finite_loss = np.isfinite(after.sums.metrics['loss'].sum).all()
    assert finite_loss == (policy == 'skip')


def test_raise_ends_the_run_and_keeps_the_last_finite_state(
  bad_seeds: set[int], tmp_path: Path
) -> None:
  bad_seeds |= {0}
  with pytest.raises(Diverged) as error:
    train(experiment(), tmp_path)
  line = str(error.value)
  assert line.startswith(f'step {BAD}: the training loss is not finite')
  assert 'the newest checkpoint, of step 4, is finite' in line
  assert saved_steps(tmp_path) == [2, 4]
  assert_all_finite(tmp_path)
  written = tmp_path / 'nonfinite' / f'step-{BAD}-seed-0.npz'
  assert str(written) in line
  stream = Stream(0, 0, 8)
  again = experiment().task.rows(stream, BAD - 1, np.arange(8))
  with np.load(written) as batch:
    for name, leaf in zip(batch, jax.tree.leaves(again), strict=True):
      np.testing.assert_array_equal(batch[name], leaf)
  record = json.loads(written.with_suffix('.json').read_text())
  assert record['not_finite'] == 'loss'


@pytest.mark.slow
def test_skip_goes_on_and_says_so(
  bad_seeds: set[int], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  bad_seeds |= {0}
  run = experiment(train__nonfinite='skip', checkpoint__every=8)
  rows = train(run, tmp_path)
  assert [row['step'] for row in rows] == [4, 4, 8, 8]
  assert all(np.isfinite(row['metrics']['loss']) for row in rows)
  assert 'skipped' not in rows[0]
  assert rows[2]['skipped'] == 1
  (line,) = [x for x in capsys.readouterr().err.splitlines() if 'memjax' in x]
  assert f'step {BAD}: the training loss is not finite' in line
  assert 'the step is skipped' in line
  assert_all_finite(tmp_path)


@pytest.mark.slow
def test_rollback_goes_on_from_the_newest_checkpoint(
  bad_seeds: set[int], tmp_path: Path
) -> None:
  bad_seeds |= {0}
  run = experiment(train__nonfinite='rollback', checkpoint__keep=4)
  rows = train(run, tmp_path)
  assert rows[-1]['step'] == 8
  assert np.isfinite(rows[-1]['metrics']['loss'])
  assert_all_finite(tmp_path)
  saved = [Snapshot(tmp_path, step).read('params') for step in (4, 6, 8)]
  back, again, on = (
    b''.join(leaf.tobytes() for leaf in jax.tree.leaves(one)) for one in saved
  )
  assert back == again, 'step 6 is put back to step 4'
  assert again != on, 'steps 7 and 8 are taken'


@pytest.mark.slow
def test_a_diverged_replica_is_named_everywhere(
  bad_seeds: set[int], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  bad_seeds |= {1}
  rows = train(experiment(train__replicas=3), tmp_path)
  captured = capsys.readouterr()
  assert f'seed 1, step {BAD}: the training loss is not finite' in captured.err
  assert 'medians are now of 2 of 3 seeds' in captured.err
  assert '2 of 3 seeds' in captured.out
  assert 'diverged' not in rows[1]
  for row in rows[2:]:
    assert row['diverged'] == {'1': BAD}
    assert np.isfinite(row['metrics']['loss'])
    values = row['replicas']['loss']
    assert np.isnan(values).tolist() == [False, True, False]
  assert Snapshot(tmp_path, 8).diverged == {'1': BAD}
  assert_all_finite(tmp_path)


def test_all_finite_sees_every_leaf() -> None:
  whole = {'a': jnp.ones(3), 'b': (jnp.arange(2), jnp.ones((2, 2)))}
  assert finite.all_finite(whole)
  for value in (jnp.nan, jnp.inf, -jnp.inf):
    broken = {**whole, 'b': (jnp.arange(2), jnp.full((2, 2), value))}
    assert not finite.all_finite(broken)
    meant = jax.tree.map(lambda _: True, broken)
    assert finite.all_finite(broken, meant) == bool(jnp.isinf(value))


def faults_of(step: int, count: int, stopped: bool) -> Faults:
  """Of one replica whose loss was not finite."""
  values = (step, count, CAUSES.index('loss'), stopped)
  return Faults(*(np.array([value]) for value in values))


class Followed:
  """A run on the host alone: what its state's health is, is said here."""

  def __init__(
    self, policy: str, folder: Path, saved: int = 0, broken: bool = False
  ):
    self.health = Health(faults_of(0, 0, False), np.array([not broken]))
    (folder / 'checkpoints' / str(saved)).mkdir(parents=True)
    self.host = NonFinite(
      experiment(train__nonfinite=policy),
      folder,
      lambda: SimpleNamespace(step=saved),
      lambda _: self.health,
      lambda: None,
    )


def test_a_start_from_values_that_are_not_finite_is_refused(
  tmp_path: Path,
) -> None:
  Followed('raise', tmp_path, broken=True).host.start()  # initial values
  run = Followed('raise', tmp_path, saved=20, broken=True)
  with pytest.raises(ConfigError) as error:
    run.host.start()
  rule = f'train.init_from: {str(tmp_path)!r}: its parameters are not finite'
  assert str(error.value) == rule


def test_a_hundred_skipped_steps_in_a_row_end_the_run(tmp_path: Path) -> None:
  run = Followed('skip', tmp_path, saved=20)
  run.host.start()
  for step in range(21, 120):
    run.host.report(step, faults_of(step, step - 20, False))
  with pytest.raises(Diverged) as error:
    run.host.report(step + 1, faults_of(step + 1, step - 19, False))
  line = str(error.value)
  assert 'the last 100 steps were skipped' in line
  assert 'the newest checkpoint, of step 20, is finite' in line
  (tmp_path / 'checkpoints' / '20').rmdir()
  with pytest.raises(Diverged, match='no checkpoint was saved before'):
    run.host.report(step + 2, faults_of(step + 2, step - 18, False))


def test_the_fourth_return_to_one_checkpoint_ends_the_run(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  put_back = 'put_back', lambda state, *_: state
  monkeypatch.setattr(nonfinite, *put_back)
  run = Followed('rollback', tmp_path, saved=20)
  state = run.host.start()
  for count, step in enumerate((22, 24, 26), 1):
    run.health = Health(faults_of(step, count, True), np.array([True]))
    state = run.host.mend(step, state)
  run.health = Health(faults_of(28, 4, True), np.array([True]))
  with pytest.raises(Diverged) as error:
    run.host.mend(28, state)
  assert str(error.value) == (
    'step 28: the training loss is not finite; 3 rollbacks to step 20 did not '
    'help'
  )


def test_parameters_that_broke_in_a_finite_step_are_found_before_a_save(
  tmp_path: Path,
) -> None:
  run = Followed('raise', tmp_path)
  state = run.host.start()
  run.health = run.health._replace(finite=np.array([False]))
  with pytest.raises(Diverged) as error:
    run.host.mend(6, state)
  words = 'step 6: the parameters or the state of the optimiser are not finite'
  assert str(error.value).startswith(words)
