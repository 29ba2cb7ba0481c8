"""Reads a wandb sweep file and builds the commands of its trials.

`program`, `command`, `method` (grid, random, bayes), `metric`, `parameters`,
`early_terminate` (hyperband) and `run_cap` have the meaning that wandb's server
gives them, except that bayes is Optuna's TPE, not a Gaussian process. `name`,
`description`, `project` and `entity` are for the server only. Any other field
is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
import itertools
from pathlib import Path
import sys
from typing import Any, Literal, NamedTuple, TypeAlias

import yaml

from memjax.errors import ConfigError, require
from memjax.sweep.parameters import (
  Range,
  Scalar,
  Values,
  read_parameter,
  require_fields,
)

Goal: TypeAlias = Literal['minimize', 'maximize']

FOR_THE_SERVER = ('name', 'description', 'project', 'entity')
KEYS = (
  *('program', 'command', 'method', 'metric', 'parameters'),
  *('early_terminate', 'run_cap', *FOR_THE_SERVER),
)
METHODS = ('grid', 'random', 'bayes')
COMMAND = ('${env}', '${interpreter}', '${program}', '${args}')


class Hyperband(NamedTuple):
  """When trials are pruned, in evaluations of the metric.

  Attributes:
    min_evaluations: evaluations that every trial gets.
    max_evaluations: evaluations of a whole run; 0: those of the first trial
      that finishes.
    eta: one of `eta` trials continues at each halving.
  """

  min_evaluations: int
  max_evaluations: int
  eta: int


class Sweep(NamedTuple):
  """A sweep file.

  Attributes:
    name: the file's name without folder and ending.
    content: the whole file.
    program: the script to run.
    words: the command, with wandb's macros.
    method: grid, random or bayes.
    metric: an evaluation set and its metric, such as 'held_out/loss'.
    goal: minimize or maximize.
    parameters: by the flag that each one sets, in the file's order.
    hyperband: when trials are pruned; None: never.
    trials: number of trials in all.
  """

  name: str
  content: Mapping[str, Any]
  program: str
  words: Sequence[str]
  method: str
  metric: str
  goal: Goal
  parameters: Mapping[str, Values | Range]
  hyperband: Hyperband | None
  trials: int

  def varying(self) -> list[str]:
    """The flags that have more than one value."""
    return [
      name
      for name, choices in self.parameters.items()
      if isinstance(choices, Range) or len(choices.values) > 1
    ]

  def command(self, values: Mapping[str, Scalar]) -> list[str]:
    """The command of wandb's agent for these values, with this Python."""
    macros = {
      '${env}': ['/usr/bin/env'],
      '${interpreter}': [sys.executable],
      '${program}': [self.program],
      '${args}': [f'--{name}={value}' for name, value in values.items()],
    }
    parts = [macros.get(word, [word]) for word in self.words]
    return list(itertools.chain.from_iterable(parts))


def read_sweep(path: Path) -> Sweep:
  """The sweep of a file.

  Raises:
    ConfigError: the file cannot be read, or a field is not supported; the
      message names file, field, value and rule.
  """
  try:
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    require(
      isinstance(content, dict),
      'sweep',
      content,
      'must be a YAML mapping of fields',
    )
    return _sweep(path.stem, content)
  except OSError as error:
    raise ConfigError('sweep', str(path), str(error.strerror)) from None
  except (yaml.YAMLError, UnicodeError) as error:
    reason = ' '.join(str(error).split())
    rule = f'is not valid YAML: {reason}'
    raise ConfigError('sweep', str(path), rule) from None
  except ConfigError as error:
    field = f'{path}: {error.field}'
    raise ConfigError(field, error.value, error.rule) from None


def dotted(
  specs: Mapping[str, Any], prefix: str = ''
) -> Iterator[tuple[str, Any]]:
  """The entries of `parameters`; nested ones by their dotted names."""
  for key, entry in specs.items():
    inner = entry.get('parameters') if isinstance(entry, dict) else None
    if isinstance(inner, dict) and inner and len(entry) == 1:
      yield from dotted(inner, f'{prefix}{key}.')
    else:
      yield f'{prefix}{key}', entry


