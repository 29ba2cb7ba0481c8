"""A part of a model is trained; the rest is frozen, and saved once."""

from pathlib import Path
import shutil
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memjax.config.adapt import Adapt
from memjax.configs.sections import ADAPT
from memjax.errors import ConfigError
from memjax.guards.interrupts import Interrupts
from memjax.guards.memory import size_of
from memjax.logs import metrics_file
from memjax.models.base import apply
from memjax.modes.evaluate import evaluate
from memjax.modes.replay import replay
from memjax.modes.report import report
from memjax.modes.verify import verify
from memjax.runs import frozen as frozen_tree
from memjax.runs.checkpoint import open_checkpoints
from memjax.runs.frozen import materialise
from memjax.runs.load import load, load_replicas
from memjax.runs.snapshot import Snapshot
from memjax.tasks.base import Stream
from memjax.training import adapt, parallel
from memjax.training.init_from import initial_state
from memjax.training.loop import train
from memjax.training.optimisers import adalora
from memjax.training.program import program
from tests.small import assert_close, run, small

BASE: dict[str, Any] = {
  'evals.twice.every': 0,
  'parallel.data': 1,
  'train.steps': 4,
  'checkpoint.every': 2,
  'optim.learning_rate': 0.01,
}
LORA: dict[str, Any] = BASE | {
  'adapt.method': 'lora',
  'adapt.where': 'recurrent_kernel|readout',
  'adapt.rank': 1,
  'adapt.alpha': 2.0,
  'adapt.trainable': 'encoder/linear/bias',
}
PARAMS = {
  'cell': {'kernel': jnp.arange(12.0).reshape(3, 4), 'bias': jnp.ones(4)},
  'heads': {'kernel': jnp.ones((2, 3, 5))},
}
KEY = jax.random.key(0)


def section(**fields: Any) -> Adapt:
  settings: dict[str, Any] = {**ADAPT, **fields}
  return Adapt(**settings)


def nothing(*run: Any) -> None:
  del run


def assert_same(one: Any, other: Any) -> None:
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_without_the_section_all_is_trained() -> None:
  frozen, params = adapt.split(section(), PARAMS, KEY)
  assert frozen == ()
  assert params is PARAMS
  assert materialise(frozen, params) is params


@pytest.mark.parametrize('method', ['lora', 'adalora'])
def test_a_change_begins_at_nothing_and_is_a_product(method: str) -> None:
  fields = {'method': method, 'where': 'kernel', 'rank': 2, 'alpha': 6.0}
  frozen, params = adapt.split(section(target_rank=1.0, **fields), PARAMS, KEY)
  assert_same(materialise(frozen, params), PARAMS)
  drawn = jax.tree.map(
    lambda x: jax.random.normal(jax.random.key(x.size), x.shape), params
  )
  changed, change = materialise(frozen, drawn), drawn['low_rank']
  for name, subscripts in (
    ('cell', 'ir,r,rj->ij'),
    ('heads', 'hir,hr,hrj->hij'),
  ):
    f = jax.tree.map(np.float64, change[name]['kernel'])
    first, last = f.get('a', f.get('p')), f.get('b', f.get('q'))
    middle = f.get('l', np.ones((*first.shape[:-2], 2)))
    product = np.einsum(subscripts, first, middle, last)
    expected = PARAMS[name]['kernel'] + 3 * product
    np.testing.assert_allclose(changed[name]['kernel'], expected, rtol=1e-5)
  assert_same(changed['cell']['bias'], PARAMS['cell']['bias'])


def test_a_change_of_full_rank_is_any_change() -> None:
  settings = section(method='lora', where='cell/kernel', rank=3, alpha=3.0)
  frozen, params = adapt.split(settings, PARAMS, KEY)
  a = np.float64(params['low_rank']['cell']['kernel']['a'])
  wanted = np.random.default_rng(0).normal(size=(3, 4))
  params['low_rank']['cell']['kernel']['b'] = jnp.asarray(
    np.linalg.solve(a, wanted), jnp.float32
  )
  change = materialise(frozen, params)['cell']['kernel'] - np.asarray(
    PARAMS['cell']['kernel']
  )
  np.testing.assert_allclose(change, wanted, atol=1e-5)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (
      {'method': 'lora', 'where': 'qkv'},
      "adapt.where: 'qkv': matches no kernel of two axes; some are cell/kernel,"
      ' heads/kernel',
    ),
    (
      {'trainable': 'norm'},
      "adapt.trainable: 'norm': matches no parameter; some are cell/kernel, "
      'cell/bias, heads/kernel',
    ),
    (
      {'trainable': '.'},
      "adapt.trainable: '.': matches every parameter: leave it empty to train "
      'all of them',
    ),
    (
      {'method': 'lora', 'where': 'cell', 'rank': 4},
      'adapt.rank: 4: exceeds cell/kernel (3, 4), which adapt.where finds',
    ),
    (
      {'method': 'prefix', 'where': 'cell'},
      "method: 'prefix': must be empty or one of lora, adalora",
    ),
    (
      {'where': 'cell'},
      "where: 'cell': needs adapt.method, one of lora, adalora",
    ),
    (
      {'method': 'lora'},
      "where: '': must say which kernels the method changes: attn|qkv, or "
      'kernel$',
    ),
    (
      {'trainable': '('},
      "trainable: '(': is not a regular expression: missing ), unterminated "
      'subpattern at position 0',
    ),
    (
      {'method': 'adalora', 'where': '.', 'rank': 2},
      'target_rank: 4.0: must be above 0, and at most adapt.rank 2',
    ),
  ],
)
def test_what_cannot_be_adapted_is_refused_in_one_line(
  fields: dict[str, Any], message: str
) -> None:
  with pytest.raises(ConfigError) as caught:
    adapt.split(section(**fields), PARAMS, KEY)
  assert str(caught.value) == message


