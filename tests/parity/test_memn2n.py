"""The end-to-end memory network against the paper's sums, memory by memory."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.models.networks.memn2n import MemN2N
from memjax.types import Features, Sentences, Spec, Tokens

BATCH, LENGTH, WIDTH, VOCAB, QUESTION = 2, 14, 5, 7, 6
SPECS: dict[str, Spec] = {
  'position': Sentences(VOCAB, 4, QUESTION),
  'bag': Sentences(VOCAB, 4, QUESTION),
  'all stored': Sentences(VOCAB, 4),
  'tokens': Tokens(VOCAB),
  'features': Features(3),
}


def encode(x: Any, table: np.ndarray, kind: str) -> np.ndarray:
  """One step's embedding, word by word."""
  if kind == 'tokens':
    return table[x]
  if kind == 'features':
    return np.asarray(x, np.float64) @ table
  words = [word for word in x if word != 0]
  total = np.zeros(WIDTH)
  for j, word in enumerate(words, start=1):
    for k in range(1, WIDTH + 1):
      part = j / len(words)
      weight = 1 + 4 * (part - 0.5) * (k / WIDTH - 0.5)
      total[k - 1] += (1 if kind == 'bag' else weight) * table[word][k - 1]
  return total


def memories(
  kind: str, x: np.ndarray, reset: np.ndarray, t: int, blank: int
) -> list[tuple[Any, int]]:
  """What step t sees, with ages; `blank` empty cells follow each stored one."""
  cells: list[Any] = []
  for s in range(t + 1):
    if reset[s]:
      cells = []
    if s == t and kind != 'tokens':
      break
    if kind in ('position', 'bag') and QUESTION in x[s]:
      continue
    cells.append(x[s])
    cells += [None] * (blank if s < t else 0)
  ages = range(len(cells) - 1, -1, -1)
  return [(x, age) for x, age in zip(cells, ages, strict=True) if x is not None]


