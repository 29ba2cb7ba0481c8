"""Tries the laws of a memory on a class, or on the model of a config."""

import ast
from collections.abc import Mapping
import dataclasses
from typing import Any

from memjax.config.build import build_layer, build_model
from memjax.config.find import find_class
from memjax.config.reader import prepare_task
from memjax.errors import ConfigError, nearest, require
from memjax.laws import check as laws
from memjax.laws.broken import Broken
from memjax.laws.form import require_methods
from memjax.laws.page import Page
from memjax.laws.subject import LENGTH, ROWS, Subject
from memjax.models.base import Memory, Model
from memjax.runs import exit_codes
from memjax.types import Features, Spec, Tokens

# Values of fields that have no default; a number of another name gets SIZE.
SIZES: dict[str, Any] = {
  'width': 8,
  'head_width': 4,
  'window': 5,
  'slots': 5,
  'layer': 'gru.GRU',
  'encoder_layer': 'gru.GRU',
}
SIZE = 4
READS, ANSWERS = Tokens(7, separator_id=5), Tokens(5)  # of a whole model
LONGEST = 256  # steps of a segment, for memories with a long window


def check(name: str, settings: Mapping[str, str]) -> int:
  """Tries the laws on a class; prints a line a law.

  Args:
    name: `file.Class` of a built-in memory, or `my_memory.Decay`, a class in a
      file of the current folder.
    settings: values of fields, {'slots': '8', 'layer.window': '4'}. A field
      without a value and without a default gets a small number.

  Returns:
    The exit code: 0 if no law is broken, else 1.

  Raises:
    ConfigError: there is no such class, or a setting does not fit it.
  """
  cls = find_class(name, 'memjax.models', 'check')
  rule = 'is not a memory: it must inherit from memjax.models.base.Memory'
  require(issubclass(cls, Memory), 'check', name, rule)
  try:
    require_methods(cls)
  except Broken as broken:
    page = Page(name)
    page.show(laws.Outcome(laws.LAWS[0], laws.BROKEN, *broken.args))
    return exit_code(page)
  spec = complete(read_settings(name, settings))
  if issubclass(cls, Model):
    model = build_model(spec, READS, ANSWERS)
    return check_model(name, sizes(model), model, READS)
  width = spec.pop('width')
  rule = 'must be a whole number, at least 1'
  require(type(width) is int and width > 0, f'{name}.width', width, rule)
  layer = build_layer(spec, width, name)
  return check_model(name, sizes(layer), layer, Features(width))


def check_config(config: Mapping[str, Any]) -> int:
  """Tries the laws on the whole model of a config, on inputs of its task.

  Returns:
    The exit code: 0 if no law is broken, else 1.
  """
  task = prepare_task(config['task'])
  model = build_model(config['model'], task.input_spec, task.output_spec)
  name = f'{config["model"]["name"]} on {config["task"]["name"]}'
  return check_model(name, '', model, task.input_spec)


def check_model(name: str, fields: str, model: Memory, input_spec: Spec) -> int:
  """Tries the laws on a memory that reads such inputs; returns the code."""
  length = max(LENGTH, min(model.horizon + 8, LONGEST))
  reads = f'{ROWS} rows, segments of {length} steps'
  page = Page(name, f'{fields}: {reads}')
  if model.horizon >= length:
    page.say(
      f'The horizon, {model.horizon}, is longer than a segment. Check a '
      'smaller one as well.'
    )
  subject = Subject(model, input_spec, length)
  with page.live():
    for outcome in laws.check_laws(subject, page.begin):
      page.show(outcome)
  return exit_code(page)


def exit_code(page: Page) -> int:
  """Sums up the page; 0 if no law is broken, else 1."""
  page.sum_up()
  return exit_codes.FAILED if page.broken else exit_codes.FINISHED


def sizes(model: Memory) -> str:
  """'(width=8, slots=5)': the numbers and words of a memory."""
  values = {
    field.name: getattr(model, field.name)
    for field in dataclasses.fields(model)
    if field.name != 'name'
  }
  shown = [
    f'{name}={value}'
    for name, value in values.items()
    if isinstance(value, int | float | str)
  ]
  return f'({", ".join(shown)})'


def read_settings(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
  """{'name': NAME, 'slots': 8, 'layer': {'window': 4}} of the command line."""
  spec: dict[str, Any] = {'name': name}
  for path, text in settings.items():
    *sections, field = path.split('.')
    here = spec
    for section in sections:
      here = here.setdefault(section, {})
      require(isinstance(here, dict), path, text, f'{section} has a value')
    try:
      here[field] = ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a word
      here[field] = {'true': True, 'false': False}.get(text, text)
  return spec


def complete(spec: Mapping[str, Any]) -> dict[str, Any]:
  """The spec with a small number for each field that must be given.

  The name of a memory stands for the memory: 'gru.GRU' for {'name': 'gru.GRU'}.

  Raises:
    ConfigError: a memory that is named does not exist, or a section is not a
      field.
  """
  cls, whole = find_class(spec['name'], 'memjax.models', 'check'), dict(spec)
  known = {field.name: field for field in dataclasses.fields(cls)}
  for name, value in spec.items():
    if isinstance(value, Mapping) and name not in known:
      rule = f'no such field; {nearest(name, known)}'
      raise ConfigError(f'{spec["name"]}.{name}', dict(value), rule)
  for name, field in known.items():
    must = field.default is field.default_factory is dataclasses.MISSING
    if must and (name in SIZES or field.type in (int, 'int')):
      whole.setdefault(name, SIZES.get(name, SIZE))
    elif name == 'width':
      whole.setdefault(name, field.default)
    if field.type is Memory and isinstance(whole.get(name), str):
      whole[name] = {'name': whole[name]}
    inner = whole.get(name)
    if isinstance(inner, Mapping) and 'name' in inner:
      whole[name] = complete(inner)
      whole[name].pop('width', None)  # that of the memory around it
  return whole
