"""The Transformer's attention against a float64 NumPy evaluation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.transformer import (
  BlockAttention,
  SlidingAttention,
)
from memjax.models.attention.transformer_xl import TransformerXL
from memjax.models.stack import Stack
from memjax.types import Tokens
from tests.parity.layers import initial

WIDTH, HEADS, LENGTH = 6, 2, 15
HEAD_WIDTH = WIDTH // HEADS


def gpt_attention(
  params: dict[str, Any],
  x: np.ndarray,
  seen: list[range],
  heads: int = HEADS,
) -> np.ndarray:
  """One row; position t sees the positions `seen[t]`."""
  k = params['output']['kernel'].shape[0] // heads
  qkv = x @ params['qkv']['kernel'] + params['qkv']['bias']
  query, key, value = np.split(qkv, 3, axis=1)
  y = np.zeros((len(x), heads * k))
  for t, positions in enumerate(seen):
    for part in (slice(i * k, (i + 1) * k) for i in range(heads)):
      scores = key[positions, part] @ query[t, part] / np.sqrt(k)
      weights = np.exp(scores - scores.max())
      y[t, part] = (weights / weights.sum()) @ value[positions, part]
  return y @ params['output']['kernel'] + params['output']['bias']


def contexts(reset_T: np.ndarray, context: int) -> list[range]:
  """The positions that each step sees when blocks have this many tokens."""
  seen, begin = [], 0
  for t, reset in enumerate(reset_T):
    if reset or t - begin == context:
      begin = t
    seen.append(range(begin, t + 1))
  return seen


def windows(reset_T: np.ndarray, window: int) -> list[range]:
  """What a sliding window sees."""
  seen, begin = [], 0
  for t, reset in enumerate(reset_T):
    begin = t if reset else begin
    seen.append(range(max(begin, t - window), t + 1))
  return seen


RESETS_BT = np.zeros((2, LENGTH), bool)
RESETS_BT[0, [0, 4, 5, 11]] = True


def random_params(model: Any, x: jax.Array) -> Any:
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(
    model.init,
    jax.random.key(0),
    model.initial_carry(2),
    x,
    jnp.asarray(RESETS_BT),
  )
  return jax.tree.map(
    lambda p: jnp.asarray(0.6 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def in_pieces(
  model: Any, params: Any, x: jax.Array, sizes: list[int]
) -> np.ndarray:
  carry, at, ys = model.initial_carry(2), 0, []
  apply = jax.jit(lambda *args: model.apply({'params': params}, *args))
  for size in sizes:
    piece = slice(at, at + size)
    carry, y = apply(carry, x[:, piece], jnp.asarray(RESETS_BT)[:, piece])
    ys.append(np.asarray(y))
    at += size
  assert at == LENGTH
  return np.concatenate(ys, axis=1)


def float64(tree: Any) -> Any:
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize('sizes', [[15], [4, 4, 4, 1, 1, 1]])
@pytest.mark.parametrize('reach', [0, 1, 3, 20])
@pytest.mark.parametrize('kind', [BlockAttention, SlidingAttention])
def test_layer_equals_numpy(kind: Any, reach: int, sizes: list[int]) -> None:
  causal = kind is BlockAttention
  model = kind(WIDTH, HEAD_WIDTH, reach + 1 if causal else reach)
  x_BTD = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))
  params = random_params(model, x_BTD)
  p = float64(params)
  expected = [
    gpt_attention(
      p, x, contexts(reset, reach + 1) if causal else windows(reset, reach)
    )
    for x, reset in zip(float64(x_BTD), RESETS_BT, strict=True)
  ]
  y = in_pieces(model, params, x_BTD, sizes)
  np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(('head_width', 'heads'), [(4, 2), (8, 1), (1, 6)])
def test_heads_cover_the_width(head_width: int, heads: int) -> None:
  """Their joint width is more than D where the head width does not divide D."""
  model = SlidingAttention(WIDTH, head_width, 3)
  x_BTD = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))
  params = random_params(model, x_BTD)
  assert params['qkv']['kernel'].shape == (WIDTH, 3 * heads * head_width)
  expected = [
    gpt_attention(float64(params), x, windows(reset, 3), heads)
    for x, reset in zip(float64(x_BTD), RESETS_BT, strict=True)
  ]
  y = in_pieces(model, params, x_BTD, [9, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[15], [6, 1, 8]])
def test_positions_restart_with_each_block(sizes: list[int]) -> None:
  context = 4
  layer = BlockAttention(WIDTH, HEAD_WIDTH, context)
  model = Stack(
    Tokens(7), Tokens(3), WIDTH, layer, wiring='plain', positions='learned'
  )
  tokens_BT = jax.random.randint(jax.random.key(0), (2, LENGTH), 0, 7)
  params = random_params(model, tokens_BT)
  p = float64(params)
  expected = []
  for tokens, reset in zip(np.asarray(tokens_BT), RESETS_BT, strict=True):
    seen = contexts(reset, context)
    place = [t - positions[0] for t, positions in enumerate(seen)]
    x = p['encoder']['embedding']['embedding'][tokens]
    x = x + p['positions']['table']['embedding'][place]
    (name,) = p['layer_0']
    y = gpt_attention(p['layer_0'][name], x, seen)
    expected.append(y @ p['readout']['kernel'] + p['readout']['bias'])
  y = in_pieces(model, params, tokens_BT, sizes)
  np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


def test_positions_start_as_large_as_tokens() -> None:
  """Smaller ones make a model learn late to attend to the previous step."""
  layer = BlockAttention(64, 64, 512)
  model = Stack(Tokens(512), Tokens(3), 64, layer, positions='learned')
  tokens_BT, reset_BT = jnp.zeros((1, 8), int), jnp.zeros((1, 8), bool)
  carry = model.initial_carry(1)
  params = initial(model, carry, tokens_BT, reset_BT)
  tokens = params['encoder']['embedding']['embedding']
  places = params['positions']['table']['embedding']
  np.testing.assert_allclose(places.std(), tokens.std(), rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize('length', [1, LENGTH])
@pytest.mark.parametrize(
  'model',
  [
    BlockAttention(WIDTH, HEAD_WIDTH, 4),
    SlidingAttention(WIDTH, HEAD_WIDTH, 4),
    TransformerXL(WIDTH, HEAD_WIDTH, 4),
  ],
  ids=lambda model: type(model).__name__,
)
def test_bfloat16_in_and_out_and_a_float32_carry(
  model: Any, length: int
) -> None:
  x_BTD = jax.random.normal(jax.random.key(0), (2, length, WIDTH))
  params = random_params(model, jnp.zeros((2, LENGTH, WIDTH)))
  reset_BT = jnp.asarray(RESETS_BT[:, :length])

  @jax.jit
  def run(params: Any, x: jax.Array) -> Any:
    def loss(params: Any) -> Any:
      carry = model.initial_carry(2)
      carry, y = model.apply({'params': params}, carry, x, reset_BT)
      return y.astype(jnp.float32).sum(), (carry, y)

    return jax.grad(loss, has_aux=True)(params)

  half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
  grads, (carry, y) = run(half, x_BTD.astype(jnp.bfloat16))
  _, (_, expected) = run(params, x_BTD)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype(jnp.float32), expected, atol=0.1)
  floats = [leaf for leaf in carry if leaf.ndim > 1]
  assert all(leaf.dtype == jnp.float32 for leaf in floats)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


@pytest.mark.parametrize(
  ('kind', 'fields', 'line'),
  [
    (BlockAttention, (6, 0, 3), 'head_width: 0: must be at least 1'),
    (SlidingAttention, (0, 3, 3), 'width: 0: must be at least 1'),
    (BlockAttention, (6, 2, 0), 'window: 0: must be at least 1'),
    (SlidingAttention, (6, 2, -1), 'window: -1: must be at least 0'),
  ],
)
def test_wrong_fields_are_refused(kind: Any, fields: tuple, line: str) -> None:
  with pytest.raises(ConfigError) as error:
    kind(*fields)
  assert str(error.value) == line


class Option(NamedTuple):
  """Fields of an attention with four heads, and what they come to."""

  fields: dict[str, Any]
  key_heads: int = 4


ROTARY = {'positions': 'rotary', 'rotary_share': 0.5, 'rotary_base': 100.0}
OPTIONS = {
  'heads share keys': Option({'key_heads': 2}, key_heads=2),
  'turned by places': Option(ROTARY),
  'vectors of distances': Option({'positions': 'shaw', 'clip': 3}),
  'norms of queries and keys': Option({'qk_norm': True}),
  'heads forget': Option({'forget': True}),
  'heads see nothing': Option({'sinks': True}),
  'a gate': Option({'gate': True}),
  'all': Option(
    {'forget': True, 'sinks': True, 'gate': True, 'qk_norm': True}
    | {'key_heads': 1}
    | ROTARY,
    key_heads=1,
  ),
}


def rms(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p['scale']


def sigmoid(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def affine(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  return x @ p['kernel'] + p['bias']


def turned(x_SK: np.ndarray, places: np.ndarray) -> np.ndarray:
  """The first four of eight channels as two complex numbers, turned."""
  z = x_SK[:, :2] + 1j * x_SK[:, 2:4]
  z = z * np.exp(1j * places[:, None] * 100.0 ** -np.array([0, 0.5]))
  return np.concatenate([z.real, z.imag, x_SK[:, 4:]], axis=1)


def full_attention(
  p: dict[str, Any], x: np.ndarray, seen: list[range], option: Option
) -> np.ndarray:
  """One row in float64; each option where its paper has it."""
  fields, width, shared = option.fields, 8, option.key_heads
  qkv = affine(p['qkv'], x).reshape(len(x), -1, width)
  q, k, v = np.split(qkv, [4, 4 + shared], axis=1)
  if fields.get('qk_norm'):
    q, k = rms(p['query_norm'], q), rms(p['key_norm'], k)
  places = np.arange(100, 100 + len(x))  # any origin does
  y = np.zeros((len(x), 4, width))
  for h in range(4):
    g = h * shared // 4
    of_q, of_k = q[:, h], k[:, g]
    if fields.get('positions') == 'rotary':
      of_q, of_k = turned(of_q, places), turned(of_k, places)
    for t, positions in enumerate(seen):
      scores = of_k[positions] @ of_q[t]
      if fields.get('positions') == 'shaw':
        lags = [min(t - s, fields['clip']) for s in positions]
        scores = scores + p['distance'][lags] @ of_q[t]
      scores = scores / np.sqrt(width)
      if fields.get('forget'):
        log_f = np.log(sigmoid(affine(p['forget'], x)[:, h]))
        scores = scores + [log_f[s + 1 : t + 1].sum() for s in positions]
      weights = np.exp(scores)
      total = weights.sum()
      if fields.get('sinks'):
        total += np.exp(p['sink'][h])
      y[t, h] = weights @ v[positions, g] / total
  seen_by_heads = y.reshape(len(x), -1)
  if fields.get('gate'):
    seen_by_heads = seen_by_heads * sigmoid(affine(p['gate'], x))
  return affine(p['output'], seen_by_heads)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('name', OPTIONS)
def test_options_equal_their_papers(name: str) -> None:
  option = OPTIONS[name]
  model = SlidingAttention(32, 8, 5, **option.fields)
  x_BTD = jax.random.normal(jax.random.key(0), (2, LENGTH, 32))
  params = random_params(model, x_BTD)
  params = jax.tree.map(lambda p: p / 2 if p.ndim == 2 else p, params)
  expected = [
    full_attention(float64(params), x, windows(reset, 5), option)
    for x, reset in zip(float64(x_BTD), RESETS_BT, strict=True)
  ]
  y = in_pieces(model, params, x_BTD, [6, 1, 8])
  np.testing.assert_allclose(y, np.stack(expected), atol=1e-4)


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'key_heads': 4}, 'key_heads: 4: must be 0 or divide the number of'),
    ({'positions': 'alibi'}, "positions: 'alibi': must be one of none, rotary"),
    ({'rotary_share': 0.0}, r'rotary_share: 0.0: must be in \(0, 1\]'),
    ({'head_width': 1}, 'head_width: 1: must be at least 2 to be turned'),
    ({'rotary_base': 1.0}, 'rotary_base: 1.0: must be above 1'),
    ({'clip': 0}, 'clip: 0: must be at least 1'),
  ],
)
def test_wrong_options_are_refused(fields: dict[str, Any], line: str) -> None:
  fields = dict[str, Any](head_width=4, positions='rotary') | fields
  with pytest.raises(ConfigError, match=f'^{line}'):
    SlidingAttention(width=12, window=3, **fields)
