"""Adaptive softmax and embedding against a float64 evaluation of the papers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.interop.names import flat
from memjax.models import adaptive
from memjax.models.attention.transformer_xl import TransformerXL
from memjax.models.base import (
  apply_body,
  apply_labels,
  apply_readout,
)
from memjax.models.composed.neural_cache import CachedStack
from memjax.models.stack import Stack
from memjax.ops.blocks import in_blocks
from memjax.types import Features, Tokens

VOCAB, WIDTH, EDGES = 23, 6, (0, 7, 11, 23)
CUT = {'cutoffs': '7 11'}
CASES: dict[str, dict[str, Any]] = {
  'plain': CUT,
  'narrow': CUT | {'shrink': 2},
  'tied': CUT | {'shrink': 2, 'tie': True, 'tie_projections': 'tails'},
  'shared': CUT | {'embedding_width': 4, 'tie': True, 'tie_projections': 'all'},
  'one cluster': {'embedding_width': 3},
  'no bias': CUT | {'bias': False, 'embedding_width': 3},
}


def stack(**fields: Any) -> Stack:
  layer = TransformerXL(WIDTH, 3, 4)
  return Stack(Tokens(VOCAB), Tokens(VOCAB), WIDTH, layer, **fields)


def params_of(model: Stack) -> Any:
  read = model.initial_carry(1), jnp.zeros((1, 2), int), jnp.zeros((1, 2), bool)
  shapes = jax.eval_shape(model.init, jax.random.key(0), *read)['params']
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), shapes
  )


def log_softmax(x: np.ndarray) -> np.ndarray:
  return x - np.log(np.exp(x).sum())


class Written:
  """The papers' equations, id by id, of the parameters as they are named."""

  def __init__(self, params: Any, fields: dict[str, Any]) -> None:
    tree = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    self.table, self.out = tree['encoder']['embedding'], tree['readout']
    self.edges = EDGES if 'cutoffs' in fields else (0, VOCAB)
    self.whole = fields.get('shrink', 1) == 1
    self.tied = fields.get('tie', False)
    self.bias = fields.get('bias', True)

  def vector(self, tree: Any, v: int, i: int) -> np.ndarray:
    if self.whole:
      return tree['table_0'][v]
    return tree[f'table_{i}'][v - self.edges[i]]

  def cluster(self, v: int) -> int:
    return sum(v >= edge for edge in self.edges[1:-1])

  def embedding(self, v: int) -> np.ndarray:
    i = self.cluster(v)
    x = self.vector(self.table, v, i)
    projection = self.table.get(f'projection_{0 if self.whole else i}')
    return x if projection is None else projection @ x

  def projected(self, h: np.ndarray, i: int) -> np.ndarray:
    names = f'projection_{i}', f'projection_{0 if self.whole else i}'
    for tree, name in ((self.out, names[0]), (self.table, names[1])):
      if name in tree:
        return h @ tree[name]
    return h

  def scores(self, h: np.ndarray, i: int) -> np.ndarray:
    z, tree = self.projected(h, i), self.table if self.tied else self.out
    found = []
    for v in range(self.edges[i], self.edges[i + 1]):
      place = (0, v) if self.whole else (i, v - self.edges[i])
      bias = self.out[f'bias_{place[0]}'][place[1]] if self.bias else 0
      found.append(self.vector(tree, v, i) @ z + bias)
    if i == 0 and 'cluster_table' in self.out:
      more = self.out['cluster_table'] @ z
      found += list(more + self.out['cluster_bias'] if self.bias else more)
    return log_softmax(np.array(found))

  def log_p(self, h: np.ndarray) -> np.ndarray:
    head, size = self.scores(h, 0), self.edges[1]
    parts = [head[:size]]
    for i in range(1, len(self.edges) - 1):
      parts.append(head[size + i - 1] + self.scores(h, i))
    return np.concatenate(parts)


def hidden(number: int) -> np.ndarray:
  rng = np.random.default_rng(1)
  return rng.normal(size=(number, WIDTH)).astype(np.float32)


