"""States come back bit for bit, on other devices too, or are refused."""

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np
import optax
import pytest

from memjax.errors import ConfigError
from memjax.runs import manifest
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.snapshot import Snapshot
from tests.trees import structure

PARAMS = ('params',)


class State(NamedTuple):
  step: Any
  params: Any
  opt_state: Any
  ema: Any
  carry: Any
  key: Any
  sums: Any


class Small(NamedTuple):
  step: Any
  params: Any


def make_state(step: int = 1, width: int = 8, ema: bool = False) -> State:
  key = jax.random.key(step)
  params = {
    'layer_0': {
      'kernel': jax.random.normal(key, (16, width)),
      'bias': jax.random.normal(key, (width,), jnp.bfloat16),
    },
    'count': jnp.arange(5) + step,
  }
  trained = {'layer_0': params['layer_0']}
  optimiser = optax.chain(optax.clip(1.0), optax.adam(1e-3), optax.scale(2.0))
  return State(
    step=jnp.int32(step),
    params=params,
    opt_state=optimiser.init(trained),
    ema=jax.tree.map(jnp.negative, params) if ema else (),
    carry=({'h': jax.random.normal(key, (8, 3)), 'none': {}}, jnp.zeros(8)),
    key=jax.random.split(key)[1],
    sums={'train/loss': (jnp.float32(0.1), jnp.float32(3))},
  )


def put(state: State, devices: int) -> State:
  """The state over this number of devices, split along axes that divide."""
  mesh = jax.make_mesh(
    (devices,),
    ('data',),
    axis_types=(AxisType.Auto,),
    devices=jax.devices()[:devices],
  )
  return jax.tree.map(lambda x: jax.device_put(x, sharding(x, mesh)), state)


def sharding(x: jax.Array, mesh: Mesh) -> NamedSharding:
  split = x.ndim > 0 and x.shape[0] % 8 == 0
  return NamedSharding(
    mesh, PartitionSpec('data') if split else PartitionSpec()
  )


def abstract(state: State) -> State:
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def bits(tree: Any) -> list[bytes]:
  def plain(x: Any) -> np.ndarray:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)

  return [plain(x).tobytes() for x in jax.tree.leaves(tree)]


def write(folder: Path, *steps: int, **settings: Any) -> None:
  with Checkpoints(folder, **({'keep': 10} | settings)) as checkpoints:
    for step in steps:
      checkpoints.save(make_state(step), {})


@pytest.mark.slow
def test_a_state_comes_back_bit_for_bit_on_other_devices(
  tmp_path: Path,
  capfd: pytest.CaptureFixture,
  caplog: pytest.LogCaptureFixture,
) -> None:
  for writers, readers in ((1, 8), (8, 2), (2, 1)):
    state = put(make_state(ema=writers == 8), writers)
    folder = tmp_path / str(writers)
    with Checkpoints(folder, keep=1) as checkpoints:
      assert checkpoints.restore(abstract(state)) is None
      checkpoints.save(state, {})
    target = abstract(put(state, readers))
    with Checkpoints(folder, keep=1) as checkpoints:
      restored = checkpoints.restore(target)
    assert restored is not None
    assert structure(restored) == structure(state)
    assert bits(restored) == bits(state)
    assert abstract(restored) == target
  assert capfd.readouterr() == ('', '')
  assert not caplog.records


def test_buffers_may_be_donated_while_a_save_is_in_flight(
  tmp_path: Path,
) -> None:
  advance = jax.jit(
    lambda s: s._replace(
      step=s.step + 1,
      params=jax.tree.map(lambda x: x + jnp.ones_like(x), s.params),
    ),
    donate_argnums=0,
  )
  big = {'kernel': jnp.zeros((512, 1024))}
  state = make_state(0)._replace(params=big)
  with Checkpoints(tmp_path / 'checkpoints', keep=9) as checkpoints:
    for _ in range(4):
      checkpoints.save(state, {})
      state = jax.block_until_ready(advance(state))
  given, state = state, advance(state)
  assert given.params['kernel'].is_deleted()
  for step in range(4):
    kernel = Snapshot(tmp_path, step, PARAMS).read('params')['kernel']
    np.testing.assert_array_equal(kernel, np.full((512, 1024), step))


def saved_steps(folder: Path, metrics: list[dict], **settings: Any) -> list:
  with Checkpoints(folder, **settings) as checkpoints:
    for step, measured in enumerate(metrics):
      checkpoints.save(
        Small(jnp.int32(step), {'kernel': jnp.ones(3)}), measured
      )
  return manifest.steps_in(folder)


def test_the_last_few_stay_and_the_best_however_old(tmp_path: Path) -> None:
  losses = [{'valid/loss': x} for x in (float('nan'), 1.0, 3.0)]
  losses += [{}, {}, {'other': 0.0}, {'valid/loss': 2.0}, {}]
  best = {'best': 'valid/loss'}
  assert saved_steps(tmp_path / 'last', losses[:4], keep=2) == [2, 3]
  assert saved_steps(tmp_path / 'min', losses, keep=2, **best) == [1, 6, 7]
  most = saved_steps(tmp_path / 'max', losses, keep=2, best_is='max', **best)
  assert most == [2, 6, 7]
  manifests = manifest.manifests_in(tmp_path / 'min')
  assert manifest.best_of(manifests, 'valid/loss', 'min') == 1
  assert manifest.best_of(manifests, 'valid/accuracy', 'min') is None
  assert manifests[1].metrics == {'valid/loss': 1.0}
  manifests = manifest.manifests_in(tmp_path / 'max')
  assert manifest.best_of(manifests, 'valid/loss', 'max') == 2
  assert not list((tmp_path / 'min' / 'unfinished').iterdir())


