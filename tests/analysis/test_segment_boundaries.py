"""The carry of a delay line at a segment boundary."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.segment_boundaries import (
  leaf_names,
  require_carry,
  segment_boundaries,
)
from memjax.errors import ConfigError
from memjax.models.base import Memory
from memjax.tasks.language.text import Text
from tests.analysis.known import DelayLine, Idle, RepeatToken
from tests.small import small

DELAY = 6
PARAMS = {'sure': jnp.ones(2)}


def test_the_carry_of_a_text_flows_from_the_start_of_its_streams(
  tmp_path: Path,
) -> None:
  path = tmp_path / 'text.txt'
  path.write_text('0123456789' * 20)
  task = Text(corpus='files', path=str(path), length=4)
  model = DelayLine(256, DELAY)
  found = list(segment_boundaries(model, PARAMS, task, 0, 2, 3, 0))
  assert len(found) == 3
  for border, (carry, after) in enumerate(found, start=1):
    assert carry.shape == (2, 2, DELAY)
    tokens = np.concatenate([carry[1], after.inputs], axis=1)
    digits = np.where(tokens == 0, -1, tokens - ord('0'))
    read = min(border * task.length, DELAY)
    assert (digits[:, : DELAY - read] == -1).all()
    assert (np.diff(digits[:, DELAY - read :]) % 10 == 1).all()
  with pytest.raises(ConfigError, match='cut: 2: must be 0'):
    next(segment_boundaries(model, PARAMS, task, 2, 2, 3, 0))


def test_an_episode_is_cut_in_two() -> None:
  task = RepeatToken(length=12)
  for cut, first in ((0, 6), (8, 8)):
    found = list(
      segment_boundaries(DelayLine(4, DELAY), PARAMS, task, cut, 2, 2, 0)
    )
    for carry, after in found:
      assert after.inputs.shape == (2, 12 - first)
      np.testing.assert_array_equal(carry[0, :, -3:], after.targets[:, :3])


class Forgetful(Memory):
  def initial_carry(self, batch_size: int) -> Any:
    return ()

  def __call__(self, carry: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    return carry, x


def test_leaves_have_names_and_an_empty_carry_is_refused() -> None:
  assert leaf_names(DelayLine(4, DELAY)) == ('carry',)
  assert leaf_names(Idle(4, DELAY)) == ('0', '1', '2')
  xl = small('mqar', 'transformer_xl').model
  assert leaf_names(xl) == ('layer_0.x', 'layer_0.count')
  assert leaf_names(small('mqar', 'gru').model) == ('layer_0',)
  with pytest.raises(ConfigError, match="'Forgetful': the model has an empty"):
    require_carry(Forgetful())
