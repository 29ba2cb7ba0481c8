"""A wandb sweep file: the part of it that runs here, and its commands.

`program`, `command`, `method` (grid, random, bayes), `metric`, `parameters`,
`early_terminate` (hyperband) and `run_cap` mean what they mean to wandb's
server, save that bayes is Optuna's TPE, not a Gaussian process. `name`,
`description`, `project` and `entity` are for the server alone. Anything else is
refused.
"""

from collections.abc import Mapping, Sequence
import itertools
from pathlib import Path
import sys
from typing import Any, Literal, NamedTuple, TypeAlias

import yaml

from memjax.errors import ConfigError, require
from memjax.sweep.parameters import Range, Scalar, Values, known, parameter

Goal: TypeAlias = Literal['minimize', 'maximize']

FOR_THE_SERVER = ('name', 'description', 'project', 'entity')
KEYS = (
  *('program', 'command', 'method', 'metric', 'parameters'),
  *('early_terminate', 'run_cap', *FOR_THE_SERVER),
)
METHODS = ('grid', 'random', 'bayes')
COMMAND = ('${env}', '${interpreter}', '${program}', '${args}')


class Hyperband(NamedTuple):
  """When a trial is given up, counted in evaluations of the metric.

  Attributes:
    least: evaluations that every trial gets.
    most: evaluations of a whole run; 0: those of the first that ends.
    eta: one of so many goes on each time.
  """

  least: int
  most: int
  eta: int


class Sweep(NamedTuple):
  """What a file says.

  Attributes:
    name: the file's own, without folder and ending.
    content: all of it.
    program: what is run.
    words: the command, wandb's macros in it.
    method: grid, random or bayes.
    metric: an evaluation set and what is measured on it, 'held_out/loss'.
    goal: minimize or maximize.
    parameters: by the flag they set, in the file's order.
    hyperband: when a trial is given up, if ever.
    trials: how many there are in all.
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
    """What wandb's agent runs for these values, by this very interpreter."""
    macros = {
      '${env}': ['/usr/bin/env'],
      '${interpreter}': [sys.executable],
      '${program}': [self.program],
      '${args}': [f'--{name}={value}' for name, value in values.items()],
    }
    parts = [macros.get(word, [word]) for word in self.words]
    return list(itertools.chain.from_iterable(parts))


def read(path: Path) -> Sweep:
  """The sweep of a file.

  Raises:
    ConfigError: there is none, or it says what is not done here; the message
      names file, field, value and rule.
  """
  try:
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    require(isinstance(content, dict), 'sweep', content, 'holds no fields')
    return _sweep(path.stem, content)
  except OSError as error:
    raise ConfigError('sweep', str(path), str(error.strerror)) from None
  except (yaml.YAMLError, UnicodeError) as error:
    said = ' '.join(str(error).split())
    raise ConfigError('sweep', str(path), f'is no YAML: {said}') from None
  except ConfigError as error:
    field = f'{path}: {error.field}'
    raise ConfigError(field, error.value, error.rule) from None


def _sweep(name: str, content: dict[str, Any]) -> Sweep:
  known(content, KEYS, '')
  for field in ('program', 'method', 'metric', 'parameters'):
    require(field in content, field, '', 'must be given')
  method, program = content['method'], content['program']
  rule = f'must be one of {", ".join(METHODS)}'
  require(method in METHODS, 'method', method, rule)
  require(isinstance(program, str), 'program', program, 'must be a file')
  metric, goal = _metric(content['metric'])
  specs = content['parameters']
  rule = 'must name the flags that vary'
  require(isinstance(specs, dict) and bool(specs), 'parameters', specs, rule)
  parameters = {name: parameter(name, specs[name]) for name in specs}
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


def _metric(said: Any) -> tuple[str, Goal]:
  known(said, ('name', 'goal'), 'metric')
  name, goal = said.get('name', ''), said.get('goal', 'minimize')
  rule = 'must be SET/METRIC, as in validation/bits_per_byte'
  parts = name.split('/') if isinstance(name, str) else []
  require(len(parts) == 2 and all(parts), 'metric.name', name, rule)
  rule = 'must be minimize or maximize'
  require(goal in ('minimize', 'maximize'), 'metric.goal', goal, rule)
  return name, goal


def _words(words: Any) -> list[str]:
  rule = 'must be a list of words'
  require(isinstance(words, list | tuple), 'command', words, rule)
  words = [str(word) for word in words]
  rule = f'is not done here; known: {", ".join(COMMAND)}'
  for word in words:
    require('${' not in word or word in COMMAND, 'command', word, rule)
    given = word.startswith('--workdir')
    require(not given, 'command', word, 'every trial has a workdir of its own')
  for word in COMMAND[2:]:
    require(word in words, 'command', words, f'must hold {word}')
  return words


def _hyperband(said: Any) -> Hyperband | None:
  if said is None:
    return None
  within = 'early_terminate'
  known(said, ('type', 'min_iter', 'max_iter', 's', 'eta'), within)
  kind = said.get('type')
  require(kind == 'hyperband', f'{within}.type', kind, 'must be hyperband')
  for key in set(said) - {'type'}:
    least = 2 if key == 'eta' else 1
    rule = f'must be a whole number, at least {least}'
    whole = isinstance(said[key], int) and said[key] >= least
    require(whole, f'{within}.{key}', said[key], rule)
  eta, most = said.get('eta', 3), said.get('max_iter', 0)
  rule = 'needs min_iter, or max_iter and s'
  enough = 'min_iter' in said or {'max_iter', 's'} <= set(said)
  require(enough, within, dict(said), rule)
  rule = 'is instead of min_iter'
  either = not {'min_iter', 's'} <= set(said)
  require(either, f'{within}.s', said.get('s'), rule)
  least = said.get('min_iter') or max(most // eta ** said['s'], 1)
  rule = f'must be above min_iter {least}'
  require(most == 0 or most > least, f'{within}.max_iter', most, rule)
  return Hyperband(least, most, eta)


def _trials(
  method: str, parameters: Mapping[str, Values | Range], cap: Any
) -> int:
  rule = 'must be a whole number, at least 1'
  whole = cap is None or (isinstance(cap, int) and cap >= 1)
  require(whole, 'run_cap', cap, rule)
  if method != 'grid':
    rule = f'must say how many trials {method} makes: it has no end of its own'
    require(cap is not None, 'run_cap', cap, rule)
    return cap
  points = 1
  for name, choices in parameters.items():
    if isinstance(choices, Range):
      rule = 'must have value or values: a grid has no ranges'
      raise ConfigError(f'parameters.{name}', 'min and max', rule)
    points *= len(choices.values)
  return min(points, cap or points)
