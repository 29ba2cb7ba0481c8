"""Compares a sweep with the configs it changes, before anything runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from memjax.config import command_line
from memjax.config.overrides import override
from memjax.errors import ConfigError, nearest, require
from memjax.sweep.file import Sweep
from memjax.sweep.parameters import Scalar, Values


def check(sweep: Sweep, path: Path) -> None:
  """Requires program, configs, their fields and the metric's set to exist.

  Every value of every parameter is checked once. A value that only building
  the model can refuse makes its trial fail.

  Raises:
    ConfigError: something is missing; the message names the file.
  """
  try:
    exists = Path(sweep.program).is_file()
    require(exists, 'program', sweep.program, 'does not exist')
    for name in sweep.parameters:
      rule = 'sets no field: write config. before it, config.optim.NAME'
      require(name.startswith('config.'), f'parameters.{name}', name, rule)
    for values in samples(sweep):
      _check_command(sweep, sweep.command(values))
  except ConfigError as error:
    field = f'{path}: {error.field}'
    raise ConfigError(field, error.value, error.rule) from None


def samples(sweep: Sweep) -> Iterator[Mapping[str, Scalar]]:
  """Parameter values that cover every listed value and both range ends."""
  listed = {
    name: p.values if isinstance(p, Values) else (p.low, p.high)
    for name, p in sweep.parameters.items()
  }
  for i in range(max(map(len, listed.values()))):
    yield {name: values[i % len(values)] for name, values in listed.items()}


def _check_command(sweep: Sweep, command: list[str]) -> None:
  files = [word for word in command if word.startswith('--config=')]
  rule = 'must contain one --config=FILE'
  require(len(files) == 1, 'command', ' '.join(files), rule)
  config = command_line.read_config_file(files[0].removeprefix('--config='))
  override(config, command)
  evaluated, _, _ = sweep.metric.partition('/')
  known = ('train', *config['evals'])
  rule = (
    f'{files[0]} has no evaluation set {evaluated}; {nearest(evaluated, known)}'
  )
  require(evaluated in known, 'metric.name', sweep.metric, rule)
