"""Encoder and decoder against a float64 NumPy loop over steps and sources."""

from collections.abc import Callable
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.weightings import weightings
from memjax.config.build import build_model
from memjax.config.reader import read_experiment
from memjax.configs import pairs
from memjax.errors import ConfigError
from memjax.models.base import Model, apply
from memjax.ops import cross_attention
from memjax.types import Tokens

WIDTH, VOCAB, SEPARATOR, SLOTS = 4, 7, 5, 4
IDS = np.array(
  [
    [1, 2, 5, 3, 4, 5, 1, 5, 2, 2, 1, 3, 4, 6, 2, 5, 1, 3, 1],
    [3, 5, 1, 1, 2, 3, 0, 4, 5, 5, 6, 2, 5, 2, 1, 5, 0, 0, 5],
  ]
)
RESETS = np.zeros(IDS.shape, bool)
RESETS[0, [0, 4, 7, 8]] = True  # one run begins with its separator
RESETS[1, [3, 13]] = True
GRU = {'name': 'gru.GRU'}
BOTH = {'name': 'bidirectional.Bidirectional', 'layer': GRU}


def built(attention: str, **fields: Any) -> Model:
  spec = {
    'name': 'encoder_decoder.EncoderDecoder',
    'width': WIDTH,
    'encoder_layer': GRU if attention == 'none' else BOTH,
    'layer': GRU,
    'attention': attention,
    'source_length': SLOTS,
  }
  return build_model(spec | fields, Tokens(VOCAB, SEPARATOR), Tokens(3))


