"""An imported model learns the labels of a small set."""

import json
from pathlib import Path
from typing import Any

from flax import traverse_util
import numpy as np
import pytest

from configs import fine_tuning
from configs.imported_models import NAMES, imported_model
import memjax
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError
from memjax.interop.family import family_of
from memjax.interop.files import write_pretrained
from memjax.interop.names import to_theirs
from memjax.modes.evaluate import evaluate
from memjax.modes.import_model import import_model
from memjax.training.loop import train
from tests.interop.small_models import built
from tests.tasks.test_pairs import tokenizer_file, write

# What the released config.json say; fields with their defaults are left out.
RELEASED: dict[str, dict[str, Any]] = {
  'smollm2': {
    'model_type': 'llama',
    'hidden_size': 576,
    'intermediate_size': 1536,
    'num_hidden_layers': 30,
    'num_attention_heads': 9,
    'num_key_value_heads': 3,
    'max_position_embeddings': 8192,
    'rms_norm_eps': 1e-5,
    'rope_theta': 100000.0,
    'tie_word_embeddings': True,
  },
  'minilm': {
    'model_type': 'bert',
    'hidden_size': 384,
    'intermediate_size': 1536,
    'num_hidden_layers': 6,
    'num_attention_heads': 12,
    'max_position_embeddings': 512,
    'type_vocab_size': 2,
    'hidden_act': 'gelu',
  },
  'distilgpt2': {
    'model_type': 'gpt2',
    'n_embd': 768,
    'n_layer': 6,
    'n_head': 12,
    'n_positions': 1024,
  },
  'bert': {
    'model_type': 'bert',
    'hidden_size': 768,
    'intermediate_size': 3072,
    'num_hidden_layers': 12,
    'num_attention_heads': 12,
    'max_position_embeddings': 512,
    'type_vocab_size': 2,
    'hidden_act': 'gelu',
  },
}
SMALL: dict[str, dict[str, Any]] = {
  'smollm2': RELEASED['smollm2']
  | {
    'vocab_size': 260,
    'hidden_size': 16,
    'intermediate_size': 24,
    'num_hidden_layers': 1,
    'num_attention_heads': 2,
    'num_key_value_heads': 1,
    'max_position_embeddings': 16,
  },
  'minilm': RELEASED['minilm']
  | {
    'vocab_size': 260,
    'hidden_size': 16,
    'intermediate_size': 64,
    'num_hidden_layers': 1,
    'num_attention_heads': 2,
    'max_position_embeddings': 32,
  },
}
PAIRS = [(f'{word} {i}', word) for word in ('dog', 'cat') for i in range(12)]


@pytest.mark.parametrize('name', NAMES)
def test_the_sections_are_those_of_an_import(name: str) -> None:
  assert family_of(RELEASED[name]).model() == imported_model(name)


def imported(name: str, folder: Path) -> Path:
  """A workdir of a small random model that was imported."""
  family = family_of(SMALL[name])
  rng = np.random.default_rng(0)
  leaves = {
    path: rng.normal(size=shape).astype(np.float32) / 4
    for path, shape in built(family)[1].items()
  }
  tensors = to_theirs(family.table(), leaves, family.name)
  tokenizer = tokenizer_file(folder).read_text()
  write_pretrained(folder / 'files', SMALL[name], tensors, tokenizer)
  workdir = folder / 'imported'
  assert import_model(str(folder / 'files'), workdir, []) == 0
  return workdir


def tuned(name: str, workdir: Path, folder: Path, **fields: Any) -> Any:
  """The experiment of a fine-tuning of the imported model."""
  for split in ('train', 'validation'):
    write(folder, PAIRS, split)
  own = workdir / 'pretrained' / 'tokenizer.json'
  changes = {
    'task.corpus': 'files',
    'task.path': folder,
    'task.tokenizer': own,
    'task.separator': '[SEP]',
    'task.length': 16,
    'train.init_from': workdir,
    'train.steps': 4,
    'checkpoint.every': 2,
    'parallel.data': 1,
    **fields,
  }
  model = family_of(SMALL[name]).model()
  for field in ('mlp', 'max_positions'):
    if field in model:
      changes[f'model.{field}'] = model[field]
  config = fine_tuning.get_config(f'{name},quick').to_dict()
  words = [f'--config.{field}={value}' for field, value in changes.items()]
  return read_experiment(override(config, words))


WRITES = {'model.tie': True, 'adapt.trainable': '', 'task.answer': 'tokens'}


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'fields'), [('minilm', {}), ('smollm2', {}), ('smollm2', WRITES)]
)
def test_an_imported_model_learns_labels(
  name: str, fields: dict[str, Any], tmp_path: Path
) -> None:
  workdir = imported(name, tmp_path)
  experiment = tuned(name, workdir, tmp_path / 'set', **fields)
  assert experiment.task.input_spec.classes == 260, 'no new rows of the table'
  out = tmp_path / 'tuned'
  assert train(experiment, out, lambda *run: None)
  before, after = (
    traverse_util.flatten_dict(memjax.load(folder).params, sep='/')
    for folder in (workdir, out)
  )
  same = {p for p in before if np.array_equal(before[p], after.get(p))}
  assert before.keys() - same == {'layer_0/memory/qkv/kernel'}
  head = {'readout/kernel'} if not fields else set()
  head |= {'readout/bias'} if name == 'minilm' else set()
  assert after.keys() - before.keys() == head
  assert evaluate({}, out) == 0
  row = json.loads((out / 'metrics.jsonl').read_text().splitlines()[-1])
  assert np.isfinite(row['metrics']['loss'])


@pytest.mark.slow
def test_a_table_without_the_marks_is_refused(tmp_path: Path) -> None:
  workdir = imported('smollm2', tmp_path)
  experiment = tuned(
    'smollm2', workdir, tmp_path / 'set', **{'task.separator': ''}
  )
  with pytest.raises(ConfigError, match=r'train\.init_from: .*embedding'):
    train(experiment, tmp_path / 'tuned', lambda *run: None)
