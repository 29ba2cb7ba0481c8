"""Every label once by every protocol, and figures as a naive loop has them."""

import math
from pathlib import Path
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.runs.load import load
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train
from memjax.training.state import initial_params
from tests.small import small

ROOT = Path(__file__).parents[2]
LENGTH, LANES = 16, 8
SLIDING = {'task.carry_over': False, 'task.stride': 1}


@pytest.fixture(scope='module')
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """3400 letters: a validation split of 170."""
  path = tmp_path_factory.mktemp('corpus') / 'text'
  letters = np.random.default_rng(0).choice(list('abcdefgh'), 3400)
  path.write_text(''.join(letters))
  return path


def read_by(
  corpus: Path, model: str, protocol: dict[str, Any], **more: Any
) -> Experiment:
  """A small text experiment whose whole validation split is read so."""
  fields = {f'evals.validation.{k}': v for k, v in protocol.items()}
  options: dict[str, Any] = {'task.corpus': 'files'}
  options |= {'task.path': str(corpus)}
  options |= {'parallel.data': 1, 'evals.validation.steps': 0}
  options |= {'evals.test.steps': 1, 'checkpoint.best': ''}
  return small('text', model, options | fields | more)


def evaluated(experiment: Experiment, params: Any) -> dict[str, Any]:
  mesh = parallel.make_mesh(experiment.parallel)
  params_N = jax.tree.map(lambda x: jnp.asarray(x)[None], params)
  return Evaluator('validation', experiment, mesh).row(0, params_N)


def begins(label: int, labels: int, segment: int, protocol: dict) -> int:
  """Where the first token is that a label's prediction may know of."""
  if protocol.get('task.carry_over', True):
    lane = math.ceil(labels / LANES)
    return label // lane * lane
  stride = protocol.get('task.stride', segment)
  window = max(math.ceil((label - segment + 1) / stride), 0)
  return window * stride


def recurrent_nats(params: Any, tokens: np.ndarray) -> np.ndarray:
  """Of the token that follows each, by an Elman network in NumPy."""
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  cell, readout = p['layer_0']['memory']['cell'], p['readout']
  h_D = np.zeros(16)
  for token in tokens:
    x_D = p['encoder']['embedding']['embedding'][token]
    a_D = x_D @ cell['input_kernel'] + h_D @ cell['recurrent_kernel']
    h_D = np.tanh(a_D + cell['bias'])
  return nats(h_D @ readout['kernel'] + readout['bias'])


def nats(logits_V: np.ndarray) -> np.ndarray:
  logits_V = np.asarray(logits_V, np.float64)
  return np.log(np.exp(logits_V).sum(-1, keepdims=True)) - logits_V


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'protocol',
  [
    {},
    {'task.length': 10},
    {'task.carry_over': False},
    {'task.carry_over': False, 'task.stride': 5, 'task.length': 12},
    SLIDING,
  ],
)
def test_a_figure_is_that_of_a_naive_loop(corpus: Path, protocol: dict) -> None:
  experiment = read_by(corpus, 'rnn', protocol)
  params = initial_params(experiment.model, experiment.task, jax.random.key(1))
  row = evaluated(experiment, params)
  text = np.frombuffer(corpus.read_bytes(), np.uint8)[3060:3230]
  labels, segment = len(text) - 1, protocol.get('task.length', LENGTH)
  wanted = [
    recurrent_nats(params, text[begins(i, labels, segment, protocol) : i + 1])[
      text[i + 1]
    ]
    for i in range(labels)
  ]
  assert row['metrics']['loss'] == pytest.approx(np.mean(wanted), rel=1e-5)
  settings = row['protocol']
  assert settings['segment_length'] == segment
  assert settings['stride'] == protocol.get('task.stride', segment)
  assert settings['carry_over'] is protocol.get('task.carry_over', True)
  assert settings['tokenisation'] == 'bytes'