def params_of(model: Model) -> Any:
  """Normal ones of a size at which every term counts."""
  rng = np.random.default_rng(0)
  arguments = model.initial_carry(1), IDS[:1], RESETS[:1]
  shapes = jax.eval_shape(model.init, jax.random.key(0), *arguments)
  return jax.tree.map(
    lambda p: jnp.asarray(0.7 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def gru(p: Any, h: np.ndarray, x: np.ndarray) -> np.ndarray:
  p = p['cell']
  z, q = x @ p['input_kernel'], h @ p['recurrent_kernel']
  b = np.split(p['bias'], 4)
  z, q = np.split(z, 3), np.split(q, 3)
  r, u = (1 / (1 + np.exp(-(z[i] + q[i] + b[i]))) for i in (0, 1))
  n = np.tanh(z[2] + b[2] + r * (q[2] + b[3]))
  return (1 - u) * n + u * h


def states(p: Any, xs: list[np.ndarray]) -> list[np.ndarray]:
  """The states of a GRU that reads these inputs."""
  h, found = np.zeros(WIDTH), []
  for x in xs:
    h = gru(p, h, x)
    found.append(h)
  return found


def both_ways(p: Any, xs: list[np.ndarray]) -> list[np.ndarray]:
  ahead, behind = (
    states(p['forward'], xs),
    states(p['backward'], xs[::-1])[::-1],
  )
  out = p['output']
  return [
    np.concatenate(pair) @ out['kernel'] + out['bias']
    for pair in zip(ahead, behind, strict=True)
  ]


def additive(p: Any, h: np.ndarray, e: np.ndarray) -> float:
  return np.tanh(h @ p['query']['kernel'] + e @ p['key']['kernel']) @ p['v']


def dot(p: Any, h: np.ndarray, e: np.ndarray) -> float:
  del p
  return h @ e


Score = Callable[[Any, np.ndarray, np.ndarray], float]


def attended(
  p: Any, score: Score, ids: np.ndarray, resets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """One row: outputs, and the shares of the slots."""
  table, memory = p['encoder']['embedding']['embedding'], 'layer_0'
  source: list[np.ndarray] = []
  encoded: list[np.ndarray] = []
  answering, h, ys, shares = False, np.zeros(WIDTH), [], []
  for i, anew in zip(ids, resets, strict=True):
    if anew:
      source, encoded, answering, h = [], [], False, np.zeros(WIDTH)
    if i == SEPARATOR and not answering:
      answering, h = True, np.zeros(WIDTH)
      encoded = both_ways(p['source'][memory]['memory'], source[-SLOTS:])
    if not answering:
      source.append(table[i])
    h = gru(p['decoder'][memory]['memory'], h, table[i])
    a = np.exp([score(p['attention'], h, e) for e in encoded])
    a = a / a.sum()
    o = sum((w * e for w, e in zip(a, encoded, strict=True)), np.zeros(WIDTH))
    y = np.tanh(np.concatenate([o, h]) @ p['attention']['merge']['kernel'])
    ys.append(y @ p['readout']['kernel'] + p['readout']['bias'])
    shares.append(np.concatenate([np.zeros(SLOTS - len(a)), a]))
  return np.stack(ys), np.stack(shares)


def handed_over(
  p: Any, ids: np.ndarray, resets: np.ndarray
) -> tuple[np.ndarray, None]:
  """One row with attention 'none': the outputs."""
  table, both = p['encoder']['embedding']['embedding'], p['both']
  name, h, ys = 'source', np.zeros(WIDTH), []
  for i, anew in zip(ids, resets, strict=True):
    if anew:
      name, h = 'source', np.zeros(WIDTH)
    if i == SEPARATOR:
      name = 'decoder'
    h = gru(both[name]['layer_0']['memory'], h, table[i])
    ys.append(h @ p['readout']['kernel'] + p['readout']['bias'])
  return np.stack(ys), None


LOOPS: dict[str, Callable[..., tuple[np.ndarray, Any]]] = {
  'none': handed_over,
  'additive': lambda p, *row: attended(p, additive, *row),
  'dot': lambda p, *row: attended(p, dot, *row),
}


@functools.cache
def read(attention: str) -> tuple[np.ndarray, Any]:
  """The outputs of both rows, and the shares of the slots."""
  model = built(attention)
  arguments = model.initial_carry(2), jnp.asarray(IDS), jnp.asarray(RESETS)
  run = jax.jit(lambda p: model.apply(p, *arguments, mutable='intermediates'))
  (_, y), shown = run({'params': params_of(model)})
  leaves = jax.tree.leaves(shown)
  return np.asarray(y), leaves[0][:, :, 0] if leaves else None


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('attention', LOOPS)
def test_outputs_and_weights_are_those_of_the_equations(attention: str) -> None:
  params = params_of(built(attention))
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  y, shares = read(attention)
  for row in range(2):
    expected, slots = LOOPS[attention](p, IDS[row], RESETS[row])
    np.testing.assert_allclose(y[row], expected, 2e-5, 2e-5)
    if slots is not None:
      np.testing.assert_allclose(shares[row], slots, 2e-5, 2e-5)


@pytest.mark.slow
def test_the_picture_of_weightings_is_the_alignment() -> None:
  model = built('additive')
  row = np.asarray(IDS[0], np.int32), RESETS[0]
  found = weightings(model, params_of(model), *row).weights
  _, shares = read('additive')
  assert found.keys() == {'attention/read_weights'}
  shown = found['attention/read_weights'][:, 0]
  np.testing.assert_allclose(shown, shares[0], 1e-5, 1e-6)


@pytest.mark.slow
def test_chunks_of_queries_change_nothing(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  expected, _ = read('additive')
  monkeypatch.setattr(cross_attention, 'MOST', 1000)
  model = built('additive')
  arguments = model.initial_carry(2), jnp.asarray(IDS), jnp.asarray(RESETS)
  y = jax.jit(lambda p: apply(model, p, *arguments)[1])(params_of(model))
  np.testing.assert_allclose(y, expected, 1e-5, 1e-5)


def test_a_source_is_encoded_once() -> None:
  """After the separator, the encoder's parameters change nothing."""
  model, none = built('dot'), jnp.zeros((1, 1), bool)
  params = params_of(model)
  step = jax.jit(functools.partial(apply, model))
  carry = model.initial_carry(1)
  for i in (1, 2, 3, SEPARATOR):
    carry, _ = step(params, carry, jnp.full((1, 1), i), none)
  other = params | {'source': jax.tree.map(jnp.zeros_like, params['source'])}
  ys = [step(p, carry, jnp.full((1, 1), 2), none)[1] for p in (params, other)]
  np.testing.assert_array_equal(*ys)


LSTM = {'name': 'lstm.LSTM'}


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'attention': 'sum'}, 'must be one of none, additive, dot'),
    ({'encoder_layer': LSTM}, 'LSTM.*has another carry than layer, GRU'),
    ({'encoder_layer': BOTH}, 'encoder_layer.name.*Bidirectional.*reads ahead'),
    ({'source_length': 0}, 'source_length: 0: must be at least 1'),
  ],
)
def test_wrong_fields_are_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    built(**{'attention': 'none'} | fields)


def test_a_task_without_separators_is_refused() -> None:
  spec = {'name': 'encoder_decoder.EncoderDecoder', 'width': WIDTH}
  spec |= {'encoder_layer': GRU, 'layer': GRU}
  with pytest.raises(ConfigError, match='whose inputs have a separator'):
    build_model(spec, Tokens(VOCAB), Tokens(3))


def test_a_longer_source_is_refused(tmp_path: Path) -> None:
  path = tmp_path / 'pairs.jsonl'
  record = '{"source": "four", "target": "4", "split": "%s"}\n'
  path.write_text(record % 'train' + record % 'validation')
  config = pairs.get_config('dot,quick').to_dict()
  config['task'] |= {'corpus': 'files', 'path': str(path)}
  config['model']['source_length'] = 4
  assert read_experiment(config).model.longest_source == 4
  config['model']['source_length'] = 3
  with pytest.raises(ConfigError) as error:
    read_experiment(config)
  assert str(error.value) == (
    'model.source_length: 3: the task has a source of 4 steps, and the model '
    'reads no longer one than this'
  )
