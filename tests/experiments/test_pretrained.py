"""The study of imported models, on a small one with random weights."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.pretrained import changes, lags, reads, sentences
from memjax.analysis.attention_by_lag import LAG_WEIGHTS
from memjax.analysis.intermediates import look
from memjax.data.bpe import import_library
from memjax.data.characters import Bytes
from memjax.data.file_tokenizer import FileTokenizer
from memjax.models.attention.transformer import Cache
from memjax.models.base import apply, apply_body
from memjax.runs.load import Run
from tests.interop.small_models import golden, imported

SIZES = reads.Sizes(2, 20, 4, (4,), (2,))


def cache() -> Any:
  """Two rows of 6 slots, 5 of them filled; the newest key is 5."""
  k = jnp.arange(6.0).reshape(1, 6, 1, 1) + jnp.array([0, 10]).reshape(
    2, 1, 1, 1
  )
  return (Cache(k, -k, jnp.full(2, 5)),)


def keys(carry: Any) -> list[list[float]]:
  assert (carry[0].v_BMGK == -carry[0].k_BMGK).all()
  return carry[0].k_BMGK[..., 0, 0].tolist()


def test_changes_of_a_cache() -> None:
  assert changes.cut(cache(), 3)[0].count_B.tolist() == [3, 3]
  swapped = changes.swap(cache(), 1, 3)
  assert keys(swapped)[0] == [0, 1, 2, 13, 14, 5]
  assert keys(swapped)[1] == [10, 11, 12, 3, 4, 15]
  first = changes.keep_first(cache(), 1, 2)
  assert keys(first)[0][-3:] == [1, 4, 5]
  assert first[0].count_B.tolist() == [3, 3]
  rounded = changes.quantise_cache(cache(), 8, 0, 2)
  assert keys(rounded)[0] == pytest.approx([0, 1, 2, 3, 4, 5])


def test_rounding() -> None:
  x = jnp.array([[-7.0, 0.4, 3.6], [14.0, 1.2, 0.8]])
  np.testing.assert_allclose(
    changes.quantise(x, 4, -1), [[-7, 0, 4], [14, 2, 0]]
  )
  w = {'kernel': jnp.arange(64.0 * 3).reshape(64, 3), 'bias': jnp.ones(3) / 3}
  found = changes.quantise_weights(w, 4, 32)
  assert (found['bias'] == w['bias']).all()
  for half in (slice(0, 32), slice(32, 64)):
    part = w['kernel'][half]
    error = abs(found['kernel'][half] - part).max(0)
    assert (error <= part.max(0) / 14 + 1e-5).all()


def test_ages_end_at_the_oldest() -> None:
  assert reads.Sizes().ages == [0, 16, 32, 64, 128, 256, 512, 960]
  assert SIZES.ages == [0, 1, 2, 4, 8, 16]


@pytest.mark.slow
def test_the_reader_reads_as_the_model_does() -> None:
  model, params, _ = imported(golden('llama').pretrained)
  reader = reads.Reader(model, SIZES)
  ids = np.asarray(golden('llama').ids)[:, :19]
  _, nats, _ = reader.read(params, reader.start(), ids)
  start, never = model.initial_carry(2), jnp.zeros((2, 18), bool)
  _, y = apply(model, params, start, jnp.asarray(ids[:, :-1]), never)
  log_p = jax.nn.log_softmax(y)
  wanted = -np.take_along_axis(np.asarray(log_p), ids[:, 1:, None], -1)[..., 0]
  np.testing.assert_allclose(nats, wanted, atol=1e-4)


def test_needles_lie_where_they_are_said_to() -> None:
  sizes = reads.Sizes(2, 300, 60, (50, 120), ())
  rows = np.full((2, 301), ord('x'), np.int32)
  context, questions = reads.needles(rows, Bytes(), sizes)
  assert context.shape == (2, 241)
  for row in range(2):
    text = bytes(context[row].tolist()).decode()
    for i, distance in enumerate(sizes.distances):
      asked = bytes(questions[i][row].tolist()).decode()
      assert text[:-distance].endswith(f'{asked}.\n')
      assert reads.CITIES[i] in asked


@pytest.mark.slow
def test_every_table_is_made() -> None:
  model, params, _ = imported(golden('llama').pretrained)
  tokens = np.random.default_rng(0).integers(0, 48, 500)
  sizes = SIZES._replace(distances=(), windows=(2,))
  run: Any = Run({}, model, params, None, Bytes(), 0, {})
  tables = reads.study(run, tokens, sizes, lambda line: None)
  assert sorted(tables) == [
    *('cache', 'context', 'first 4 and newest', 'int4 by age', 'needles'),
    *('newest', 'swapped', 'weights', 'weights by context', 'window'),
  ]
  assert abs(tables['cache']['int8']['nats']) < 0.05
  assert tables['newest']['0']['error'] > 0


def test_attention_is_shared_out_over_bands() -> None:
  """Queries at places 6 and 7 look at all places alike."""
  weights = np.zeros((2, 8))
  weights[0, :7], weights[1, :8] = 1 / 7, 1 / 8
  found = lags.by_band(weights, 6, [0, 2, 4, 6])
  expected = {
    'first 4': (4 / 7 + 4 / 8) / 2,
    '0': (1 / 7 + 1 / 8) / 2,
    '1': (1 / 7 + 1 / 8) / 2,
    '2-3': (1 / 7 + 2 / 8) / 2,
    '4-7': 0,
  }
  assert found == pytest.approx(expected)


@pytest.mark.slow
def test_attention_of_a_model_is_shared_out_whole() -> None:
  model, params, _ = imported(golden('llama').pretrained)
  ids = np.tile(np.asarray(golden('llama').ids).ravel(), 3)
  found = lags.study(model, params, ids, SIZES)
  assert [*found] == ['0-0', '1-1']
  for shares in found.values():
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_weights_are_in_the_order_of_the_layers() -> None:
  model, params, _ = imported(golden('llama').pretrained)
  ids, start = np.asarray(golden('llama').ids), model.initial_carry(2)
  never = jnp.zeros(ids.shape, bool)
  _, _, shown = jax.jit(look, static_argnums=0)(
    model, params, start, jnp.asarray(ids), never
  )
  weights = lags.weights_of(model, params, start, ids)
  for number, weights_TR in enumerate(weights):
    (path,) = (
      path
      for path in shown
      if path.split('/')[0].endswith(f'_{number}')
      and path.endswith(LAG_WEIGHTS)
    )
    expected = np.asarray(shown[path]).mean((0, 2))
    np.testing.assert_allclose(weights_TR, expected, atol=1e-6)
  assert abs(weights[0] - weights[1]).max() > 1e-3


def test_ranks_of_documents() -> None:
  queries = np.eye(3)
  documents = np.array([[0.6, 0.8, 0], [0, 1, 0], [0, 0.6, -0.8]])
  found = sentences.ranks(queries, documents, np.eye(3))
  assert found.first == pytest.approx(2 / 3)
  assert found.reciprocal == pytest.approx((1 + 1 + 1 / 3) / 3)
  assert found.same == pytest.approx((0.6 + 1 - 0.8) / 3)


@pytest.mark.slow
def test_vectors_do_not_see_the_padding() -> None:
  model, params, _ = imported(golden('bert').pretrained)
  library = import_library('tokenizer', '')
  words = {f'w{i}': i for i in range(20)}
  tokenizer = library.Tokenizer(library.models.WordLevel(words, 'w0'))
  tokenizer.pre_tokenizer = library.pre_tokenizers.Whitespace()
  run: Any = SimpleNamespace(
    model=model, tokenizer=FileTokenizer(tokenizer.to_str())
  )
  texts = ['w3 w5 w7', 'w9 w2 w4 w1 w6 w8 w3']
  found = sentences.Encoder(run).vectors(params, texts, 4)
  for vector, ids in zip(found, ([3, 5, 7], [9, 2, 4, 1, 6, 8]), strict=True):
    read = jnp.array([ids]), jnp.zeros((1, len(ids)), bool)
    _, h = apply_body(model, params, model.initial_carry(1), *read)
    mean = np.asarray(h[0].mean(0))
    np.testing.assert_allclose(
      vector, mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-5
    )