def network(
  p: dict[str, np.ndarray],
  model: MemN2N,
  kind: str,
  x: np.ndarray,
  reset: np.ndarray,
  blank: int = 0,
) -> np.ndarray:
  """One row's outputs, `(T, V)`."""
  adjacent = model.tying == 'adjacent'
  y = []
  for t in range(len(x)):
    seen = memories(kind, x, reset, t, blank)
    seen = [(x_s, age) for x_s, age in seen if age < model.slots]
    if kind == 'tokens':
      u = np.full(WIDTH, 0.1)
    else:
      u = encode(x[t], p[f'embedding_{0 if adjacent else "B"}'], kind)
    for k in range(1, model.hops + 1):
      a, c = (k - 1, k) if adjacent else ('A', 'C')
      scores, outs = [], []
      for x_s, age in seen:
        m_s = encode(x_s, p[f'embedding_{a}'], kind) + p[f'time_{a}'][age]
        outs.append(encode(x_s, p[f'embedding_{c}'], kind))
        outs[-1] = outs[-1] + p[f'time_{c}'][age]
        scores.append(u @ m_s)
      weights = np.array(scores)
      if not model.linear:
        weights = np.exp(weights) / np.exp(weights).sum()
      o = sum((w * c for w, c in zip(weights, outs, strict=True)), np.zeros(1))
      u = (u if adjacent else p['H'] @ u) + o
      if kind == 'tokens':
        u[WIDTH // 2 :] = np.maximum(u[WIDTH // 2 :], 0)
    w = p['W'] if 'W' in p else p[f'embedding_{model.hops}']
    y.append(w @ u)
  return np.stack(y)


def inputs(kind: str, length: int = LENGTH) -> tuple[jax.Array, jax.Array]:
  """Some sentences ask, some words are padding; one row has resets."""
  rng = np.random.default_rng(length)
  shape = BATCH, length
  if kind == 'features':
    x = rng.normal(size=(*shape, 3)).astype(np.float32)
  elif kind == 'tokens':
    x = rng.integers(0, VOCAB, shape, np.int32)
  else:
    x = rng.integers(1, QUESTION, (*shape, 4), np.int32)
    x[np.arange(4) >= rng.integers(1, 5, shape)[..., None]] = 0
    x[:, 5::3, 0] = QUESTION
    x[1, 6:8, 0] = QUESTION
  reset_BT = np.zeros(shape, bool)
  reset_BT[0, 0] = True
  reset_BT[0, length // 2 : length // 2 + 2] = True
  return jnp.asarray(x), jnp.asarray(reset_BT)


def params_of(model: MemN2N, x: jax.Array, reset_BT: jax.Array) -> Any:
  """Parameters so large that every term matters."""
  rng = np.random.default_rng(1)
  carry = model.initial_carry(BATCH)
  shapes = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset_BT)
  return jax.tree.map(
    lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def read(
  model: MemN2N,
  params: Any,
  x: jax.Array,
  reset_BT: jax.Array,
  sizes: list[int],
  seed: int | None = None,
) -> tuple[Any, np.ndarray]:
  carry, ys = model.initial_carry(BATCH), []
  noise = None if seed is None else jax.random.key(seed)
  one = jax.jit(functools.partial(apply, model, noise=noise))
  for end, size in zip(np.cumsum(sizes), sizes, strict=True):
    piece = slice(end - size, end)
    carry, y = one(params, carry, x[:, piece], reset_BT[:, piece])
    ys.append(np.asarray(y))
  return carry, np.concatenate(ys, axis=1)


def expected(
  model: MemN2N, params: Any, kind: str, x: Any, reset_BT: Any, blank: int = 0
) -> np.ndarray:
  p = {name: np.asarray(v, np.float64) for name, v in params.items()}
  rows = zip(np.asarray(x), np.asarray(reset_BT), strict=True)
  return np.stack([network(p, model, kind, *row, blank) for row in rows])


def network_of(kind: str, output: Spec, **fields: Any) -> MemN2N:
  sentences = 'bag' if kind == 'bag' else 'position'
  return MemN2N(SPECS[kind], output, WIDTH, sentences=sentences, **fields)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('kind', 'tying', 'linear'),
  [
    *[(kind, 'adjacent', False) for kind in SPECS],
    ('position', 'layerwise', False),
    ('position', 'adjacent', True),
    ('tokens', 'layerwise', False),
    ('features', 'layerwise', True),
  ],
)
def test_outputs_equal_the_papers_sums(
  kind: str, tying: str, linear: bool
) -> None:
  x, reset_BT = inputs(kind)
  fields = {'tying': tying, 'linear': linear}
  model = network_of(kind, Tokens(4), slots=3, hops=2, **fields)
  params = params_of(model, x, reset_BT)
  wanted = expected(model, params, kind, x, reset_BT)
  for sizes in ([LENGTH], [7, 7]):
    _, y = read(model, params, x, reset_BT, sizes)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  ('kind', 'output', 'tied'),
  [
    ('tokens', Tokens(VOCAB), True),
    ('position', Tokens(VOCAB), True),
    ('tokens', Tokens(VOCAB + 1), False),
    ('tokens', Features(VOCAB), False),
    ('features', Tokens(3), False),
  ],
)
def test_the_answer_is_tied_where_the_vocabulary_is_one(
  kind: str, output: Spec, tied: bool
) -> None:
  x, reset_BT = inputs(kind, 4)
  model = network_of(kind, output, slots=2, hops=3)
  params = params_of(model, x, reset_BT)
  assert ('W' not in params) == tied
  _, y = read(model, params, x, reset_BT, [4])
  wanted = expected(model, params, kind, x, reset_BT)
  np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('kind', ['position', 'tokens'])
@pytest.mark.parametrize('slots', [2, 20])
def test_chunks_of_a_long_segment_change_nothing(slots: int, kind: str) -> None:
  x, reset_BT = inputs(kind, 67)
  model = network_of(kind, Tokens(4), slots=slots, hops=1)
  params = params_of(model, x, reset_BT)
  _, y = read(model, params, x, reset_BT, [67])
  wanted = expected(model, params, kind, x, reset_BT)
  np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['position', 'tokens'])
def test_certain_noise_puts_an_empty_cell_after_each_stored_one(
  kind: str,
) -> None:
  x, reset_BT = inputs(kind, 40)
  model = network_of(kind, Tokens(4), slots=5, hops=2, noise=1.0)
  params = params_of(model, x, reset_BT)
  wanted = expected(model, params, kind, x, reset_BT, blank=1)
  for sizes in ([40], [20, 20]):
    _, y = read(model, params, x, reset_BT, sizes, seed=0)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=2e-5)