def _sweep(name: str, content: dict[str, Any]) -> Sweep:
  require_fields(content, KEYS, '')
  for field in ('program', 'method', 'metric', 'parameters'):
    require(field in content, field, '', 'must be given')
  method, program = content['method'], content['program']
  rule = f'must be one of {", ".join(METHODS)}'
  require(method in METHODS, 'method', method, rule)
  require(
    isinstance(program, str), 'program', program, 'must be the path of a script'
  )
  metric, goal = _metric(content['metric'])
  specs = content['parameters']
  rule = 'must give at least one flag and its values'
  require(isinstance(specs, dict) and bool(specs), 'parameters', specs, rule)
  parameters = {k: read_parameter(k, entry) for k, entry in dotted(specs)}
  return Sweep(
    name=name,
    content=content,
    program=program,
    words=_words(content.get('command', COMMAND)),
    method=method,
    metric=metric,
    goal=goal,
    parameters=parameters,
    hyperband=_hyperband(content.get('early_terminate')),
    trials=_trials(method, parameters, content.get('run_cap')),
  )


def _metric(entry: Any) -> tuple[str, Goal]:
  require_fields(entry, ('name', 'goal'), 'metric')
  name, goal = entry.get('name', ''), entry.get('goal', 'minimize')
  rule = 'must be SET/METRIC, such as validation/bits_per_byte'
  parts = name.split('/') if isinstance(name, str) else []
  require(len(parts) == 2 and all(parts), 'metric.name', name, rule)
  rule = 'must be minimize or maximize'
  require(goal in ('minimize', 'maximize'), 'metric.goal', goal, rule)
  return name, goal


def _words(words: Any) -> list[str]:
  rule = 'must be a list of words'
  require(isinstance(words, list | tuple), 'command', words, rule)
  words = [str(word) for word in words]
  rule = f'is not supported; use {", ".join(COMMAND)}'
  for word in words:
    require('${' not in word or word in COMMAND, 'command', word, rule)
    if word.startswith('--workdir'):
      own = 'cannot be set: every trial has its own workdir'
      raise ConfigError('command', word, own)
  for word in COMMAND[2:]:
    require(word in words, 'command', words, f'must contain {word}')
  return words


def _hyperband(entry: Any) -> Hyperband | None:
  if entry is None:
    return None
  within = 'early_terminate'
  fields = ('type', 'min_iter', 'max_iter', 's', 'eta')
  require_fields(entry, fields, within)
  kind = entry.get('type')
  require(kind == 'hyperband', f'{within}.type', kind, 'must be hyperband')
  for key in set(entry) - {'type'}:
    least = 2 if key == 'eta' else 1
    rule = f'must be a whole number, at least {least}'
    whole = isinstance(entry[key], int) and entry[key] >= least
    require(whole, f'{within}.{key}', entry[key], rule)
  eta, most = entry.get('eta', 3), entry.get('max_iter', 0)
  rule = 'needs min_iter, or max_iter and s'
  enough = 'min_iter' in entry or {'max_iter', 's'} <= set(entry)
  require(enough, within, dict(entry), rule)
  rule = 'cannot be given together with min_iter'
  both = {'min_iter', 's'} <= set(entry)
  require(not both, f'{within}.s', entry.get('s'), rule)
  least = entry.get('min_iter') or max(most // eta ** entry['s'], 1)
  rule = f'must be above min_iter {least}'
  require(most == 0 or most > least, f'{within}.max_iter', most, rule)
  return Hyperband(least, most, eta)


def _trials(
  method: str, parameters: Mapping[str, Values | Range], cap: Any
) -> int:
  rule = 'must be a whole number, at least 1'
  valid = cap is None or (isinstance(cap, int) and cap >= 1)
  require(valid, 'run_cap', cap, rule)
  if method != 'grid':
    rule = f'must give the number of trials: {method} has no end of its own'
    require(cap is not None, 'run_cap', cap, rule)
    return cap
  points = 1
  for name, choices in parameters.items():
    if isinstance(choices, Range):
      rule = 'must have value or values: a grid takes no ranges'
      raise ConfigError(f'parameters.{name}', 'min and max', rule)
    points *= len(choices.values)
  return min(points, cap or points)
