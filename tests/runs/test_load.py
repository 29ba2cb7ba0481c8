"""A workdir is all that a trained model needs: no corpus, no devices alike."""

from collections import Counter
import hashlib
import logging
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memjax
from memjax.config import command_line
from memjax.data.corpus import close_corpora
from memjax.data.tokenizers import Bytes
from memjax.errors import ConfigError
from memjax.generation import saved, session
from memjax.generation.sampler import SamplerConfig
from memjax.guards import file_hashes
from memjax.logs import metrics_file
from memjax.models.base import apply
from memjax.modes.sample import sample
from memjax.runs.checkpoint import Checkpoints
from memjax.runs.snapshot import Snapshot
from memjax.tasks.base import Stream
from memjax.training.loop import train
from memjax.training.state import TrainState
from memjax.types import Batch
from tests.flags import xla_flags
from tests.small import small

ROOT = Path(__file__).parents[2]
STEPS = 3
SETTINGS: dict[str, Any] = {
  'task.corpus': 'files',
  'parallel.fsdp': 4,  # of 8 devices: batch and parameters are both cut
  'train.steps': STEPS,
  'checkpoint.keep': STEPS,
  'checkpoint.best': 'validation/loss',
  'checkpoint.best_is': 'max',  # the first step: another than the newest
  'model.depth': 1,
  'optim.ema': 0.5,
  'optim.schedule': 'constant',
  'optim.learning_rate': 0.01,
  'evals': {
    'validation': {
      'every': 1,
      'batch_size': 8,
      'steps': 1,
      'task': {'split': 'validation'},
    }
  },
}
LOAD = """
import sys, jax, numpy as np, memjax
workdir, out = sys.argv[1:]
run = memjax.load(workdir)
assert len(jax.devices()) == 1
np.savez(out, *jax.tree.leaves((run.params, run.carry)))
"""


class Trained(NamedTuple):
  """A run whose corpus is gone.

  Attributes:
    workdir: where it is.
    states: (averaged parameters, carry) after each step.
    batches: what each step read.
  """

  workdir: Path
  states: dict[int, Any]
  batches: list[Batch]


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
  folder = tmp_path_factory.mktemp('trained')
  rng = np.random.default_rng(0)
  corpus = folder / 'corpus.txt'
  corpus.write_bytes(rng.choice(list(b'abcd \n'), 4000).astype('u1').tobytes())
  experiment = small(
    'text', 'transformer_xl', SETTINGS | {'task.path': str(corpus)}
  )
  states = {}
  save = Checkpoints.save

  def record(self: Checkpoints, state: TrainState, *others: Any) -> None:
    assert not all(x.is_fully_replicated for x in jax.tree.leaves(state.ema))
    kept = jax.device_get((state.ema, state.carry))
    states[int(state.step)] = jax.tree.map(lambda x: x[0], kept)
    save(self, state, *others)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Checkpoints, 'save', record)
    train(experiment, folder / 'run', lambda *run: None)
  task, stream = experiment.task, Stream(experiment.seed, 0, 8)
  batches = [task.rows(stream, s, np.arange(8)) for s in range(STEPS)]
  corpus.unlink()
  shutil.rmtree(os.environ['MEMJAX_CACHE'])
  close_corpora()
  return Trained(folder / 'run', states, batches)


def assert_same(one: Any, other: Any) -> None:
  jax.tree.map(np.testing.assert_array_equal, one, other)


def listing(folder: Path) -> dict[str, tuple[int, str]]:
  return {
    path.relative_to(folder).as_posix(): (
      path.stat().st_mtime_ns,
      hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else '',
    )
    for path in folder.rglob('*')
  }


def test_what_was_trained_is_what_is_loaded(trained: Trained) -> None:
  run = memjax.load(trained.workdir)
  assert run.step == STEPS
  assert run.tokenizer == Bytes()
  assert_same((run.params, run.carry), trained.states[STEPS])
  fresh = run.model.initial_carry(8)
  assert jax.tree.map(jnp.shape, run.carry) == jax.tree.map(jnp.shape, fresh)
  [*_, last] = [
    row['metrics']
    for row in metrics_file.load_rows(trained.workdir / 'metrics.jsonl')
    if row['split'] == 'validation'
  ]
  assert run.metrics == {f'validation/{k}': v for k, v in last.items()}
  with pytest.raises(ConfigError, match=r'corpus\.txt'):
    _ = run.experiment