@pytest.mark.slow
def test_a_transformer_that_slides_sees_a_whole_context(corpus: Path) -> None:
  experiment = read_by(corpus, 'transformer', SLIDING)
  model = experiment.model
  params = initial_params(model, experiment.task, jax.random.key(1))
  text = np.frombuffer(corpus.read_bytes(), np.uint8)[3060:3230].astype(int)
  windows = np.lib.stride_tricks.sliding_window_view(text[:-1], LENGTH)
  reset_BT = jnp.zeros(windows.shape, bool)
  fresh = model.initial_carry(len(windows))
  read = jax.jit(lambda ids: apply(model, params, fresh, ids, reset_BT)[1])
  logits_BTV = read(jnp.asarray(windows))
  first = nats(logits_BTV[0])[np.arange(LENGTH), text[1 : LENGTH + 1]]
  others = nats(logits_BTV[1:, -1])
  others = others[np.arange(len(others)), text[LENGTH + 1 :]]
  loss = np.concatenate([first, others]).mean()
  row = evaluated(experiment, params)
  assert len(first) + len(others) == len(text) - 1
  assert row['metrics']['loss'] == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_the_rows_of_a_step_do_not_change_what_slides(corpus: Path) -> None:
  experiments = [
    read_by(corpus, 'lstm', SLIDING | {'task.stride': 6, 'batch_size': rows})
    for rows in (3, 16)
  ]
  model, task = experiments[0].model, experiments[0].task
  params = initial_params(model, task, jax.random.key(1))
  three, sixteen = (evaluated(e, params)['metrics'] for e in experiments)
  assert three == pytest.approx(sixteen, rel=1e-6)


@pytest.mark.slow
def test_memory_and_clamp_are_those_of_the_evaluated_model(
  corpus: Path,
) -> None:
  longer = {'model.layer.window': 40, 'model.layer.clamp': 9}
  experiment = read_by(corpus, 'transformer_xl', longer)
  validation = experiment.evals['validation']
  assert experiment.model.layer.window == LENGTH
  assert (validation.model.layer.window, validation.model.layer.clamp) == (
    40,
    9,
  )
  params = initial_params(experiment.model, experiment.task, jax.random.key(1))
  protocol = evaluated(experiment, params)['protocol']
  assert protocol['horizon'] == 40
  assert protocol['model.layer.window'] == 40
  assert protocol['model.layer.clamp'] == 9
  assert protocol['streams'] == LANES


@pytest.mark.parametrize(
  ('model', 'protocol', 'words'),
  [
    ('lstm', {'task.stride': 3}, 'task.stride: 3: needs carry_over=false'),
    (
      'lstm',
      {'task.carry_over': False, 'task.stride': 17},
      'task.stride: 17: must be from 0',
    ),
    ('lstm', {'task.length': 170}, 'task.split:'),
    ('lstm', {'model.layer.window': 64}, 'model.layer.window: 64: no such'),
    (
      'lstm',
      {'task.strid': 3},
      'task.strid: 3: no such field; did you mean stride?',
    ),
    ('lstm', {'stride': 3}, 'stride: 3: no such field; '),
    ('lstm', {'name': 'stream.Los'}, "name: 'stream.Los': no such class"),
    ('lstm', {'name': 'strem.Loss'}, "name: 'strem.Loss': no such module"),
    ('lstm', {'name': 'totals.Measure'}, "name: 'totals.Measure': no such"),
    (
      'transformer',
      SLIDING | {'task.length': 17},
      'task.length: 17: must be at most 16 for windows that overlap',
    ),
  ],
)
def test_what_cannot_be_is_one_line(
  corpus: Path, model: str, protocol: dict[str, Any], words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    read_by(corpus, model, protocol)
  assert str(error.value).startswith(f'evals.validation.{words}')
  assert '\n' not in str(error.value)


def test_a_memory_that_is_a_parameter_is_not_changed(corpus: Path) -> None:
  experiment = read_by(corpus, 'rmn', {'model.layer.window': 40})
  mesh = parallel.make_mesh(experiment.parallel)
  words = (
    r"^evals\.validation\.model: 'layer_0\.memory\.T': has the shape \(40, 16\)"
  )
  with pytest.raises(ConfigError, match=words):
    Evaluator('validation', experiment, mesh)


@pytest.mark.slow
def test_a_protocol_is_swept_from_the_command_line(
  corpus: Path, tmp_path: Path
) -> None:
  assert train(read_by(corpus, 'lstm', {}), tmp_path, lambda *run: None)
  protocol = SLIDING | {'task.length': 8, 'steps': 0}
  done = subprocess.run(
    [
      *(sys.executable, 'launch.py', '--config=configs/text.py:lstm,quick'),
      *('--config.task.corpus=files', f'--config.task.path={corpus}'),
      *('--mode=eval', f'--workdir={tmp_path}', '--config.parallel.data=1'),
      *(f'--config.evals.validation.{k}={v}' for k, v in protocol.items()),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  printed = ' '.join(done.stdout.split())
  assert 'segment_length 8; stride 1; carry_over False; tokenis' in printed
  assert 'streams 8; steps 21;' in printed
  assert 'task.length 8; ' in printed
  assert 'task.stride 1; ' in printed
  slid = evaluated(read_by(corpus, 'lstm', protocol), load(tmp_path).params)
  assert f'loss {slid["metrics"]["loss"]:.4g}' in printed