def test_a_step_that_is_there_is_not_written_again(tmp_path: Path) -> None:
  write(tmp_path, 3)
  before = (tmp_path / '3' / manifest.NAME).stat()
  write(tmp_path, 3)
  assert (tmp_path / '3' / manifest.NAME).stat() == before
  (tmp_path / '3' / 'params' / 'manifest.ocdbt').write_bytes(b'')
  write(tmp_path, 3)
  assert manifest.verify(tmp_path / '3').step == 3


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (
      lambda s: s._replace(params=make_state(width=9).params),
      ['params/layer_0/bias', 'bfloat16[9]', 'bfloat16[8]'],
    ),
    (
      lambda s: s._replace(params={**s.params, 'new': s.step}),
      ['params/new', 'int32[]', 'nothing'],
    ),
    (
      lambda s: s._replace(params={'count': s.params['count']}),
      ['params/layer_0/bias', 'nothing', 'bfloat16[8]'],
    ),
    (
      lambda s: s._replace(step=jnp.float32(1)),
      ['step', 'float32[]', 'int32[]'],
    ),
    (
      lambda s: s._replace(opt_state=optax.sgd(0.1).init(s.params)),
      ['opt_state/1/0/count', 'nothing', 'int32[]'],
    ),
    (lambda s: s._replace(ema=s.params), ['ema/count', 'int32[5]', 'nothing']),
  ],
)
def test_another_model_is_refused_by_the_name_of_an_array(
  tmp_path: Path, change: Any, words: list
) -> None:
  write(tmp_path, 1)
  target = abstract(put(change(make_state()), 1))
  with (
    Checkpoints(tmp_path, keep=1) as checkpoints,
    pytest.raises(ConfigError) as error,
  ):
    checkpoints.restore(target)
  assert error.value.field == words[0]
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)
  assert manifest.steps_in(tmp_path) == [1]


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
  with pytest.raises(ConfigError, match='keep: 0: must be at least 1'):
    Checkpoints(tmp_path, keep=0)
  with pytest.raises(ConfigError, match="best_is: 'least': must be min or max"):
    Checkpoints(tmp_path, keep=1, best_is='least')
  (tmp_path / 'file').write_text('')
  with pytest.raises(ConfigError, match='cannot be written: Not a directory'):
    Checkpoints(tmp_path / 'file' / 'checkpoints', keep=1)


def test_items_are_read_anywhere_as_numpy(
  tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
  state, folder = put(make_state(2), 8), tmp_path / 'checkpoints'
  write(folder, 1)
  with Checkpoints(folder, keep=2) as checkpoints:
    checkpoints.save(state, {'valid/loss': 0.5})
  (folder / '2' / 'rest' / '_METADATA').write_text('not read')
  snapshot = Snapshot(tmp_path, items=PARAMS)
  assert (snapshot.step, snapshot.metrics) == (2, {'valid/loss': 0.5})
  params = snapshot.read('params')
  assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(params))
  assert structure(params) == structure(state.params)
  assert bits(params) == bits(state.params)
  carry = snapshot.read('carry', abstract(state).carry)
  assert structure(carry) == structure(state.carry)
  assert bits(carry) == bits(state.carry)
  assert snapshot.read('ema', ({}, ())) == ({}, ())
  with pytest.raises(ConfigError, match='carry/0/h'):
    snapshot.read('carry', state.carry[0])
  with pytest.raises(ConfigError, match='was not saved at step 2; known: carr'):
    snapshot.read('ema')
  with pytest.raises(ConfigError, match='did you mean params'):
    Snapshot(tmp_path, items=('parms',))
  with pytest.raises(
    ConfigError, match=r'step: 2: .*rest/_METADATA has 8 byte'
  ):
    snapshot.read('rest')

  (folder / '2' / 'params' / '_METADATA').unlink()
  before = sorted(tmp_path.rglob('*'))
  with caplog.at_level(logging.WARNING):
    assert Snapshot(tmp_path, items=PARAMS).step == 1
  assert 'step 2' in caplog.text
  assert 'params/_METADATA is missing' in caplog.text
  with pytest.raises(ConfigError, match=r'step: 2: .*_METADATA is missing'):
    Snapshot(tmp_path, 2, PARAMS)
  with pytest.raises(ConfigError, match=r'step: 7: .*manifest.json is missing'):
    Snapshot(tmp_path, 7, PARAMS)
  with pytest.raises(ConfigError, match='has no undamaged step'):
    Snapshot(tmp_path / 'nowhere', items=PARAMS)
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('file', 'printed'),
  [('/lib/orbax/checkpoint/write.py', False), ('/home/me/write.py', True)],
)
def test_only_writes_that_orbax_gave_up_are_silent(
  tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, printed: bool
) -> None:
  Checkpoints(tmp_path, keep=1).close()
  source = 'async def write(): raise ValueError("the disk is full")'
  names: dict[str, Any] = {}
  exec(compile(source, file, 'exec'), names)
  loop = asyncio.new_event_loop()

  async def give_up() -> None:
    asyncio.gather(names['write'](), asyncio.sleep(0))
    await asyncio.sleep(0.01)

  loop.run_until_complete(give_up())
  gc.collect()
  loop.close()
  assert ('the disk is full' in caplog.text) == printed