@pytest.mark.slow
def test_the_memory_goes_on_where_training_was(trained: Trained) -> None:
  run = memjax.load(trained.workdir, 2)
  params = Snapshot(trained.workdir, 2).read('params')
  params = jax.tree.map(lambda x: jnp.asarray(x[0]), params)
  inputs, targets, _, reset_BT = map(jnp.asarray, trained.batches[2][:4])
  rows = metrics_file.load_rows(trained.workdir / 'metrics.jsonl')
  [loss] = [
    row['metrics']['loss']
    for row in rows
    if row['step'] == 3 and row['split'] == 'train'
  ]

  def loss_from(carry: Any) -> float:
    _, logits_BTV = apply(run.model, params, carry, inputs, reset_BT)
    log_probs_BTV = jax.nn.log_softmax(logits_BTV)
    return -float(
      jnp.take_along_axis(log_probs_BTV, targets[..., None], -1).mean()
    )

  assert loss_from(run.carry) == pytest.approx(loss, rel=1e-6)
  assert loss_from(run.model.initial_carry(8)) != pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_one_device_loads_what_eight_have_trained(
  trained: Trained, tmp_path: Path
) -> None:
  subprocess.run(
    [sys.executable, '-c', LOAD, trained.workdir, tmp_path / 'arrays.npz'],
    cwd=ROOT,
    env=os.environ
    | {'XLA_FLAGS': xla_flags(devices=1), 'MEMJAX_CACHE': str(tmp_path)},
    check=True,
  )
  with np.load(tmp_path / 'arrays.npz') as arrays:
    loaded = [arrays[name] for name in arrays.files]
  run = memjax.load(trained.workdir)
  assert_same(loaded, jax.tree.leaves((run.params, run.carry)))


@pytest.mark.slow
def test_the_example_of_the_docs_runs(
  trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
  page = (ROOT / 'docs/running.md').read_text(encoding='utf-8')
  [code] = re.findall(r'```python\n(.*?)```', page, re.S)
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'runs').mkdir()
  (tmp_path / 'runs/quickstart').symlink_to(trained.workdir)
  names: dict[str, Any] = {}
  exec(code, names)
  assert names['logits'].shape == (1, 7, 256)
  [line] = capsys.readouterr().out.splitlines()
  assert line == repr(memjax.load(trained.workdir))
  assert (tmp_path / 'weights.safetensors').is_file()


def test_sampling_prints_the_text_and_a_newline(
  trained: Trained, tmp_path: Path
) -> None:
  command = f"""launch.py --mode=sample --workdir={trained.workdir}
    --prompt_file=- --length=30 --seed=3 --temperature=0.5 --top_k=9
    --save_carry={tmp_path / 'carry'}"""
  ran = subprocess.run(
    [sys.executable, *command.split()],
    cwd=ROOT,
    capture_output=True,
    check=True,
    input=b'ab',
  )
  run, sampler = memjax.load(trained.workdir), SamplerConfig(0.5, top_k=9)
  text, current = '', session.prefill(run, 'ab', seed=3)
  for piece, after in session.stream(run, current, 30, sampler):
    text, current = text + piece, after
  assert ran.stdout.decode() == f'ab{text}\n'
  assert ran.stderr.decode() == ''
  kept = saved.load(tmp_path / 'carry', run)
  assert_same(kept.state.carry, current.state.carry)


def test_the_text_is_of_a_replica_there_is(trained: Trained) -> None:
  flags: dict[str, Any] = {
    flag.name: flag.default for flag in command_line.SAMPLING
  }
  with pytest.raises(ConfigError, match=r'^replica: 1: the run has 1'):
    sample(trained.workdir, **(flags | {'replica': 1}))


