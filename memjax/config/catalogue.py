"""What there is to run: every config, model, task and evaluation."""

from collections.abc import Iterator, Sequence
import inspect
import runpy
import textwrap

from memjax.config.config_file import FOLDER, HERE, names
from memjax.config.find import classes
from memjax.evaluation.base import Evaluation
from memjax.models.base import Memory
from memjax.tasks.base import Task

WIDTH = 80


def catalogue() -> Iterator[str]:
  """The lines of `memjax --list`."""
  models = runpy.run_path(str(FOLDER / 'models.py'))['MODELS']
  yield 'Configs: --config=FILE:VARIANT'
  for name in names():
    found = runpy.run_path(str(FOLDER / f'{name}.py'))
    yield f'\n  {HERE / name}.py\n    {_idea(found["__doc__"])}'
    yield from _wrapped(summarise_variants(found.get('VARIANTS', ()), models))
  yield '\n  MODEL is one of'
  yield from _wrapped(', '.join(models))
  yield '\nModels: model.layer.name inside a stack.Stack, or model.name'
  yield from _classes('memjax.models', Memory)
  yield '\nTasks: task.name'
  yield from _classes('memjax.tasks', Task)
  yield '\nEvaluations: evals.SET.name'
  yield from _classes('memjax.evaluation', Evaluation)


def summarise_variants(variants: Sequence[str], models: Sequence[str]) -> str:
  """The variants, with `MODEL` in place of all models."""
  tasks = list(dict.fromkeys(v.partition('-')[0] for v in variants))
  if list(variants) == list(models):
    return 'MODEL'
  if set(variants) == {f'{task}-{model}' for task in tasks for model in models}:
    return ', '.join(f'{task}-MODEL' for task in tasks)
  return ', '.join(variants)


def _wrapped(words: str) -> list[str]:
  margin = '    '
  return textwrap.wrap(
    words,
    WIDTH,
    initial_indent=margin,
    subsequent_indent=margin,
    break_on_hyphens=False,
  )


def _classes(package: str, kind: type) -> Iterator[str]:
  """Every class of the kind that a config can name, and its idea."""
  for path, value in classes(package):
    if issubclass(value, kind) and _is_whole(value):
      yield f'  {path:36}  {_idea(value.__doc__)}'


def _is_whole(value: type) -> bool:
  """Whether the class has every method that its contract requires."""
  return not inspect.isabstract(value)


def _idea(docstring: str | None) -> str:
  """The first line of a docstring."""
  return (docstring or '').strip().partition('\n')[0]
