"""Instruments of attention, probes and cost, on models of the configs."""

from pathlib import Path

import jax
import numpy as np
import pytest

from memjax.analysis.attention_by_lag import attention_by_lag
from memjax.analysis.cost import PROGRAMS, measure_cost
from memjax.analysis.linear_probes import fit_probes
from memjax.analysis.time_constants import time_constants
from memjax.config.build import build_model, build_task
from memjax.configs import recall
from memjax.errors import ConfigError
from memjax.tasks.base import Stream, Task
from memjax.tasks.language.text import Text

REPLICAS, ROWS, BATCHES = 2, 4, 5


def text(folder: Path) -> Task:
  letters = np.random.default_rng(0).choice(list(b'abcd'), 4000)
  (folder / 'a.txt').write_bytes(bytes(letters.tolist()))
  path = str(folder / 'a.txt')
  return Text(corpus='files', path=path, tokens='characters', length=8)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'on_text'),
  [
    pytest.param('lstm', False, marks=pytest.mark.slow),
    ('transformer_xl', True),
    pytest.param('memn2n', False, marks=pytest.mark.slow),
  ],
)
def test_figures_are_finite_and_shaped(
  name: str, on_text: bool, tmp_path: Path
) -> None:
  config = recall.get_config(f'selective_copy-{name},quick').to_dict()
  task = text(tmp_path) if on_text else build_task(config['task'])
  model = build_model(config['model'], task.input_spec, task.output_spec)
  batch = task.batch(task.rows(Stream(0, 0, 1), 0, np.arange(1)))
  arguments = model.initial_carry(1), batch.inputs, batch.reset_BT
  init = jax.jit(jax.vmap(model.init, in_axes=(0, None, None, None)))
  keys = jax.random.split(jax.random.key(0), REPLICAS)
  params_N = init(keys, *arguments)['params']
  run = model, params_N, task
  if name == 'lstm':
    (steps_ND,) = time_constants(*run, ROWS, BATCHES).steps.values()
    assert steps_ND.shape == (REPLICAS, 16)
    assert (steps_ND > 0).all()
    with pytest.raises(ConfigError, match='no attention to its own past'):
      attention_by_lag(*run, ROWS, BATCHES)
  else:
    by_lag = attention_by_lag(*run, ROWS, BATCHES)
    assert by_lag.share
    for share_NHR in by_lag.share.values():
      assert share_NHR.shape[:2] == (REPLICAS, 1)
      np.testing.assert_allclose(share_NHR.sum(2), 1, rtol=1e-5)
  lags = np.array([0, 2, 5])
  found = fit_probes(*run, lags, ROWS, BATCHES)
  assert {len(score) for score in found.score.values()} == {REPLICAS}
  for score_NL in found.score.values():
    assert score_NL.shape == (REPLICAS, 3)
    assert np.isfinite(score_NL).all()
  density = found.density
  assert density is not None
  assert density.bits_per_symbol.shape == (REPLICAS,)
  assert density.state_bits > 0
  costs = measure_cost(*run, np.array([8]), ROWS, repeats=2)
  for program in PROGRAMS:
    assert (costs.tokens_per_second[program] > 0).all()
    assert (costs.memory[program] > 0).all()