def test_adalora_is_the_papers_equations() -> None:
  """Seven steps of SGD against float64 loops over triplets."""
  fields = {'method': 'adalora', 'where': 'kernel', 'rank': 2, 'alpha': 2.0}
  budgets = {'target_rank': 0.5, 'start_steps': 1, 'final_steps': 2}
  settings = section(allocate_every=2, **fields, **budgets)
  shapes = {
    'one': {'kernel': jnp.ones((4, 3))},
    'two': {'kernel': jnp.ones((2, 5))},
  }
  _, params = adapt.split(settings, shapes, KEY)
  random = np.random.default_rng(1)
  params = jax.tree.map(
    lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), params
  )
  transformation = adalora.adapted(
    settings, optax.with_extra_args_support(optax.sgd(0.1)), 7
  )
  state = transformation.init(params)
  update = jax.jit(transformation.update)
  factors = jax.tree.map(np.float64, params['low_rank'])
  averages = jax.tree.map(lambda x: np.zeros((2, *x.shape)), factors)
  for step in range(1, 8):
    grads = jax.tree.map(
      lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), params
    )
    updates, state = update(grads, state, params, value=0.0)
    params = optax.apply_updates(params, updates)
    expected_step(factors, averages, grads['low_rank'], step)
    for name in ('one', 'two'):
      for factor in ('p', 'l', 'q'):
        for number, mean in enumerate((state.sensitivity, state.uncertainty)):
          np.testing.assert_allclose(
            mean[name]['kernel'][factor],
            averages[name]['kernel'][factor][number],
            rtol=1e-3,
            atol=1e-5,
          )
        np.testing.assert_allclose(
          params['low_rank'][name]['kernel'][factor],
          factors[name]['kernel'][factor],
          rtol=1e-3,
          atol=1e-5,
          err_msg=f'step {step}, {name} {factor}',
        )
  left = sum(int((f['kernel']['l'] != 0).sum()) for f in factors.values())
  assert left == 1, 'a mean rank of 0.5 over two kernels'


def test_a_triplet_scores_by_sensitivity_times_uncertainty() -> None:
  """By sensitivity alone, the other triplet would be the better one."""
  sensitivity = {'p': [[1, 2], [3, 4]], 'l': [1, 2], 'q': [[1, 3], [2, 2]]}
  uncertainty = {'p': [[4, 0], [2, 1]], 'l': [6, 1], 'q': [[2, 0], [1, 1]]}
  averages = [
    {'one': {'kernel': {k: jnp.array(x, jnp.float32) for k, x in s.items()}}}
    for s in (sensitivity, uncertainty)
  ]
  scores = adalora.scores_of(*averages)
  np.testing.assert_allclose(
    scores['one/kernel'], [6 + (4 + 6) / 2 + 2 / 2, 2 + 4 / 2 + (2 + 2) / 2]
  )


def expected_step(factors: Any, averages: Any, grads: Any, step: int) -> None:
  """One step of SGD at 0.1 in place, with budgets 4 (3 at step 2) to 1."""
  scores = {}
  for name in factors:
    f, mean = factors[name]['kernel'], averages[name]['kernel']
    g = {k: np.float64(v) for k, v in grads[name]['kernel'].items()}
    eye = np.eye(2)
    g['p'] += 0.1 * 4 * f['p'] @ (f['p'].T @ f['p'] - eye)
    g['q'] += 0.1 * 4 * (f['q'] @ f['q'].T - eye) @ f['q']
    for k in f:
      importance = np.abs(f[k] * g[k])
      mean[k][0] = 0.85 * mean[k][0] + 0.15 * importance
      mean[k][1] = 0.85 * mean[k][1] + 0.15 * np.abs(importance - mean[k][0])
      f[k] -= 0.1 * g[k]
    s = {k: mean[k][0] * mean[k][1] for k in f}
    for i in range(2):
      scores[name, i] = s['l'][i] + s['p'][:, i].mean() + s['q'][i].mean()
  if step in (2, 4, 5):
    number = round(1 + 3 * (1 - (step - 1) / 4) ** 3)
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:number]
    KEPT[:] = best
  if step in (2, 4, 5, 6, 7):
    for name, i in scores:
      if (name, i) not in KEPT:
        factors[name]['kernel']['l'][i] = 0.0