def test_a_step_is_latest_best_or_a_number(trained: Trained) -> None:
  losses = {
    row['step']: row['metrics']['loss']
    for row in metrics_file.load_rows(trained.workdir / 'metrics.jsonl')
    if row['split'] == 'validation'
  }
  best = max(losses, key=losses.__getitem__)
  assert best != STEPS
  assert memjax.load(str(trained.workdir), 'best').step == best
  for step in (1, 2, 3):
    run = memjax.load(trained.workdir, step)
    assert run.step == step
    assert run.metrics['validation/loss'] == losses[step]
    assert_same((run.params, run.carry), trained.states[step])


@pytest.mark.parametrize('step', ['latest', 'best', 2])
@pytest.mark.parametrize('carry', [True, False])
def test_loading_hashes_each_file_once(
  trained: Trained, monkeypatch: pytest.MonkeyPatch, step: Any, carry: bool
) -> None:
  """And no file of an item that is not read."""
  hashed: Counter[str] = Counter()
  hash_parts = file_hashes.hash_parts

  def count(path: Path, **options: bool) -> Any:
    hashed[str(path)] += 1
    return hash_parts(path, **options)

  monkeypatch.setattr(file_hashes, 'hash_parts', count)
  run = memjax.load(trained.workdir, step, carry=carry)
  folder = trained.workdir.absolute() / 'checkpoints' / str(run.step)
  items = ['ema', 'carry'] if carry else ['ema']
  files = [path for item in items for path in (folder / item).rglob('*')]
  assert hashed == {str(path): 1 for path in files if path.is_file()}


@pytest.mark.parametrize(
  ('step', 'words'),
  [
    (7, ['step: 7', 'run/checkpoints']),
    (-1, ['step: -1']),
    ('newest', ["step: 'newest'", 'latest, best or a number']),
  ],
)
def test_a_wrong_step_is_one_line(
  trained: Trained, step: Any, words: list[str]
) -> None:
  with pytest.raises(ConfigError) as error:
    memjax.load(trained.workdir, step)
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)


def test_a_folder_that_is_not_a_workdir_is_refused(
  trained: Trained, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError, match=r'workdir: .*has no config\.json'):
    memjax.load(tmp_path)
  shutil.copytree(
    trained.workdir, tmp_path / 'run', ignore=lambda *_: ['checkpoints']
  )
  with pytest.raises(ConfigError, match='has no undamaged step'):
    memjax.load(tmp_path / 'run')


@pytest.mark.parametrize('item', ['ema', 'carry'])
def test_a_damaged_step_is_passed_over_and_left_as_it_is(
  trained: Trained,
  tmp_path: Path,
  item: str,
  caplog: pytest.LogCaptureFixture,
) -> None:
  workdir = tmp_path / 'run'
  shutil.copytree(trained.workdir, workdir)
  files = (workdir / f'checkpoints/{STEPS}/{item}').rglob('*')
  largest = max(files, key=lambda path: path.is_file() and path.stat().st_size)
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(content)
  before = listing(workdir)
  with caplog.at_level(logging.WARNING):
    run = memjax.load(workdir)
  assert run.step == STEPS - 1
  whole = memjax.load(trained.workdir, STEPS - 1)
  assert_same((run.params, run.carry), (whole.params, whole.carry))
  assert f'step {STEPS}' in caplog.text
  assert largest.name in caplog.text
  with pytest.raises(ConfigError, match=f'step: {STEPS}'):
    memjax.load(workdir, STEPS)
  assert listing(workdir) == before


@pytest.mark.parametrize('harm', ['gone', 'damaged'])
def test_parameters_alone_are_read_without_the_memory(
  trained: Trained,
  tmp_path: Path,
  harm: str,
  caplog: pytest.LogCaptureFixture,
) -> None:
  workdir = tmp_path / 'run'
  shutil.copytree(trained.workdir, workdir)
  carry = workdir / f'checkpoints/{STEPS}/carry'
  if harm == 'gone':
    shutil.rmtree(carry)
  else:
    for path in filter(Path.is_file, carry.rglob('*')):
      path.write_bytes(b'')
  run = memjax.load(workdir, carry=False)
  assert (run.step, run.carry) == (STEPS, None)
  assert_same(run.params, trained.states[STEPS][0])
  assert caplog.text == ''
  assert memjax.load(workdir).step == STEPS - 1
