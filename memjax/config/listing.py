"""The lines of `memjax --list` and `memjax --list NAME`, 80 columns wide."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import difflib
from functools import partial
import inspect
import runpy
import textwrap
from typing import Any

from memjax.config import catalogue
from memjax.config.catalogue import KINDS, OPTIONS, REQUIRED, Field
from memjax.config.config_file import FOLDER, HERE, names
from memjax.config.find import find_class
from memjax.config.sections import SECTIONS
from memjax.errors import ConfigError

Entry = tuple[str, Any, Callable[[], list[Field]]]
WIDTH = 80
OF_OPTAX = {
  'optim.options': 'Optimisers: optim.name',
  'optim.schedule_options': 'Schedules: optim.schedule',
}


def lines(words: Sequence[str]) -> Iterable[str]:
  """What `--list` shows, alone or with a name after it.

  Raises:
    ConfigError: nothing has this name.
  """
  args = [word for word in words if not word.startswith('--list')]
  args += [w.partition('=')[2] for w in words if w.startswith('--list=')]
  return describe(args[0]) if args else everything()


def everything() -> Iterator[str]:
  """Every config, model, task, evaluation and instrument."""
  models = _constants('models')['MODELS']
  yield 'Configs: --config=FILE:VARIANT or --config=NAME:VARIANT'
  for name in names():
    found = _constants(name)
    yield f'\n  {HERE / name}.py'
    yield from _wrapped(_idea(found['__doc__']))
    yield from _wrapped(summarise_variants(found.get('VARIANTS', ()), models))
  yield '\n  MODEL is one of'
  yield from _wrapped(', '.join(models))
  for kind, (_, _, used) in KINDS.items():
    yield f'\n{kind}: {used}'
    for name, cls in catalogue.classes_of(kind).items():
      yield f'  {name}'
      yield from _wrapped(_idea(cls.__doc__))
  for section, title in OF_OPTAX.items():
    yield f'\n{title}'
    yield from _wrapped(', '.join(sorted(catalogue.functions_of(section))))
  yield f'\nSections: {", ".join(SECTIONS)}'
  yield '--list NAME shows the fields of a section, of one of the above, of an'
  yield 'optimiser or of a schedule of optax: memjax --list adamw'


def describe(name: str) -> list[str]:
  """The fields of everything with this name.

  Args:
    name: a section, `optim`; a class, `lstm.LSTM`, `lstm` or `LSTM`; the full
      path of a user's own class; an optimiser or a schedule, `adamw`; a config,
      `mqar`, which has variants in place of fields.

  Raises:
    ConfigError: nothing has this name.
  """
  known: dict[str, list[str]] = {}
  for title, value, fields in _entries():
    known.setdefault(title.partition(':')[0], [])
    if _is_called(title.partition(':')[0], name):
      known[title.partition(':')[0]] += _described(title, value, fields())
  found = [line for shown in known.values() for line in shown]
  if name in names():
    found = [*_config(name), '', *found]
  if found:
    return found[:-1]
  if name in ('task', 'model', 'evals'):
    rule = 'names a class: give the class, mqar.MQAR; --list shows all'
    raise ConfigError('list', name, rule)
  module = name.rpartition('.')[0]
  if module and module not in {path.rpartition('.')[0] for path in known}:
    cls = find_class(name, 'memjax.models', 'list')
    return _described(name, cls, catalogue.fields(cls))[:-1]
  words = {word for path in known for word in (path, *path.split('.'))}
  words |= {*names()}
  near = difflib.get_close_matches(name, sorted(words), 3)
  rule = f'did you mean {" or ".join(near)}? ' if near else ''
  raise ConfigError('list', name, f'has no fields; {rule}--list shows all')


def summarise_variants(variants: Sequence[str], models: Sequence[str]) -> str:
  """The variants, with `MODEL` in place of all models."""
  tasks = list(dict.fromkeys(v.partition('-')[0] for v in variants))
  if list(variants) == list(models):
    return 'MODEL'
  if set(variants) == {f'{task}-{model}' for task in tasks for model in models}:
    return ', '.join(f'{task}-MODEL' for task in tasks)
  return ', '.join(variants)


def describe_field(field: Field) -> list[str]:
  """`name: type = default`, and the meaning below."""
  default = field.default
  if default is REQUIRED:
    value = ', must be given'
  else:
    shown = getattr(default, '__name__', None) or repr(default)
    value = f' = {shown}'
  kind = f': {field.type_name}' if field.type_name else ''
  head = textwrap.shorten(f'{field.name}{kind}{value}', WIDTH - 2)
  return [f'  {head}', *_wrapped(field.meaning, 6)]


def _config(name: str) -> list[str]:
  """What a config file says of itself, and its variants."""
  found = _constants(name)
  text = inspect.cleandoc(found['__doc__']).splitlines()
  variants = ', '.join(found.get('VARIANTS', ()))
  return [
    f'{HERE / name}.py: --config={name}:VARIANT',
    *text,
    'Variants, each with or without ,quick:',
    *_wrapped(variants, 2),
  ]


def _constants(config: str) -> dict[str, Any]:
  """The names that a config file of memjax defines."""
  return runpy.run_path(str(FOLDER / f'{config}.py'))


def _entries() -> Iterator[Entry]:
  """Everything that has fields: (title, class or function, its fields)."""
  for section, cls in SECTIONS.items():
    yield section, cls, partial(catalogue.section_fields, section)
  group = catalogue.load(catalogue.GROUP)
  yield 'optim.groups', group, catalogue.group_fields
  for kind, (_, _, used) in KINDS.items():
    for name, cls in catalogue.classes_of(kind).items():
      read = catalogue.fields
      if kind == 'Evaluations':
        read = catalogue.evaluation_fields
      yield f'{name}: {used}', cls, partial(read, cls)
  for section in OPTIONS:
    for name, function in catalogue.functions_of(section).items():
      of_function = partial(catalogue.options, section, function)
      yield f'{name}: {section}', function, of_function


def _described(title: str, value: Any, fields: Sequence[Field]) -> list[str]:
  lines = [title, *_wrapped(catalogue.summary(value), 2), '']
  for field in fields:
    lines += describe_field(field)
  if not fields:
    lines.append('  It has no fields.')
  return [*lines, '']


def _is_called(path: str, name: str) -> bool:
  """Whether a user who writes `name` means the thing at `path`."""
  words = path.lower()
  return name.lower() in (words, *words.split('.')) and name != 'contrib'


def _idea(docstring: str | None) -> str:
  """The first line of a docstring."""
  return inspect.cleandoc(docstring or '').partition('\n')[0]


def _wrapped(words: str, margin: int = 4) -> list[str]:
  return textwrap.wrap(
    words,
    WIDTH,
    initial_indent=' ' * margin,
    subsequent_indent=' ' * margin,
    break_on_hyphens=False,
  )
