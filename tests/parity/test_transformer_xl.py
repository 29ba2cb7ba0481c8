"""Transformer-XL against a float64 NumPy evaluation of the paper's terms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.transformer_xl import TransformerXL
from memjax.models.base import apply
from memjax.models.stack import Stack
from memjax.types import Features, Tokens

BATCH, WIDTH, HEADS = 2, 6, 2
HEAD_WIDTH = WIDTH // HEADS
WINDOW = 5


def softmax(x: np.ndarray) -> np.ndarray:
  e = np.exp(x - x.max())
  return e / e.sum()


def sinusoid(distance: int, width: int) -> np.ndarray:
  angle = [distance / 10_000 ** (2 * i / width) for i in range(width // 2)]
  return np.concatenate([np.sin(angle), np.cos(angle)])


def visible(
  t: int, first: int, reset: np.ndarray, memory: int, span: str
) -> list[int]:
  """What position t of a row sees; its segment begins at position `first`."""
  oldest = (t if span == 'fixed' else first) - memory
  run = max([s for s in range(t + 1) if reset[s]], default=0)
  return list(range(max(oldest, run), t + 1))


def attention(
  params: dict[str, Any],
  h: np.ndarray,
  reset: np.ndarray,
  firsts: list[int],
  *,
  heads: int,
  memory: int,
  span: str = 'fixed',
  clamp: int = 0,
) -> np.ndarray:
  """One row, `(T, D)`, term by term. `firsts[t]` begins t's segment."""
  length, width = h.shape
  k = params['output']['kernel'].shape[0] // heads
  y = np.zeros((length, heads * k))
  for t in range(length):
    for head in range(heads):
      part = slice(head * k, (head + 1) * k)
      of_query = params['query']['kernel'][:, part]
      of_key, of_place = params['key'][:, part], params['position'][:, part]
      u, v = params['u'][part], params['v'][part]
      seen = visible(t, firsts[t], reset, memory, span)
      scores = []
      for s in seen:
        distance = min(t - s, clamp) if clamp else t - s
        query, key = h[t] @ of_query, h[s] @ of_key
        place = sinusoid(distance, width) @ of_place
        a, b, c, d = query @ key, query @ place, u @ key, v @ place
        scores.append((a + b + c + d) / np.sqrt(k))
      weights = softmax(np.array(scores))
      values = np.stack([h[s] @ params['value'][:, part] for s in seen])
      y[t, part] = weights @ values
  return y @ params['output']['kernel']