def fast(*names: str) -> list[Any]:
  """These cases; only 'tied' is fast."""
  return [
    pytest.param(name, marks=[] if name == 'tied' else [pytest.mark.slow])
    for name in names
  ]


@pytest.mark.parametrize('case', fast(*CASES))
def test_embedding_and_probabilities_are_the_papers(case: str) -> None:
  fields = CASES[case]
  model = stack(**fields)
  params, written = params_of(model), Written(params_of(model), fields)
  ids = jnp.arange(VOCAB)[None]
  h = hidden(5)

  def both(params: Any) -> Any:
    table = {'params': params}
    x = model.apply(table, ids, method=lambda m, ids: m._encoder(ids))
    return x, apply_readout(model, params, jnp.asarray(h)[None])

  x, y = jax.jit(both)(params)
  expected = np.stack([written.embedding(v) for v in range(VOCAB)])
  np.testing.assert_allclose(x[0], expected, atol=1e-5)
  expected = np.stack([written.log_p(row) for row in h.astype(np.float64)])
  np.testing.assert_allclose(y[0], expected, atol=2e-5)
  np.testing.assert_allclose(np.exp(y[0]).sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize('case', fast('plain', 'tied', 'shared'))
def test_labels_and_their_gradients_are_those_of_all_outputs(case: str) -> None:
  model = stack(**CASES[case])
  params = params_of(model)
  h = jnp.asarray(hidden(92)).reshape(2, 46, WIDTH)
  ids = jnp.tile(jnp.arange(VOCAB), 4).reshape(2, 46)

  def short(params: Any, h: jax.Array) -> Any:
    nats, right = apply_labels(model, params, h, ids)
    return nats.sum(), (nats, right)

  def whole(params: Any, h: jax.Array) -> Any:
    y = apply_readout(model, params, h)
    nats = -jnp.take_along_axis(y, ids[..., None], -1)[..., 0]
    return nats.sum(), (nats, y.argmax(-1) == ids)

  found, expected = (
    jax.jit(jax.grad(f, argnums=(0, 1), has_aux=True))(params, h)
    for f in (short, whole)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), found, expected
  )
  assert 0 < found[1][1].sum() < ids.size


def test_of_equal_ids_the_first_is_predicted() -> None:
  """Words of one share in the head and in two tails of one word each."""
  model = Stack(
    *(Tokens(4),) * 2, 2, TransformerXL(2, 2, 1), cutoffs='2 3', bias=False
  )
  params = jax.tree.map(jnp.zeros_like, params_of(model))
  h, ids = jnp.zeros((1, 4, 2)), jnp.arange(4)[None]
  labels = jax.jit(lambda *args: apply_labels(model, *args))
  nats, right = labels(params, h, ids)
  np.testing.assert_allclose(nats, np.log(4), rtol=1e-6)
  assert right.tolist() == [[True, False, False, False]]
  shifted = params['readout'] | {'cluster_table': jnp.eye(2)}
  h = jnp.array([[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]])
  ids = jnp.array([[3, 2, 2, 3]])
  _, right = labels(params | {'readout': shifted}, h, ids)
  assert right.tolist() == [[True, True, True, False]]


@pytest.mark.slow
def test_a_tail_without_labels_is_not_read() -> None:
  """A table of NaN would be seen in the nats or in a gradient."""
  model = stack(**CASES['narrow'])
  params = params_of(model)
  params['readout']['cluster_bias'] = jnp.array([0.0, -30.0])
  broken = jax.tree.map(jnp.copy, params)
  broken['readout']['table_2'] *= jnp.nan
  h = jnp.asarray(hidden(40)).reshape(1, 40, WIDTH)
  ids = (jnp.arange(40) % EDGES[2])[None]

  @jax.jit
  @jax.value_and_grad
  def loss(params: Any, ids: jax.Array) -> jax.Array:
    return apply_labels(model, params, h, ids)[0].sum()

  for tree in (params, broken):
    value, grads = loss(tree, ids)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
  assert np.isnan(loss(broken, ids.at[0, 3].set(VOCAB - 1))[0])


