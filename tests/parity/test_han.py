"""A causal HAN against a softmax over all states so far, in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.attention.han import CausalHAN
from memjax.models.base import apply
from memjax.models.recurrent.gru import GRU
from tests.parity.layers import layer
from tests.parity.test_recurrent import numpy_step

FEATURES, WIDTH = 3, 5


def han(
  p: dict[str, Any], x: np.ndarray, reset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """One row, `(T, D)`, and its scores, `(T,)`."""
  y, scores = np.zeros((len(x), WIDTH)), np.zeros(len(x))
  view, context = p['scores']['view'], p['scores']['context']
  states: list[np.ndarray] = []
  begin = 0
  for t in range(len(x)):
    before = states[-1] if states else np.zeros(WIDTH)
    if reset[t]:
      begin, before = t, np.zeros(WIDTH)
    states += numpy_step('gru', p['gru']['cell'], [before], x[t])
    scores[t] = np.tanh(states[t] @ view['kernel'] + view['bias']) @ context
    seen = scores[begin : t + 1]
    weights = np.exp(seen - seen.max())
    y[t] = weights / weights.sum() @ np.stack(states[begin:])
  return y, scores


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('sizes', [[13], [7, 1, 5]])
def test_layer_equals_the_papers_equations(sizes: list[int]) -> None:
  under_test = layer(CausalHAN(WIDTH), FEATURES, scale=1.0)
  p = under_test.params64()
  expected = [han(p, *row)[0] for row in under_test.rows64()]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sign', [1, -1])
def test_scores_far_apart_stay_exact(sign: int) -> None:
  under_test = layer(CausalHAN(WIDTH), FEATURES, scale=1.0)
  context = under_test.params['scores']['context']
  context = sign * 200 * context / jnp.abs(context).max()
  scores = under_test.params['scores'] | {'context': context}
  under_test = under_test._replace(
    params=under_test.params | {'scores': scores}
  )
  p = under_test.params64()
  expected, scores = zip(
    *[han(p, *row) for row in under_test.rows64()], strict=True
  )
  assert np.abs(scores).max() > 200
  y = under_test.read([7, 1, 5])
  np.testing.assert_allclose(y, np.stack(expected), rtol=2e-4, atol=2e-4)


@pytest.mark.slow
def test_gradients_equal_those_of_a_plain_softmax() -> None:
  """Those of the carry, too, for backpropagation across segments."""
  under_test = layer(CausalHAN(WIDTH), FEATURES, scale=1.0)
  params, x_BTF, reset_BT = under_test[1:]
  first, second = slice(0, 4), slice(4, None)
  reset_BT = reset_BT.at[1].set(False)

  def ours(params: Any, x_BTF: jax.Array) -> jax.Array:
    carry = under_test.model.initial_carry(len(x_BTF))
    ys = []
    for piece in (first, second):
      carry, y = apply(
        under_test.model,
        params,
        carry,
        x_BTF[:, piece],
        reset_BT[:, piece],
      )
      ys.append(y)
    return jnp.concatenate(ys, axis=1)

  def plain(params: Any, x_BTF: jax.Array) -> jax.Array:
    h_0 = jnp.zeros((len(x_BTF), WIDTH))
    _, h_BTD = apply(GRU(WIDTH), params['gru'], h_0, x_BTF, reset_BT)
    view, context_D = params['scores']['view'], params['scores']['context']
    u_BTD = jnp.tanh(h_BTD @ view['kernel'] + view['bias'][None, None])
    run_BT = jnp.cumsum(reset_BT, axis=1)
    seen_BTS = run_BT[:, :, None] == run_BT[:, None]
    seen_BTS &= jnp.tri(x_BTF.shape[1], dtype=bool)[None]
    scores_BTS = jnp.where(seen_BTS, (u_BTD @ context_D)[:, None], -jnp.inf)
    return jax.nn.softmax(scores_BTS) @ h_BTD

  got, expected = (
    jax.jit(jax.grad(lambda *v, f=f: jnp.sin(3 * f(*v)).sum(), argnums=(0, 1)))(
      params, x_BTF
    )
    for f in (ours, plain)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    got,
    expected,
  )


def test_a_bad_width_is_refused() -> None:
  with pytest.raises(ConfigError, match='width: 0: must be at least 1'):
    CausalHAN(0)