def layer_norm(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
  return x * p['scale'] + p['bias']


def dense(p: dict[str, Any], x: Any) -> Any:
  return x @ p['kernel'] + p['bias']


def float64(tree: Any) -> Any:
  return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def inputs(length: int) -> tuple[jax.Array, jax.Array]:
  """One row with resets, one without."""
  rng = np.random.default_rng(length)
  x_BTD = rng.normal(size=(BATCH, length, WIDTH)).astype(np.float32)
  reset_BT = np.zeros((BATCH, length), bool)
  reset_BT[0, [0, length // 4, length // 4 + 1, length // 2]] = True
  return jnp.asarray(x_BTD), jnp.asarray(reset_BT)


def params_of(model: Any, x: jax.Array, reset_BT: jax.Array) -> Any:
  """Parameters so large that every term matters."""
  rng = np.random.default_rng(1)
  carry = model.initial_carry(BATCH)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset_BT)
  return jax.tree.map(
    lambda p: jnp.asarray(np.float32(0.6 * rng.normal(size=p.shape))),
    shapes['params'],
  )


def in_pieces(
  model: Any, params: Any, x: Any, reset_BT: Any, sizes: list[int]
) -> np.ndarray:
  carry, at, ys = model.initial_carry(BATCH), 0, []
  apply = jax.jit(lambda *args: model.apply({'params': params}, *args))
  for size in sizes:
    piece = slice(at, at + size)
    carry, y = apply(carry, x[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
    at += size
  assert at == x.shape[1]
  return np.concatenate(ys, axis=1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('span', ['fixed', 'segment'])
@pytest.mark.parametrize(
  ('memory', 'sizes'),
  [
    (5, [13]),
    (5, [2] * 6),
    (3, [7, 7, 6]),
    (20, [4, 4, 4]),
    (4, [9, 1, 1, 9, 1]),
    (0, [6, 1, 5]),
  ],
)
def test_layer_equals_the_papers_terms(
  memory: int, sizes: list[int], span: str
) -> None:
  x_BTD, reset_BT = inputs(sum(sizes))
  model = TransformerXL(WIDTH, HEAD_WIDTH, memory, span)
  params = params_of(model, x_BTD, reset_BT)
  firsts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
  expected = [
    attention(
      float64(params),
      float64(x),
      np.asarray(reset),
      firsts.tolist(),
      heads=HEADS,
      memory=memory,
      span=span,
    )
    for x, reset in zip(x_BTD, reset_BT, strict=True)
  ]
  y = in_pieces(model, params, x_BTD, reset_BT, sizes)
  np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


def test_heads_may_be_wider_together_than_the_layer() -> None:
  x_BTD, reset_BT = inputs(12)
  model = TransformerXL(WIDTH, 4, 3)
  params = params_of(model, x_BTD, reset_BT)
  expected = [
    attention(
      float64(params),
      float64(x),
      np.asarray(reset),
      [0] * 12,
      heads=2,
      memory=3,
    )
    for x, reset in zip(x_BTD, reset_BT, strict=True)
  ]
  for sizes in ([12], [7, 1, 1, 3]):
    y = in_pieces(model, params, x_BTD, reset_BT, sizes)
    np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


def test_chunks_of_a_long_segment_change_nothing() -> None:
  length, memory = 150, 3
  x_BTD, reset_BT = inputs(length)
  model = TransformerXL(WIDTH, HEAD_WIDTH, memory, clamp=2)
  params = params_of(model, x_BTD, reset_BT)
  expected = [
    attention(
      float64(params),
      float64(x),
      np.asarray(reset),
      [0] * length,
      heads=HEADS,
      memory=memory,
      clamp=2,
    )
    for x, reset in zip(x_BTD, reset_BT, strict=True)
  ]
  y = in_pieces(model, params, x_BTD, reset_BT, [length])
  np.testing.assert_allclose(y, np.stack(expected), atol=2e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[11], [4, 4, 1, 1, 1]])
def test_two_layers_with_norms_and_mlp_equal_numpy(sizes: list[int]) -> None:
  length, memory = sum(sizes), 4
  model = Stack(
    Tokens(7),
    Tokens(5),
    WIDTH,
    TransformerXL(WIDTH, HEAD_WIDTH, memory),
    depth=2,
    wiring='post_norm',
    mlp=1.5,
    activation='relu',
  )
  tokens_BT = jnp.asarray(
    np.random.default_rng(0).integers(0, 7, (BATCH, length)), jnp.int32
  )
  reset_BT = inputs(length)[1]
  params = params_of(model, tokens_BT, reset_BT)
  p = float64(params)
  expected = []
  for tokens, reset in zip(tokens_BT, reset_BT, strict=True):
    h = p['encoder']['embedding']['embedding'][np.asarray(tokens)]
    for i in range(2):
      layer = p[f'layer_{i}']
      (name,) = layer.keys() - {'memory_norm', 'mlp_norm', 'mlp_in', 'mlp_out'}
      a = attention(
        layer[name],
        h,
        np.asarray(reset),
        [0] * length,
        heads=HEADS,
        memory=memory,
      )
      h = layer_norm(layer['memory_norm'], h + a)
      m = np.maximum(dense(layer['mlp_in'], h), 0)
      m = dense(layer['mlp_out'], m)
      h = layer_norm(layer['mlp_norm'], h + m)
    expected.append(dense(p['readout'], h))
  y = in_pieces(model, params, tokens_BT, reset_BT, sizes)
  np.testing.assert_allclose(y, np.stack(expected), atol=5e-5)


def naive(params: Any, h_BSD: jax.Array, length: int, memory: int) -> jax.Array:
  """The layer with every S x S array in memory: gathers, no shift, no fold."""
  k = WIDTH // HEADS
  heads = lambda w: w.reshape(WIDTH, HEADS, k)  # noqa: E731
  size = h_BSD.shape[1]
  distance = np.arange(size)[:, None] - np.arange(size)[None]
  table = np.stack([sinusoid(d, WIDTH) for d in range(size)])
  place = jnp.asarray(table[np.maximum(distance, 0)], h_BSD.dtype)
  q = jnp.einsum('btd,dhk->bthk', h_BSD, heads(params['query']['kernel']))
  keys = jnp.einsum('bsd,dhk->bshk', h_BSD, heads(params['key']))
  places = jnp.einsum('tsd,dhk->tshk', place, heads(params['position']))
  values = jnp.einsum('bsd,dhk->bshk', h_BSD, heads(params['value']))
  u, v = (params[n].reshape(1, 1, HEADS, k) for n in 'uv')
  scores = jnp.einsum('bthk,bshk->bhts', q + u, keys)
  scores += jnp.einsum('bthk,tshk->bhts', q + v, places)
  seen = (distance >= 0) & (distance <= memory)
  weights = jax.nn.softmax(
    jnp.where(seen[None, None], scores / np.sqrt(k), -jnp.inf), axis=-1
  )
  y = jnp.einsum('bhts,bshk->bthk', weights, values).reshape(h_BSD.shape)
  return (y @ params['output']['kernel'])[:, -length:]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('length', [8, 1, 140])
def test_gradients_equal_the_naive_layers(length: int) -> None:
  memory = 5
  model = TransformerXL(WIDTH, HEAD_WIDTH, memory)
  h_BSD, _ = inputs(memory + length)
  reset_BT = jnp.zeros((BATCH, length), bool)
  params = params_of(model, h_BSD[:, -length:], reset_BT)
  target = jax.random.normal(jax.random.key(3), (BATCH, length, WIDTH))

  def ours(params: Any, h_BSD: jax.Array) -> jax.Array:
    count_B = jnp.full((BATCH,), memory, jnp.int32)
    carry = model.initial_carry(BATCH)._replace(
      x_BMD=h_BSD[:, :memory], count_B=count_B
    )
    _, y = apply(model, params, carry, h_BSD[:, memory:], reset_BT)
    return (y * target).sum()

  def theirs(params: Any, h_BSD: jax.Array) -> jax.Array:
    return (naive(params, h_BSD, length, memory) * target).sum()

  got = jax.jit(jax.grad(ours, argnums=(0, 1)))(params, h_BSD)
  expected = jax.jit(jax.grad(theirs, argnums=(0, 1)))(params, h_BSD)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    got,
    expected,
  )
  assert np.abs(got[1][:, :memory]).max() > 0  # through the memory's rows


def norm_of(p: Any, x: jax.Array, epsilon: float) -> jax.Array:
  x = x - x.mean(-1, keepdims=True)
  x = x / jnp.sqrt((x**2).mean(-1, keepdims=True) + epsilon)
  return x * p['scale'] + p['bias']


def pre_norm_stack(
  p: Any, x: Any, memories: list[jax.Array], epsilon: float
) -> tuple[Any, list[jax.Array]]:
  """Two layers without a last norm; each keeps what it read, not normed."""
  after = []
  for i, memory in enumerate(memories):
    layer, length = p[f'layer_{i}'], x.shape[1]
    rows_BSD = jnp.concatenate([memory, x], axis=1)
    after.append(jax.lax.stop_gradient(rows_BSD[:, -WINDOW:]))
    h_BSD = norm_of(layer['memory']['norm'], rows_BSD, epsilon)
    x = x + naive(layer['memory'], h_BSD, length, WINDOW)
    hidden = norm_of(layer['mlp_norm'], x, epsilon)
    hidden = jax.nn.relu(dense(layer['mlp_in'], hidden))
    x = x + dense(layer['mlp_out'], hidden)
  return dense(p['readout'], x), after


@pytest.mark.slow
def test_pre_norm_gradients_over_segments_equal_the_originals() -> None:
  """The memory is raw and normed anew: its norm learns from every segment."""
  model = Stack(
    Features(WIDTH),
    Features(WIDTH),
    WIDTH,
    TransformerXL(WIDTH, HEAD_WIDTH, WINDOW),
    depth=2,
    mlp=1.5,
    activation='relu',
    epsilon=1e-2,
    final_norm=False,
  )
  x_BTD, _ = inputs(4 * WINDOW)
  segments = jnp.split(x_BTD, 4, axis=1)
  reset_BT = jnp.zeros((BATCH, WINDOW), bool)
  params = params_of(model, segments[0], reset_BT)
  target = np.random.default_rng(2).normal(size=(BATCH, WINDOW, WIDTH))

  @jax.jit
  @jax.grad
  def ours(params: Any) -> Any:
    carry, loss = model.initial_carry(BATCH), jnp.zeros(())
    for segment in segments:
      carry, y = apply(model, params, carry, segment, reset_BT)
      carry = jax.lax.stop_gradient(carry)
      loss += (y * jnp.asarray(target, jnp.float32)).sum()
    return loss

  def theirs(params: Any) -> Any:
    memories = [jnp.zeros((BATCH, 0, WIDTH))] * 2
    loss = jnp.zeros(())
    for segment in np.asarray(segments, np.float64):
      x = dense(params['encoder']['linear'], jnp.asarray(segment))
      y, memories = pre_norm_stack(params, x, memories, 1e-2)
      loss += (y * target).sum()
    return loss

  got = ours(params)
  with jax.enable_x64(True), jax.numpy_rank_promotion('allow'):
    expected = jax.jit(jax.grad(theirs))(float64(params))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3),
    got,
    expected,
  )


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'head_width': 0}, 'head_width: 0: must be at least 1'),
    ({'width': 7}, 'width: 7: must be even'),
    ({'window': -1}, 'window: -1: must be at least 0'),
    ({'clamp': -1}, 'clamp: -1: must be at least 0'),
    (
      {'norm': 'batch'},
      "norm: 'batch': must be '' or one of layer, rms, rms_offset",
    ),
    ({'epsilon': 0.0}, 'epsilon: 0.0: must be above 0'),
    ({'span': 'all'}, "span: 'all': must be one of fixed, segment"),
  ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], line: str) -> None:
  with pytest.raises(ConfigError) as error:
    TransformerXL(**{'width': 6, 'head_width': 3, 'window': 3} | fields)
  assert str(error.value) == line