@pytest.mark.slow
@pytest.mark.parametrize('bias', [-30.0, 30.0])
def test_a_tail_is_read_again_only_where_it_may_win(
  bias: float, monkeypatch: pytest.MonkeyPatch
) -> None:
  counts: list[int] = []

  def counted(wanted_N: jax.Array, *args: Any) -> Any:
    count = wanted_N.sum()
    jax.debug.callback(lambda n: counts.append(int(n)), count, ordered=True)
    return in_blocks(wanted_N, *args)

  monkeypatch.setattr(adaptive, 'in_blocks', counted)
  model = stack(**CASES['narrow'])
  params = params_of(model)
  params['readout']['cluster_bias'] = jnp.full(2, bias)
  h = jnp.asarray(hidden(46))[None]
  ids = jnp.tile(jnp.arange(VOCAB), 2)[None]
  nats, right = jax.jit(lambda p: apply_labels(model, p, h, ids))(params)
  jax.effects_barrier()
  y = np.asarray(apply_readout(model, params, h))
  np.testing.assert_array_equal(right, y.argmax(-1) == ids)
  assert np.isfinite(nats).all()
  assert counts[:2] == [8, 24]  # two labels of each id
  best_of_head = y[0, :, : EDGES[1]].argmax(-1) == ids[0]
  again = int(best_of_head.sum()) if bias > 0 else 0
  assert counts[2] >= again
  assert (sum(counts[2:]) > 0) == (bias > 0)


def test_a_cache_beside_the_softmax_is_read_in_full() -> None:
  """What it adds is not in the labels that the Stack alone gives."""
  fields: dict[str, Any] = {'layer': TransformerXL(WIDTH, 3, 4), **CUT}
  model = CachedStack(Tokens(VOCAB), Tokens(VOCAB), WIDTH, **fields)
  assert model.label_size == 0
  assert stack(**CUT).label_size == 9


@pytest.mark.slow
def test_shared_biases_are_those_of_the_lowest_layer() -> None:
  own, one = (
    stack(depth=2, wiring='post_norm').clone(
      layer=TransformerXL(WIDTH, 3, 4, share_biases=share)
    )
    for share in (False, True)
  )
  params = params_of(own)
  low, high = (params[f'layer_{i}']['memory'] for i in range(2))
  high |= {name: low[name] for name in 'uv'}
  less = params | {
    'layer_1': params['layer_1']
    | {'memory': {n: p for n, p in high.items() if n not in 'uv'}}
  }
  ids = jnp.arange(8).reshape(2, 4)
  read = own.initial_carry(2), ids, jnp.zeros((2, 4), bool)
  _, expected = jax.jit(lambda p: apply_body(own, p, *read))(params)
  _, found = jax.jit(lambda p: apply_body(one, p, *read))(less)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  assert flat(params_of(one)).keys() == flat(less).keys()


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'cutoffs': '7 5'}, "cutoffs: '7 5': must be ids from 1 to 22 that grow"),
    ({'cutoffs': 'a'}, "cutoffs: 'a': must be ids from 1 to 22"),
    ({'cutoffs': '23'}, "cutoffs: '23': must be ids from 1 to 22"),
    (CUT | {'shrink': 0}, 'shrink: 0: must be at least 1'),
    (CUT | {'shrink': 3}, 'shrink: 3: leaves nothing of 6 in cluster 2'),
    ({'shrink': 2}, 'shrink: 2: needs cutoffs or embedding_width'),
    ({'embedding_width': -1}, 'embedding_width: -1: must be at least 0'),
    ({'tie_projections': 'some'}, "tie_projections: 'some': must be one of"),
    (CUT | {'tie_projections': 'all'}, "tie_projections: 'all': needs proj"),
    (CUT | {'softcap': 3.0}, 'softcap: 3.0: must be 0 with cutoffs'),
  ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], line: str) -> None:
  with pytest.raises(ConfigError) as error:
    stack(**fields)
  assert str(error.value).startswith(line)


def test_clusters_need_one_vocabulary() -> None:
  rule = r"^cutoffs: '7 11': inputs and outputs must be ids of one vocabulary"
  with pytest.raises(ConfigError, match=rule):
    stack(**CUT).clone(input_spec=Features(3))
