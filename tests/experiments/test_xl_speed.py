"""Both contenders read the same number of tokens, and the table has ratios."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.xl_speed import run
from memjax.models.base import apply


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
  for name, value in {'WIDTH': 8, 'LAYERS': 1, 'VOCAB': 16}.items():
    monkeypatch.setattr(run, name, value)


@pytest.mark.slow
def test_a_window_needs_no_cache() -> None:
  length = 6
  model = run.vanilla(length)
  params, _ = run.initialise(model)
  ids_BT, reset_BT = run.random_ids(3, length), jnp.zeros((3, length), bool)
  slim, whole = (
    jax.jit(lambda carry: apply(model, params, carry, ids_BT, reset_BT)[1])(
      run.vanilla(slots).initial_carry(3)
    )
    for slots in (1, length)
  )
  np.testing.assert_allclose(slim, whole, atol=1e-5)


def test_both_see_as_many_tokens() -> None:
  assert run.vanilla(6).layer.window == run.transformer_xl(6).layer.window + 1


def test_the_table_has_a_ratio_for_a_length(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  costs = {'vanilla': iter([0, 8, 2, 4]), 'xl': iter([0, 1, 2, 1])}
  contenders = {
    name: run.Contender(lambda: None, labels, 1, 1_500_000)
    for name, labels in {'vanilla': 1, 'xl': 128}.items()
  }
  monkeypatch.setattr(
    run, 'sliding', lambda length, rows: contenders['vanilla']
  )
  monkeypatch.setattr(run, 'recurrent', lambda length, rows: contenders['xl'])
  monkeypatch.setattr(run, 'fastest', lambda make, length: make(length, 1))
  monkeypatch.setattr(
    run,
    'seconds',
    lambda c: (
      next(costs['vanilla' if c is contenders['vanilla'] else 'xl']) + 1.0
    ),
  )
  cells = [cell.strip() for cell in run.row(800, 4).split('|')[1:-1]]
  assert cells[0] == '800'
  assert cells[1] == '4e+03 (1, 1.50 M)'
  assert cells[3] == '2 (1-3)'  # of 1/1, 9/2, 3/3, 5/2
  assert cells[5] == '363'


@pytest.mark.slow
def test_multiplications_are_those_that_xla_counts(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(run, 'WIDTH', 128)
  length, flops = 1000, []
  for model, cache, tokens, labels in (
    (run.vanilla(length), run.vanilla(1), length, 1),
    (*(run.transformer_xl(length),) * 2, run.SEGMENT, run.SEGMENT),
  ):
    begin = (
      model.initial_carry(1),
      run.random_ids(1, 1),
      jnp.zeros((1, 1), bool),
    )
    params = jax.eval_shape(model.init, jax.random.key(0), *begin)['params']
    reset_BT = jnp.zeros((1, tokens), bool)
    read = jax.jit(functools.partial(apply, model))
    program = read.lower(
      params, cache.initial_carry(1), run.random_ids(1, tokens), reset_BT
    )
    cost = program.cost_analysis()
    assert cost is not None
    flops.append(cost['flops'] / labels)
  counted = flops[0] / flops[1]
  assert run.multiplications(length) == pytest.approx(counted, rel=0.06)
