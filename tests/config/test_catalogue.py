"""Every field that a config can set has a type, a default and a meaning."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import pytest

from memjax.config import catalogue, listing
from memjax.config.catalogue import KINDS, REQUIRED, Field
from memjax.config.sections import SECTIONS
from memjax.errors import ConfigError
from memjax.models.recurrent.lstm import LSTM
from memjax.models.stack import Stack
from memjax.tasks.recall.mqar import MQAR
from memjax.training.optimisers.schedules import OURS


def by_name(fields: list[Field]) -> dict[str, Field]:
  return {field.name: field for field in fields}


def test_a_class_says_its_fields() -> None:
  assert list(catalogue.fields(LSTM)[:2]) == [
    Field('width', int, REQUIRED, 'D.'),
    Field(
      'forget_bias', float, 1.0, "initial value of the forget gate's bias."
    ),
  ]
  assert by_name(catalogue.fields(MQAR))['power'].default == 0.01
  stack = by_name(catalogue.fields(Stack))
  assert stack['layer'].type is stack['others'].type is Mapping
  assert stack['layer'].type_name == 'section'
  assert 'input_spec' not in stack
  assert 'name' not in stack


def test_an_entry_may_have_two_names_and_several_lines() -> None:
  text = """What it is.

  Attributes:
    a, b: one thing
      and another: more.
    c (int): last.

  Raises:
    Error: never.
  """
  both = 'one thing and another: more.'
  assert catalogue.described(text) == {'a': both, 'b': both, 'c': 'last.'}


@pytest.mark.parametrize('kind', KINDS)
def test_every_field_of_every_class_is_explained(kind: str) -> None:
  classes = catalogue.classes_of(kind)
  assert len(classes) > 1
  missing = [
    f'{name}.{field.name}'
    for name, cls in classes.items()
    for field in catalogue.fields(cls)
    if not field.meaning or field.type is None
  ]
  assert missing == []


@pytest.mark.parametrize('section', SECTIONS)
def test_every_field_of_a_section_has_a_default_and_is_explained(
  section: str,
) -> None:
  for field in catalogue.section_fields(section):
    assert field.meaning, field
    assert field.type is not None, field
    assert field.default is not REQUIRED, field


def test_options_have_the_types_of_their_function() -> None:
  adamw = catalogue.functions_of('optim.options')['adamw']
  options = by_name(catalogue.options('optim.options', adamw))
  assert options['b2'][1:3] == (float, 0.999)
  assert options['nesterov'][1:3] == (bool, False)
  assert options['mu_dtype'].type is None
  assert 'first moment' in options['b1'].meaning
  assert 'learning_rate' not in options
  assert 'mask' not in options


def test_own_schedules_explain_their_options() -> None:
  for function in OURS:
    for field in catalogue.options('optim.schedule_options', function):
      assert field.meaning, (function.__name__, field.name)


def test_postponed_annotations_are_types() -> None:
  lines: dict[str, Any] = {'dataclasses': dataclasses, '__name__': __name__}
  exec(
    'from __future__ import annotations\n'
    '@dataclasses.dataclass\n'
    'class Own:\n  """An own class."""\n  slots: int = 3\n',
    lines,
  )
  assert catalogue.fields(lines['Own'])[0].type is int


@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('lstm', ['lstm.LSTM: model.layer.name', 'forget_bias: float = 1.0']),
    ('LSTM', ['lstm.LSTM: model.layer.name']),
    ('mqar', ['configs/mqar.py: --config=mqar:VARIANT', '  power: float = ']),
    ('mad', ['Variants, each with or without ,quick:', 'compression-lstm']),
    ('mqar.MQAR', ['power: float = 0.01', '1 makes all gaps']),
    ('train', ['replicas: int = 1', 'steps: int = 1000']),
    ('optim', ['learning_rate: float = 0.001', 'match: str, must be given']),
    ('log', ["'mode': 'auto'"]),
    ('adamw', ['adamw: optim.options', 'b2: float = 0.999']),
    ('contrib.muon', ['beta: float = 0.95']),
    ('halving', ['halve_every: int, must be given']),
    ('stream.Loss', ['every: int, must be given', 'steps: int = 0']),
    ('attention_by_lag', ['batches: int = 4', 'in every report']),
    ('memjax.tasks.recall.mqar.MQAR', ['power: float = 0.01']),
  ],
)
def test_fields_are_listed_in_80_columns(name: str, words: list[str]) -> None:
  lines = listing.describe(name)
  for word in words:
    assert word in '\n'.join(lines)
  assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('lsmt', 'did you mean lstm'),
    ('quickstrt', 'did you mean quickstart'),
    ('lstm.LSMT', 'did you mean lstm.LSTM'),
    ('own.Thing', 'no such module'),
    ('', 'has no fields'),
    ('task', 'names a class'),
  ],
)
def test_a_wrong_name_is_one_line(name: str, words: str) -> None:
  with pytest.raises(ConfigError) as error:
    listing.describe(name)
  assert words in str(error.value)
  assert str(error.value).startswith('list: ')


def test_everything_is_listed_in_80_columns() -> None:
  lines = list(listing.everything())
  named = {word for line in lines for word in line.strip(' ,').split(', ')}
  assert {'contrib.muon', 'adamw', 'inverse_sqrt'} <= named
  assert max(map(len, lines)) <= 80
  for name in (
    '  lstm.LSTM',
    '  stream.Loss',
    '  state_ablation.StateAblation',
  ):
    assert name in lines
