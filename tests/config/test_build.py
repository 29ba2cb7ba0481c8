"""Names become objects; a wrong name or field is refused with the nearest."""

import jax
import numpy as np
import pytest

from memjax.config.build import build_model, build_task
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.tasks.base import Stream
from memjax.types import Tokens

TASK = {'name': 'copy_memory.CopyMemory', 'delay': 5}
LSTM = {'name': 'lstm.LSTM', 'width': 16}
STACK = {'name': 'stack.Stack', 'layers': 2, 'memory': LSTM}
ATTENTION = {'name': 'transformer.BlockAttention', 'width': 8, 'heads': 2}
CAUSAL = STACK | {'memory': ATTENTION | {'context': 8}}


def test_a_spec_becomes_a_model_that_runs() -> None:
  task = build_task(TASK)
  batch = task.batch(task.rows(Stream(0, 0, 3), 0, np.arange(3)))
  spec = STACK | {'mlp_width': 8, 'positions': 7, 'remat': True}
  model = build_model(spec, task.input_spec, task.output_spec)
  carry = model.initial_carry(3)
  read = carry, batch.inputs, batch.reset_BT
  params = model.init(jax.random.key(0), *read)['params']
  _, y = apply(model, params, *read)
  assert y.shape == (3, 25, 10)


@pytest.mark.parametrize(
  ('spec', 'words'),
  [
    ({'name': 'stak.Stack'}, ['model.name', 'did you mean stack?']),
    ({'name': 'stack.Stak'}, ['model.name', 'did you mean Stack?']),
    ({'name': 'Stack'}, ['model.name', 'file.Class', 'stack']),
    ({'name': 'nowhere.at.All'}, ['model.name', 'no such module']),
    (STACK | {'layrs': 2}, ['model.layrs', 'did you mean layers?']),
    (LSTM, ['model.name', 'is a layer']),
    ({'name': 'stack.Stack'}, ['model.memory', 'must be given']),
    (STACK | {'layers': 0}, ['model.layers', 'at least 1']),
    (STACK | {'memory': {'width': 3}}, ['model.memory', 'needs a name']),
    (STACK | {'memory': LSTM | {'x': 1}}, ['model.memory.x', 'no such field']),
    (CAUSAL | {'positions': 7}, ['model.positions: 7', "memory's context, 8"]),
  ],
)
def test_a_wrong_spec_names_field_and_rule(spec: dict, words: list) -> None:
  with pytest.raises(ConfigError) as error:
    build_model(spec, Tokens(10), Tokens(10))
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)
