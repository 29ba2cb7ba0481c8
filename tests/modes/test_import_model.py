"""An imported model is an ordinary workdir: all that reads one works on it."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memjax
from memjax.config.reader import read_experiment
from memjax.data.bpe import LETTERS, import_library
from memjax.errors import ConfigError
from memjax.interop.family import family_of
from memjax.interop.files import read_pretrained, write_pretrained
from memjax.interop.names import to_theirs
from memjax.interop.tokenizer_files import byte_level
from memjax.models.base import apply
from memjax.modes.evaluate import evaluate
from memjax.modes.export import export
from memjax.modes.import_model import import_model
from memjax.modes.report import report
from memjax.modes.sample import sample
from memjax.training.loop import train
from tests.interop.small_models import built, imported

CONFIG: dict[str, Any] = {
  'model_type': 'llama',
  'vocab_size': 260,
  'hidden_size': 16,
  'intermediate_size': 24,
  'num_hidden_layers': 1,
  'num_attention_heads': 2,
  'num_key_value_heads': 1,
  'max_position_embeddings': 16,
  'rms_norm_eps': 1e-5,
  'rope_theta': 100.0,
  'tie_word_embeddings': True,
}
TEXT = ''.join(f'{i} times {i} is {i * i}.\n' for i in range(200))


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """A folder as a pretrained model comes, with three rows to spare."""
  folder = tmp_path_factory.mktemp('pretrained')
  family = family_of(CONFIG)
  _, shapes = built(family)
  rng = np.random.default_rng(0)
  leaves = {
    path: rng.normal(size=shape).astype(np.float32) / 4
    for path, shape in shapes.items()
  }
  ids = {letter: i for i, letter in enumerate(LETTERS)} | {'Ġt': 256}
  models = import_library('tokenizer', '').models
  tokenizer = byte_level(models.BPE(ids, [('Ġ', 't')]))
  tensors = to_theirs(family.table(), leaves, family.name)
  write_pretrained(folder, CONFIG, tensors, tokenizer)
  (folder / 'text.txt').write_text(TEXT)
  return folder


def overrides(source: Path) -> list[str]:
  task = {'corpus': 'files', 'path': source / 'text.txt', 'length': 16}
  return [f'--config.task.{name}={value}' for name, value in task.items()]


@pytest.fixture(scope='module')
def workdir(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
  folder = tmp_path_factory.mktemp('imported') / 'run'
  assert import_model(str(source), folder, overrides(source)) == 0
  return folder


def test_the_workdir_holds_the_model_and_gives_it_back(
  source: Path, workdir: Path, tmp_path: Path
) -> None:
  run = memjax.load(workdir)
  model, params, _ = imported(read_pretrained(source))
  jax.tree.map(np.testing.assert_array_equal, run.params, params)
  assert (run.model, run.step) == (model, 0)
  assert run.tokenizer is not None
  assert run.tokenizer.vocab == 260
  record = json.loads((workdir / 'run.json').read_text())
  assert record['state'] == 'finished'
  assert record['reason'] == f'imported from {source}'
  out = tmp_path / 'out'
  given: dict[str, Any] = {'step': 'latest', 'replica': 0, 'family': 'llama'}
  assert export(workdir, output=str(out), **given) == 0
  weights = 'model.safetensors'
  assert (out / weights).read_bytes() == (source / weights).read_bytes()
  exported = json.loads((out / 'config.json').read_text())
  assert exported.items() >= CONFIG.items()
  before, after = (
    json.loads((folder / 'tokenizer.json').read_text())
    for folder in (source, out)
  )
  assert before == after


def test_what_cannot_be_imported_is_one_line(
  source: Path, workdir: Path, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError, match='give the model'):
    import_model(None, tmp_path / 'run', [])
  with pytest.raises(ConfigError, match='has a run already'):
    import_model(str(source), workdir, [])
  config = {**CONFIG, 'vocab_size': 200}
  write_pretrained(tmp_path / 'small', config, {}, _tokenizer(source))
  with pytest.raises(ConfigError, match='more tokens than the model has rows'):
    import_model(str(tmp_path / 'small'), tmp_path / 'run', [])
  write_pretrained(tmp_path / 'mute', CONFIG, {}, '')
  with pytest.raises(ConfigError, match=r"task.path: '': must be given"):
    import_model(str(tmp_path / 'mute'), tmp_path / 'run', [])
  assert not (tmp_path / 'run' / 'config.json').exists()


def _tokenizer(source: Path) -> str:
  return (source / 'tokenizer.json').read_text()


@pytest.mark.slow
def test_eval_sample_report_and_training_read_it(
  workdir: Path, tmp_path: Path, capsys: Any
) -> None:
  assert evaluate({}, workdir) == 0
  row = json.loads((workdir / 'metrics.jsonl').read_text())
  run = memjax.load(workdir)
  assert row['metrics']['loss'] == pytest.approx(loss_of(run), rel=1e-3)
  given: dict[str, Any] = dict.fromkeys(
    ('prompt_file', 'seed', 'save_carry', 'carry')
  )
  given |= {'length': 5, 'temperature': 0.0, 'top_k': 0, 'top_p': 1.0}
  capsys.readouterr()
  assert sample(workdir, prompt='7 t', beams=1, replica=0, **given) == 0
  assert capsys.readouterr().out.startswith('7 t')
  assert report(workdir, sections='evaluation', out='') == 0
  config = run.config
  config['train'] |= {'init_from': str(workdir), 'steps': 3}
  config['optim'] |= {'name': 'adamw', 'learning_rate': 0.01}
  config['evals']['validation']['every'] = 3
  trained = tmp_path / 'trained'
  assert train(read_experiment(config), trained, lambda *run: None)
  after = memjax.load(trained)
  assert (after.step, after.model) == (3, run.model)
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(), after.params, run.params
  )
  assert 0 < max(jax.tree.leaves(moved)) < 0.05
  given = {'step': 'latest', 'replica': 0, 'family': 'llama'}
  assert export(trained, output=str(tmp_path / 'out'), **given) == 0
  model, params, _ = imported(read_pretrained(tmp_path / 'out'))
  jax.tree.map(np.testing.assert_array_equal, after.params, params)
  assert model == after.model


def loss_of(run: Any) -> float:
  """Nats per token of the validation text, read in one piece."""
  task = run.experiment.evals['validation'].task
  ids = np.asarray(task._splits[0].tokens)
  inputs = jnp.asarray(ids[None, :-1], jnp.int32)
  start, reset = run.model.initial_carry(1), jnp.zeros(inputs.shape, bool)
  _, y = apply(run.model, run.params, start, inputs, reset)
  log_p = jax.nn.log_softmax(y[0])
  return float(-log_p[np.arange(len(ids) - 1), ids[1:]].mean())
