"""Names become objects; a wrong name or field is refused with the nearest."""

import functools

import jax
import numpy as np
import pytest

from memjax.config.build import build_model, build_task
from memjax.errors import ConfigError
from memjax.models.base import apply
from memjax.tasks.base import Stream
from memjax.types import Tokens

TASK = {'name': 'copy_memory.CopyMemory', 'delay': 5}
LSTM = {'name': 'lstm.LSTM'}
STACK = {'name': 'stack.Stack', 'width': 16, 'depth': 2, 'layer': LSTM}
ATTENTION = {'name': 'transformer.BlockAttention', 'head_width': 4}
BLOCKS = STACK | {'layer': ATTENTION | {'window': 8}, 'positions': 'learned'}
HYBRID = STACK | {'others': {'a': LSTM}, 'pattern': 'layer a'}


def test_a_spec_becomes_a_model_that_runs() -> None:
  task = build_task(TASK)
  batch = task.batch(task.rows(Stream(0, 0, 3), 0, np.arange(3)))
  spec = STACK | {
    'mlp': 0.5,
    'positions': 'learned',
    'max_positions': 7,
  }
  model = build_model(spec, task.input_spec, task.output_spec)
  carry = model.initial_carry(3)
  read = carry, batch.inputs, batch.reset_BT
  params = jax.jit(model.init)(jax.random.key(0), *read)['params']
  _, y = jax.jit(functools.partial(apply, model))(params, *read)
  assert y.shape == (3, 25, 10)


@pytest.mark.parametrize(
  ('spec', 'words'),
  [
    ({'name': 'stak.Stack'}, ['model.name', 'did you mean stack?']),
    ({'name': 'stack.Stak'}, ['model.name', 'did you mean Stack?']),
    ({'name': 'Stack'}, ['model.name', 'file.Class', 'stack']),
    ({'name': 'nowhere.at.All'}, ['model.name', 'no such module']),
    (STACK | {'dept': 2}, ['model.dept', 'did you mean depth?']),
    (LSTM, ['model.name', 'is a layer']),
    ({'name': 'stack.Stack'}, ['model.width', 'must be given']),
    (
      {'name': 'stack.Stack', 'layer': LSTM},
      ['model.width', 'must be given'],
    ),
    ({'name': 'stack.Stack', 'width': 8}, ['model.layer', 'must be given']),
    (STACK | {'width': 8.5}, ['model.width: 8.5', 'of type int']),
    (STACK | {'width': 0}, ['model.width: 0', 'at least 1']),
    (STACK | {'depth': 0}, ['model.depth', 'at least 1']),
    (STACK | {'layer': {'bias': 3}}, ['model.layer', 'needs a name']),
    (STACK | {'layer': 3}, ['model.layer: 3', 'a section with a name']),
    (STACK | {'layer': LSTM | {'x': 1}}, ['model.layer.x', 'no such field']),
    (
      STACK | {'layer': LSTM | {'width': 8}},
      ['model.layer.width: 8', 'is set by model.width'],
    ),
    (
      STACK | {'layer': {'name': 'memn2n.MemN2N'}},
      ['model.layer.input_spec', 'must be given'],
    ),
    (BLOCKS | {'max_positions': 7}, ['model.max_positions: 7', 'layers, 8']),
    (STACK | {'positions': 'learned'}, ['model.max_positions', 'be given']),
    (STACK | {'max_positions': 7}, ['model.max_positions: 7', "'none'"]),
    (STACK | {'positions': 7}, ['model.positions: 7', 'of type str']),
    (STACK | {'positions': 'all'}, ['model.positions', 'none, learned']),
    (STACK | {'pattern': 'layer b'}, ['model.pattern', 'known: layer']),
    (HYBRID | {'pattern': 'layer b'}, ['model.pattern', 'known: a, layer']),
    (HYBRID | {'pattern': ''}, ['model.others.a', 'not in the pattern']),
    (HYBRID | {'depth': 1}, ['model.pattern', 'more than the depth, 1']),
    (HYBRID | {'others': 3}, ['model.others: 3', 'section of named']),
    (HYBRID | {'others': {'a': 3}}, ['model.others.a: 3', 'with a name']),
    (
      HYBRID | {'others': {'a': {'name': 'lstm.LSTN'}}},
      ['model.others.a.name', 'did you mean LSTM?'],
    ),
    (
      HYBRID | {'others': {'a': LSTM | {'forget_bias': 'x'}}},
      ['model.others.a.forget_bias', 'of type float'],
    ),
    (STACK | {'norm': 'batch'}, ['model.norm', 'layer, rms']),
    (STACK | {'activation': 'silu'}, ['model.activation', 'swiglu']),
    (STACK | {'epsilon': 0.0}, ['model.epsilon', 'above 0']),
    (STACK | {'softcap': -1.0}, ['model.softcap', 'at least 0']),
    (STACK | {'parent': 'x'}, ['model.parent', 'no such field']),
  ],
)
def test_a_wrong_spec_names_field_and_rule(spec: dict, words: list) -> None:
  with pytest.raises(ConfigError) as error:
    build_model(spec, Tokens(10), Tokens(10))
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_a_private_field_is_not_a_setting() -> None:
  with pytest.raises(ConfigError, match=r'task\._tokenizer: .* no such field'):
    build_task({'name': 'text.Text', '_tokenizer': 'x'})
