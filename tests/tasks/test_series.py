"""Series: each is what its equation says, and an oracle continues it."""

import jax
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.long_range.series import Series, mackey_glass, sines
from tests.tasks.drawn import assert_as_it_was, draw, score

ROWS = 50


def test_a_ramp_goes_on_as_it_began() -> None:
  task = Series(kind='ramp', length=5, ahead=5)
  batch = draw(task, ROWS)
  x_BT1 = np.asarray(batch.inputs)
  slope_B1 = x_BT1[:, 1] - x_BT1[:, 0]
  answer = x_BT1 + 5 * slope_B1[:, None]
  np.testing.assert_allclose(batch.targets, answer, atol=1e-5)
  units = np.round(x_BT1 / task.scale).astype(int)
  assert set(units[:, 0, 0]) == set(range(10))
  assert set((units[:, 1] - units[:, 0]).ravel()) == {1, 2, 3}
  assert score(task, answer, batch)['to_persistence'] < 1e-9


def test_persistence_scores_one() -> None:
  for kind in ('ramp', 'sines', 'mackey_glass'):
    task = Series(kind=kind, length=20, ahead=3)
    batch = draw(task, ROWS)
    np.testing.assert_array_equal(batch.inputs[:, 3:], batch.targets[:, :-3])
    seen = score(task, np.asarray(batch.inputs), batch)
    assert seen['to_persistence'] == pytest.approx(1)


def test_three_sines_have_variance_one_and_a_recurrence() -> None:
  keys = jax.random.split(jax.random.key(0), 200)
  x_RT = np.asarray(jax.vmap(lambda key: sines(key, 400))(keys), np.float64)
  assert abs((x_RT**2).mean() - 1) < 0.05
  # Three sines obey a symmetric linear recurrence of order 6.
  x = x_RT[0]
  columns = [x[i : i + 394] + x[6 - i : 400 - i] for i in range(3)] + [x[3:397]]
  least = np.linalg.svd(np.stack(columns), compute_uv=False)
  assert least[-1] < 1e-3 * least[0]


def test_mackey_glass_follows_its_equation() -> None:
  key = jax.random.key(1)
  start = float(jax.random.uniform(key, (), minval=0.5, maxval=1.5))
  x, past, values = start, [start] * 170, []
  for step in range(1, 10 * 280 + 1):
    late = past.pop(0)
    past.append(x)
    x += (0.2 * late / (1 + late**10) - 0.1 * x) / 10
    values += [x] if step % 10 == 0 else []
  seen = np.asarray(mackey_glass(key, 30))
  np.testing.assert_allclose(seen, values[250:], atol=1e-3)


def test_mackey_glass_stays_where_it_does() -> None:
  x = np.asarray(draw(Series(length=200), ROWS).inputs)
  assert x.min() > 0.2
  assert x.max() < 1.5
  assert x.std() > 0.15


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'kind': 'sine'}, "kind: 'sine': unknown; did you mean sines?"),
    ({'ahead': 0}, 'ahead: 0: must be at least 1'),
    ({'scale': 0.0}, 'scale: 0.0: must be above 0'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Series(**fields)
  assert words in str(refused.value)


def test_the_data_is_what_it_was() -> None:
  ramp = Series(kind='ramp', length=16)  # the others' last bits are a machine's
  assert_as_it_was(ramp, 8, 'a6d3f5188b51157f')