KEPT: list[tuple[str, int]] = []


def test_ranks_need_steps_to_fall_in() -> None:
  settings = section(method='adalora', where='.', start_steps=3, final_steps=4)
  rule = 'leaves no step of train.steps 7 for the rank to fall'
  with pytest.raises(ConfigError, match=rule):
    adalora.adapted(settings, optax.with_extra_args_support(optax.sgd(1)), 7)


@pytest.fixture(scope='module')
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
  workdir = tmp_path_factory.mktemp('base') / 'run'
  changes = {'train.steps': 2}
  assert train(small('adding', 'gru', BASE | changes), workdir, nothing)
  return workdir


@pytest.fixture(scope='module')
def adapted(base: Path) -> Path:
  """A run of four steps with factors of two kernels, and one bias."""
  workdir, source = base.parent / 'adapted', {'train.init_from': str(base)}
  assert train(small('adding', 'gru', LORA | source), workdir, nothing)
  return workdir


def test_the_first_state_is_the_base_and_the_optimiser_is_small(
  base: Path,
) -> None:
  experiment = small('adding', 'gru', LORA)
  run = program(experiment, parallel.make_mesh(experiment.parallel))
  state, saved = initial_state(run, str(base)), Snapshot(base).read('params')
  assert_same(state.evaluated, saved)
  trained = {
    '/'.join(path) for path in traverse_util.flatten_dict(state.params)
  }
  cell = 'low_rank/layer_0/memory/cell/recurrent_kernel'
  assert trained == {
    'whole/encoder/linear/bias',
    *(f'{cell}/{name}' for name in 'ab'),
    *(f'low_rank/readout/kernel/{name}' for name in 'ab'),
  }
  adam = optax.adamw(1.0).init(state.params)
  counts = 4 * len(
    [x for x in jax.tree.leaves(state.opt_state) if x.ndim == 1 and x.size == 1]
  )
  moments = size_of(adam) - 4
  assert moments == 2 * size_of(state.params)
  assert moments <= size_of(state.opt_state) <= moments + counts + 8


@pytest.mark.slow
def test_only_the_trained_part_moves_and_the_rest_is_saved_once(
  base: Path, adapted: Path
) -> None:
  first = traverse_util.flatten_dict(load(base).params, sep='/')
  last = traverse_util.flatten_dict(load(adapted).params, sep='/')
  moved = {
    path for path in first if not np.array_equal(first[path], last[path])
  }
  assert moved == {
    'encoder/linear/bias',
    'layer_0/memory/cell/recurrent_kernel',
    'readout/kernel',
  }
  steps = list((adapted / 'checkpoints').iterdir())
  with_frozen = [path for path in steps if (path / 'frozen').exists()]
  assert not with_frozen
  assert {'2', '4', 'frozen'} <= {path.name for path in steps}


@pytest.mark.slow
def test_loaded_parameters_are_the_merged_ones(adapted: Path) -> None:
  experiment = small('adding', 'gru', LORA)
  run = program(experiment, parallel.make_mesh(experiment.parallel))
  with open_checkpoints(experiment, adapted) as checkpoints:
    state = checkpoints.restore(run.abstract)
  assert state is not None
  for name, scale in (('readout', 2.0),):
    kernel = np.asarray(state.frozen['base'][name]['kernel'][0], np.float64)
    factors = state.params['low_rank'][name]['kernel']
    a, b = (np.asarray(factors[x][0], np.float64) for x in 'ab')
    change = a @ b
    assert np.abs(change).max() > 0
    merged = load(adapted).params[name]['kernel']
    np.testing.assert_allclose(merged, kernel + scale * change, atol=1e-6)
  assert evaluate({}, adapted) == 0
  path = adapted / 'metrics.jsonl'
  last = {row['split']: row for row in metrics_file.load_rows(path)}
  for row in metrics_file.load_evaluation_rows(path):
    assert row['metrics'] == last[row['split']]['metrics'], row['split']


