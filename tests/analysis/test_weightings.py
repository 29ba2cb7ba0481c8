"""The weightings are those that the model used, and the picture shows them."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure
import numpy as np
from PIL import Image
import pytest

from memjax.analysis.weightings import draw, weightings
from memjax.config.build import build_model
from memjax.errors import ConfigError
from memjax.models.base import Memory, apply
from memjax.types import Features, Params

LENGTH = 6
INPUTS = np.random.default_rng(0).random((LENGTH, 3)).astype(np.float32)


def trained(memory: dict) -> tuple[Memory, Params]:
  spec = {'name': 'stack.Stack', 'width': 4, 'depth': 2, 'layer': memory}
  model = build_model(spec, Features(3), Features(2))
  none = jnp.zeros((1, LENGTH), bool)
  variables = jax.jit(model.init)(
    jax.random.key(0), model.initial_carry(1), jnp.asarray(INPUTS[None]), none
  )
  return model, variables['params']


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'field'),
  [('ntm.NTM', 'read_weights_BHM'), ('dnc.DNC', 'read_BHM')],
)
def test_weightings_of_every_layer_and_head(name: str, field: str) -> None:
  model, params = trained({'name': name, 'slots': 5, 'slot_width': 3})
  y, shown = weightings(model, params, INPUTS)
  carry, wanted = jax.jit(functools.partial(apply, model))(
    params,
    model.initial_carry(1),
    jnp.asarray(INPUTS[None]),
    jnp.zeros((1, LENGTH), bool),
  )
  np.testing.assert_allclose(y, wanted[0], rtol=1e-5, atol=1e-6)
  assert {n.split('/')[0] for n in shown} == {'layer_0', 'layer_1'}
  for where, weights_THM in shown.items():
    assert weights_THM.shape[0::2] == (LENGTH, 5)
    layer, *_, kind = where.split('/')
    if kind == 'read_weights':
      last_HM = getattr(carry[int(layer[-1])], field)[0]
      np.testing.assert_allclose(weights_THM[-1], last_HM, rtol=1e-5)


def test_a_model_without_slots_is_refused() -> None:
  model, params = trained({'name': 'lstm.LSTM'})
  with pytest.raises(ConfigError, match='shows no weightings'):
    weightings(model, params, INPUTS)


def test_the_picture_shows_the_slots_in_use(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  weights_THM = np.zeros((LENGTH, 1, 9))
  weights_THM[:, 0, 3] = 1
  weights_THM[2, 0, 6] = 0.5
  kept: list[Figure] = []
  save = Figure.savefig

  def saved(self: Figure, *args: Any, **named: Any) -> None:
    kept.append(self)
    save(self, *args, **named)

  monkeypatch.setattr(Figure, 'savefig', saved)
  draw(INPUTS, INPUTS, {'m/read_weights': weights_THM}, tmp_path / 'w.png')
  axes = kept[0].axes[2]
  assert axes.get_ylabel() == 'read head 0, slot'
  np.testing.assert_array_equal(
    axes.images[0].get_array(), weights_THM[:, 0, 3:7].T
  )
  assert axes.images[0].get_extent()[2:] == [2.5, 6.5]
  with Image.open(tmp_path / 'w.png') as image:
    assert image.format == 'PNG'