def test_noise_empties_its_share_of_cells_in_training_only() -> None:
  x = inputs('tokens', 1)[0]
  x, none_BT = jnp.tile(x, (1, 1500)), jnp.zeros((BATCH, 1500), bool)
  quiet, noisy = (
    network_of('tokens', Tokens(4), slots=1000, hops=1, noise=noise)
    for noise in (0.0, 0.25)
  )
  params = params_of(quiet, x, none_BT)
  carry, y = read(quiet, params, x, none_BT, [1500])
  unchanged = read(noisy, params, x, none_BT, [1500])
  jax.tree.map(np.testing.assert_array_equal, unchanged, (carry, y))
  assert carry.filled_BM.all()
  carry, other = read(noisy, params, x, none_BT, [1500], seed=0)
  assert np.abs(other - y).max() > 1e-3
  filled = np.asarray(carry.filled_BM).mean(axis=1)
  np.testing.assert_allclose(filled, 1 / 1.25, atol=0.05)
  assert (carry.filled_BM[0] != carry.filled_BM[1]).any()


def test_a_question_without_memories_has_an_answer_and_a_gradient() -> None:
  x, reset_BT = inputs('position', 1)
  model = network_of('position', Tokens(4), slots=3, hops=2)
  params = params_of(model, x, reset_BT)

  def total(params: Any) -> jax.Array:
    carry = model.initial_carry(BATCH)
    _, y = apply(model, params, carry, x, reset_BT)
    return (y**2).sum()

  gradient = jax.jit(jax.grad(total))(params)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
  assert np.abs(gradient['embedding_0']).max() > 0
  for name in ('embedding_1', 'time_0', 'time_1'):
    assert not np.abs(gradient[name]).any()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('linear', [False, True])
def test_gradients_equal_differences(linear: bool) -> None:
  """Through the shifts, which have a backward pass of their own."""
  x, reset_BT = inputs('position', 40)
  model = network_of('position', Tokens(4), slots=3, hops=2, linear=linear)
  params = params_of(model, x, reset_BT)
  rng = np.random.default_rng(2)
  weight = rng.normal(size=(BATCH, 40, 4))
  way = jax.tree.map(lambda p: rng.normal(size=p.shape), params)

  def ours(params: Any) -> jax.Array:
    carry = model.initial_carry(BATCH)
    _, y = apply(model, params, carry, x, reset_BT)
    return (y * weight.astype(np.float32)).sum()

  def theirs(step: float) -> float:
    moved = jax.tree.map(lambda p, w: np.asarray(p) + step * w, params, way)
    return (expected(model, moved, 'position', x, reset_BT) * weight).sum()

  gradient = jax.jit(jax.grad(ours))(params)
  slope = sum(
    (np.asarray(g, np.float64) * w).sum()
    for g, w in zip(*map(jax.tree.leaves, (gradient, way)), strict=True)
  )
  difference = (theirs(1e-5) - theirs(-1e-5)) / 2e-5
  np.testing.assert_allclose(slope, difference, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['position', 'tokens'])
def test_temporary_memory_grows_with_the_length_not_its_square(
  kind: str,
) -> None:
  model = network_of(kind, Tokens(4), slots=16, hops=2)

  def temporaries(length: int) -> int:
    x, reset_BT = inputs(kind, length)
    params = params_of(model, x, reset_BT)

    def total(params: Any) -> jax.Array:
      carry = model.initial_carry(BATCH)
      return apply(model, params, carry, x, reset_BT)[1].sum()

    compiled = jax.jit(jax.grad(total)).lower(params).compile()
    used = compiled.memory_analysis()
    assert used is not None
    return used.temp_size_in_bytes

  assert temporaries(1024) < 4.4 * temporaries(256)


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'width': 0}, 'width: 0: must be at least 1'),
    ({'slots': 0}, 'slots: 0: must be at least 1'),
    ({'hops': 0}, 'hops: 0: must be at least 1'),
    ({'tying': 'no'}, "tying: 'no': must be one of adjacent, layerwise"),
    ({'sentences': 'no'}, "sentences: 'no': must be one of position, bag"),
    ({'noise': 1.5}, 'noise: 1.5: must be in [0, 1]'),
  ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], line: str) -> None:
  with pytest.raises(ConfigError) as error:
    MemN2N(Tokens(3), Tokens(3), **fields)
  assert str(error.value) == line