def test_a_damaged_base_is_refused(adapted: Path, tmp_path: Path) -> None:
  shutil.copytree(adapted, tmp_path / 'run')
  folder = tmp_path / 'run' / 'checkpoints' / 'frozen'
  file = max(folder.rglob('*'), key=lambda p: p.is_file() and p.stat().st_size)
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(bytes(content))
  with pytest.raises(ConfigError, match='the run does not train'):
    load(tmp_path / 'run')
  shutil.rmtree(folder)
  with pytest.raises(ConfigError, match=r'manifest\.json is missing; it holds'):
    frozen_tree.read(tmp_path / 'run' / 'checkpoints')


@pytest.mark.slow
def test_a_base_that_no_step_was_saved_with_is_replaced(
  adapted: Path, tmp_path: Path
) -> None:
  workdir, source = tmp_path / 'run', {'train.init_from': str(adapted)}
  frozen = workdir / 'checkpoints' / 'frozen' / '0'
  shutil.copytree(adapted / 'checkpoints' / 'frozen' / '0', frozen)
  other = {'adapt.where': 'input_kernel', 'optim.learning_rate': 1e-9}
  assert train(small('adding', 'gru', LORA | source | other), workdir, nothing)
  assert_close(load(workdir).params, load(adapted).params, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['lora', 'adalora'])
def test_a_run_that_stopped_goes_on_bit_for_bit(
  base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
  """Two replicas of a base that has one, and an average of what is trained."""
  changes: dict[str, Any] = {'train.init_from': str(base)}
  changes |= {'adapt.method': method}
  changes |= {'optim.ema': 0.5, 'train.replicas': 2}
  changes |= {'adapt.target_rank': 0.5, 'adapt.allocate_every': 1}
  experiment = small('adding', 'gru', LORA | changes)
  assert train(experiment, tmp_path / 'whole', nothing)
  with monkeypatch.context() as patch:
    patch.setattr(Interrupts, 'stop', lambda self, step: step == 2)
    assert not train(experiment, tmp_path / 'cut', nothing)
  assert train(experiment, tmp_path / 'cut', nothing)
  runs = [load_replicas(tmp_path / name) for name in ('whole', 'cut')]
  assert_same(runs[0].params, runs[1].params)
  assert runs[0].params['readout']['kernel'].shape[0] == 2
  assert verify(tmp_path / 'cut') == 0
  assert replay(tmp_path / 'cut', 4) == 0


@pytest.mark.slow
def test_an_adapted_run_on_eight_devices_is_that_of_one() -> None:
  changes = LORA | {'optim.name': 'sgd', 'train.batch_size': 8}
  alone = run(small('adding', 'gru', changes), 3)
  for places in (
    {'parallel.data': 2, 'parallel.fsdp': 2, 'parallel.tensor': 2},
    {'parallel.data': 8, 'parallel.determinism': 'elastic'},
    {'train.grad_accum_steps': 2},
  ):
    other = run(small('adding', 'gru', changes | places), 3)
    assert_close(other.params, alone.params, 1e-6)
    assert_same(other.frozen, alone.frozen)


@pytest.mark.slow
def test_adapters_are_new_in_a_trained_model(
  base: Path, tmp_path: Path
) -> None:
  changes = {'train.init_from': str(base), 'model.adapter': 2}
  adapters = BASE | changes | {'adapt.trainable': 'adapter'}
  experiment = small('adding', 'gru', adapters)
  mesh = parallel.make_mesh(experiment.parallel)
  state = initial_state(program(experiment, mesh), str(base))
  task, model = experiment.task, experiment.model
  rows = task.rows(Stream(0, 0, 4), 0, np.arange(4))
  batch, carry = task.batch(rows), model.initial_carry(4)
  read = carry, batch.inputs, batch.reset_BT
  now = jax.tree.map(lambda x: x[0], state.evaluated)
  bare, before = small('adding', 'gru', BASE).model, load(base).params
  assert_same(apply(model, now, *read), apply(bare, before, *read))
  assert train(experiment, tmp_path / 'run', nothing)
  after = traverse_util.flatten_dict(load(tmp_path / 'run').params, sep='/')
  for path, leaf in traverse_util.flatten_dict(before, sep='/').items():
    np.testing.assert_array_equal(after[path], leaf)
  out = after['layer_0/memory_adapter_out/kernel']
  assert np.abs(np.asarray(out)).max() > 0
  whole = small('adding', 'gru', BASE | changes)
  with pytest.raises(ConfigError, match=r'adapter_in/bias.* has nothing'):
    initial_state(program(whole, mesh), str(base))


@pytest.mark.slow
def test_an_adapted_run_is_reported_and_is_a_base(
  adapted: Path, tmp_path: Path
) -> None:
  assert report(adapted, out=str(tmp_path / 'page')) == 0
  experiment = small('adding', 'gru', LORA)
  state = initial_state(
    program(experiment, parallel.make_mesh(experiment.parallel)), str(adapted)
  )
  assert_same(state.evaluated, load_replicas(adapted).params)
