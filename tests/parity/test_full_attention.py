"""Full attention equals its equations, run by run, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.models.attention.full_attention import FullAttention
from tests.parity.layers import initial, read

WIDTH, HEAD, LENGTH, STARTS, CLIP = 6, 3, 9, (0, 4, 5), 2


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('positions', ['none', 'shaw'])
def test_each_step_sees_all_of_its_run(positions: str) -> None:
  model = FullAttention(WIDTH, HEAD, positions, CLIP)
  x = jax.random.normal(jax.random.key(1), (1, LENGTH, WIDTH))
  reset_BT = jnp.zeros((1, LENGTH), bool).at[0, jnp.array(STARTS)].set(True)
  start = model.initial_carry(1)
  params = initial(model, start, x, reset_BT)
  after, y = read(model, params, start, x, reset_BT)
  assert after.tolist() == [LENGTH - STARTS[-1]]
  p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
  for first, end in zip(STARTS, (*STARTS[1:], LENGTH), strict=True):
    run = np.asarray(x[0, first:end], np.float64)
    qkv = run @ p['qkv']['kernel'] + p['qkv']['bias']
    q, k, v = qkv.reshape(len(run), 3, WIDTH // HEAD, HEAD).swapaxes(0, 1)
    heads = []
    for h in range(WIDTH // HEAD):
      score = q[:, h] @ k[:, h].T
      for t, s in np.ndindex(score.shape):
        if positions == 'shaw':
          distance = min(max(s - t, -CLIP), CLIP)
          score[t, s] += q[t, h] @ p['distance'][distance + CLIP]
      weight = np.exp(score / np.sqrt(HEAD))
      heads.append(weight / weight.sum(axis=1, keepdims=True) @ v[:, h])
    seen = np.concatenate(heads, axis=1)
    expected = seen @ p['output']['kernel'] + p['output']['bias']
    np.testing.assert_allclose(y[0, first:end], expected, 2e-5, 2e-6)
