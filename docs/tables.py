"""Writes the generated tables of docs/: python -m docs.tables

A table stands between two comments of a page, `<!-- table: NAME -->` and
`<!-- end of table -->`. It is read from classes, their docstrings and the
default config. The rest of a page is written by hand.
"""

from collections.abc import Callable, Iterable, Mapping
import inspect
from pathlib import Path
import re
import sys
from types import ModuleType
from typing import Any

from memjax.config.catalogue import (
  REQUIRED,
  classes_of,
  evaluation_fields,
  fields,
  section_fields,
)
from memjax.config.sections import SECTIONS
from memjax.evaluation.stream import Loss
from memjax.report.instruments import find_instruments
from memjax.runs import exit_codes
from memjax.tasks.base import Task

DOCS = Path(__file__).parent
SLOT = re.compile(
  r'(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)', re.DOTALL
)
HEADING = r'[A-Z][a-z]+(?: [a-z]+){0,2}:'
NAME = r"[^\W\d_a-z][\w'-]+"
PAPER = re.compile(
  rf'({NAME}(?:(?:, | & ){NAME})*(?: et al\.)? (?:19|20)\d\d)'
  r'(?:(?!http|\d{4}).)*(https?://\S*\w)'
)
FIRST = ('accuracy', 'recall', 'closing', 'bits_wrong')  # else the first metric

Row = tuple[str, ...]


def main() -> None:
  """Writes every page whose tables have changed."""
  for page in sorted(DOCS.glob('*.md')):
    old = page.read_text(encoding='utf-8')
    new = fill(old)
    if new != old:
      page.write_text(new, encoding='utf-8')
      print(page, file=sys.stderr)


def fill(text: str) -> str:
  """The page with each of its tables as the classes are now."""
  return SLOT.sub(lambda m: f'{m[1]}\n{TABLES[m[2]]()}\n\n{m[3]}', text)


def table(header: str, rows: Iterable[Row]) -> str:
  """Markdown of a table; `header` has its titles, separated by ` | `."""
  rule = '|---' * len(header.split(' | ')) + '|'
  cells = ([one_line(cell) for cell in row] for row in rows)
  lines = [f'| {" | ".join(row)} |' for row in cells]
  return '\n'.join([f'| {header} |', rule, *lines])


def one_line(text: str) -> str:
  """The text as a cell of a table."""
  return ' '.join(text.split()).replace('|', r'\|')


def link(value: type, name: str) -> str:
  """The class's name in a config, linked to its file."""
  return f'[`{name}`](../{value.__module__.replace(".", "/")}.py)'


def module(value: type) -> ModuleType:
  return sys.modules[value.__module__]


def doc(value: object) -> str:
  return inspect.getdoc(value) or ''


def idea(value: object) -> str:
  """The first line of the docstring."""
  return doc(value).partition('\n')[0]


def block(text: str, heading: str) -> str:
  """What stands under a heading of a docstring, as one line; '' if nothing."""
  end = rf'(?=\s{HEADING}|\n\n|\Z)'
  found = re.search(rf'\b{heading}:\s*(.*?){end}', text, re.DOTALL)
  return one_line(found[1]) if found else ''


def sentence(text: str) -> str:
  """The first sentence, without its full stop."""
  return re.split(r'\.(?:\s|$)|;\s', text, maxsplit=1)[0]


def papers(text: str) -> str:
  """Links to the papers of a docstring."""
  found = PAPER.findall(block(text, 'Papers?'))
  return ', '.join(f'[{name}]({url})' for name, url in found)


def models() -> str:
  found = list(classes_of('Models').items())
  files = [cls.__module__ for _, cls in found]
  rows = (
    (
      link(cls, name),
      idea(cls if files.count(cls.__module__) > 1 else module(cls)),
      sentence(block(doc(module(cls)), 'Carry')),
      sentence(block(doc(module(cls)), 'Cost per step')),
      papers(doc(module(cls))),
    )
    for name, cls in found
  )
  return table('name | what it is | carry | cost per step | paper', rows)


def tasks() -> str:
  rows = (
    (
      link(cls, name),
      idea(module(cls)),
      baseline(cls),
      papers(doc(module(cls))),
    )
    for name, cls in classes_of('Tasks').items()
  )
  return table('name | task | baselines | source', rows)


def baseline(cls: type[Task]) -> str:
  """What simple predictors score, with the default fields.

  A corpus's baselines are named without a value: they depend on the text.
  """
  splits = any(field.name == 'split' for field in fields(cls))
  task = cls(**({'split': 'validation'} if splits else {}))
  if not task.baselines:
    return ''
  metric = next(m for m in [*FIRST, *task.baselines] if m in task.baselines)
  names = task.baselines[metric]
  if task.fingerprint():
    return f'{metric}: {", ".join(names)}'
  values = ', '.join(f'{name} {value:.3g}' for name, value in names.items())
  return f'{metric}: {values}'


def instruments() -> str:
  rows = (
    (
      f'[{one.title}](../memjax/analysis/{type(one).__module__.split(".")[-1]}.py)',
      idea(type(one)),
    )
    for one in find_instruments()
  )
  return table('instrument | what it measures', rows)


def evaluations() -> str:
  rows = (
    (link(cls, name), idea(cls))
    for name, cls in classes_of('Evaluations').items()
  )
  return table('`evals.SET.name` | what it measures', rows)


def config_fields() -> str:
  seed = ('`seed`', '`0`', 'Seed of the run.')
  rows = [
    (f'`{section}.{field.name}`', shown(field.default), field.meaning)
    for section in SECTIONS
    for field in section_fields(section)
  ]
  return table('field | default | meaning', [seed, *rows])


def fields_of_evaluations() -> str:
  rows = [
    (f'`evals.SET.{field.name}`', shown(field.default), field.meaning)
    for field in evaluation_fields(Loss)
  ]
  return table('field | default | meaning', rows)


def shown(value: Any) -> str:
  """A default as a cell."""
  if value is REQUIRED:
    return 'required'
  if isinstance(value, Mapping):
    fields = ', '.join(f'{k} {shown(v)}' for k, v in value.items())
    return fields or 'none'
  return 'empty' if value == '' else f'`{value}`'


def exit_code_rows() -> str:
  found = re.findall(
    r'^ +(\d+) +(.*(?:\n +[^\s\d].*)*)$', doc(exit_codes), re.MULTILINE
  )
  rows = [(code, ' '.join(meaning.split())) for code, meaning in found]
  return table('code | meaning', rows)


TABLES: dict[str, Callable[[], str]] = {
  'models': models,
  'tasks': tasks,
  'instruments': instruments,
  'evaluations': evaluations,
  'config': config_fields,
  'evaluation_fields': fields_of_evaluations,
  'exit_codes': exit_code_rows,
}


if __name__ == '__main__':
  main()
