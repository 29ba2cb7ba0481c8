"""Sentence encoders against loops over words in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.encoder import Encoder
from memjax.models.recurrent.gru import GRU
from memjax.models.sentences import ENCODERS, bag_of_words, position_encoding
from memjax.models.stack import Stack
from memjax.types import Sentences, Tokens
from tests.parity.test_recurrent import numpy_step

VOCAB, LONGEST, WIDTH = 9, 4, 6
STORIES = np.array(
  [
    [[3, 1, 4, 1], [5, 8, 0, 0], [0, 0, 0, 0]],
    [[2, 0, 0, 0], [6, 5, 3, 0], [5, 6, 3, 0]],
  ],
  np.int32,
)


def bag(p: Any, e: list[np.ndarray]) -> np.ndarray:
  return sum(e, np.zeros(WIDTH))


def position(p: Any, e: list[np.ndarray]) -> np.ndarray:
  s = np.zeros(WIDTH)
  for j in range(1, len(e) + 1):
    for k in range(1, WIDTH + 1):
      paper = (1 - j / len(e)) - (k / WIDTH) * (1 - 2 * j / len(e))
      s[k - 1] += 2 * paper * e[j - 1][k - 1]
  return s


def mask(p: Any, e: list[np.ndarray]) -> np.ndarray:
  f = p['mask']['mask']
  return sum((f[j] * word for j, word in enumerate(e)), np.zeros(WIDTH))


def attention(p: Any, e: list[np.ndarray]) -> np.ndarray:
  p = p['attention']
  if not e:
    return np.zeros(WIDTH)

  def gru(name: str, e: list[np.ndarray]) -> list[np.ndarray]:
    states = [np.zeros(WIDTH // 2)]
    for word in e:
      states += numpy_step('gru', p[name]['cell'], [states[-1]], word)
    return states[1:]

  both = zip(gru('forward', e), gru('backward', e[::-1])[::-1], strict=True)
  h = [np.concatenate(pair) for pair in both]
  view = p['scores']['view']
  u = [np.tanh(v @ view['kernel'] + view['bias']) for v in h]
  weights = np.exp([v @ p['scores']['context'] for v in u])
  weights /= weights.sum()
  return sum(a * v for a, v in zip(weights, h, strict=True))


EXPECTED = {
  'bag': bag,
  'position': position,
  'mask': mask,
  'attention': attention,
}


def begun(kind: str) -> tuple[Callable[[Any], jax.Array], Any]:
  """What the encoder makes of the stories, and its parameters at the start."""
  model = Encoder(Sentences(VOCAB, LONGEST), WIDTH, kind)
  stories = jnp.asarray(STORIES)
  params = jax.jit(model.init)(jax.random.key(0), stories)['params']
  return jax.jit(lambda p: model.apply({'params': p}, stories)), params


def drawn(kind: str) -> tuple[Callable[[Any], jax.Array], Any]:
  """The same with parameters of such a size that each term counts."""
  encode, params = begun(kind)
  rng = np.random.default_rng(0)
  return encode, jax.tree.map(
    lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params
  )


def test_every_encoder_is_tested() -> None:
  assert EXPECTED.keys() == ENCODERS.keys()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('kind', EXPECTED)
def test_sentences_equal_loops_over_their_words(kind: str) -> None:
  encode, params = drawn(kind)
  s_BTD = encode(params)
  p = jax.tree.map(lambda v: np.asarray(v, np.float64), params)
  table = p['embedding']['embedding']
  for where in np.ndindex(STORIES.shape[:2]):
    words = [table[word] for word in STORIES[where] if word]
    expected = EXPECTED[kind](p, words)
    np.testing.assert_allclose(s_BTD[where], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('kind', EXPECTED)
def test_padding_says_nothing_and_learns_nothing(kind: str) -> None:
  encode, params = drawn(kind)
  table = params['embedding']['embedding']
  loud = params | {'embedding': {'embedding': table.at[0].set(100.0)}}

  def loss(params: Any) -> tuple[jax.Array, jax.Array]:
    s_BTD = encode(params)
    return jnp.sin(s_BTD).sum(), s_BTD

  (_, s_BTD), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(loud)
  np.testing.assert_array_equal(s_BTD, loss(params)[1])
  np.testing.assert_array_equal(grads['embedding']['embedding'][0], 0)
  for name, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all(), name
    assert np.abs(grad).max() > 0, name


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('kind', EXPECTED)
def test_a_sentence_without_words_makes_no_nan_on_the_way(kind: str) -> None:
  encode, params = drawn(kind)
  with jax.debug_nans(True), jax.disable_jit():
    encode(params)


@pytest.mark.parametrize('kind', ['position', 'mask', 'attention'])
def test_the_order_of_words_tells(kind: str) -> None:
  encode, params = drawn(kind)
  s_BTD = encode(params)
  assert np.abs(s_BTD[1, 1] - s_BTD[1, 2]).max() > 0.1


@pytest.mark.parametrize('kind', EXPECTED)
def test_the_parameters_type_is_the_compute_type(kind: str) -> None:
  encode, params = drawn(kind)
  half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
  s_BTD = encode(half)
  assert s_BTD.dtype == jnp.bfloat16
  expected = encode(params)
  np.testing.assert_allclose(s_BTD, expected, rtol=0.1, atol=0.1)


def test_a_mask_begins_as_a_bag_of_words() -> None:
  encode, params = begun('mask')
  words = params['embedding']['embedding'][STORIES]
  np.testing.assert_array_equal(
    encode(params), bag_of_words(words, jnp.asarray(STORIES != 0))
  )


def test_positions_count_the_words_that_are_there() -> None:
  words = jax.random.normal(jax.random.key(0), (LONGEST, WIDTH))
  present = jnp.array([True, False, True, False])
  np.testing.assert_allclose(
    position_encoding(words, present),
    position_encoding(words[present], jnp.array([True, True])),
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  ('width', 'sentences', 'line'),
  [
    (4, 'bags', 'sentences: .*: must be one of bag, position, mask, attention'),
    (5, 'attention', "width: 5: must be even for sentences 'attention'"),
  ],
)
def test_a_bad_field_is_named(width: int, sentences: str, line: str) -> None:
  spec = Sentences(VOCAB, LONGEST)
  with pytest.raises(ConfigError, match=f'^{line}$'):
    Stack(spec, Tokens(5), width, GRU(width), sentences=sentences)
  Stack(Tokens(VOCAB), Tokens(5), 5, GRU(5), sentences='attention')
