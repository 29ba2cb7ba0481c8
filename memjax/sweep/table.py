"""The results of a sweep, best first: on the terminal and as `table.csv`."""

from collections.abc import Mapping, Sequence
import csv
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memjax.logs.console import format_number
from memjax.sweep.file import Sweep
from memjax.sweep.parameters import Scalar
from memjax.sweep.study import Study

STATES = {
  TrialState.COMPLETE: 'finished',
  TrialState.PRUNED: 'pruned',
  TrialState.RUNNING: 'running',
  TrialState.FAIL: 'failed',
}
WIDTH = 120  # characters, if the output is not a terminal


def rank(sweep: Sweep, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
  """Best first: finished trials, then pruned, running and failed ones."""
  sign = 1 if sweep.goal == 'minimize' else -1

  def key(trial: FrozenTrial) -> tuple[int, float, int]:
    value = 0.0 if trial.value is None else sign * trial.value
    return list(STATES).index(trial.state), value, trial.number

  return sorted(trials, key=key)


def write_table(sweep: Sweep, study: Study) -> Path:
  """Writes `table.csv`; returns its path."""
  path = study.folder / 'table.csv'
  columns = ('trial', 'state', sweep.metric, 'step', *sweep.parameters)
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow((*columns, 'workdir', 'reason'))
    for trial in rank(sweep, study.trials()):
      values = [trial.params[name] for name in sweep.parameters]
      result = trial.user_attrs
      row = (trial.number, STATES[trial.state], trial.value, result['step'])
      workdir = study.workdir(trial.number)
      writer.writerow((*row, *values, workdir, result['reason']))
  return path


def print_table(sweep: Sweep, study: Study) -> None:
  """Prints the table, with the parameters that vary."""
  console = Console()
  if not console.is_terminal:
    console.width = WIDTH
  table = Table(box=box.SIMPLE_HEAD)
  table.add_column('trial', justify='right')
  flags = sweep.varying()
  for name in (*shorten_names(flags), sweep.metric, 'step'):
    table.add_column(name, justify='right', overflow='fold')
  table.add_column('state', overflow='fold')
  for trial in rank(sweep, study.trials()):
    values = [format_value(trial.params[flag]) for flag in flags]
    value = '' if trial.value is None else format_number(trial.value)
    result = trial.user_attrs
    reason = result['reason']
    state = STATES[trial.state] + (f': {reason}' if reason else '')
    step = str(result['step'])
    table.add_row(str(trial.number), *values, value, step, Text(state))
  console.print(table)


def describe_values(sweep: Sweep, values: Mapping[str, Scalar]) -> str:
  """'learning_rate 0.001, width 64', for the parameters that vary."""
  flags = sweep.varying()
  pairs = zip(shorten_names(flags), flags, strict=True)
  return ', '.join(
    f'{name} {format_value(values[flag])}' for name, flag in pairs
  )


def shorten_names(names: Sequence[str]) -> list[str]:
  """The shortest ends of dotted names, equally deep, that all differ."""
  parts = [name.split('.') for name in names]
  lengths = range(1, max([1, *map(len, parts)]) + 1)
  ends = (['.'.join(part[-length:]) for part in parts] for length in lengths)
  return next(end for end in ends if len(set(end)) == len(names))


def format_value(value: Scalar) -> str:
  """A value as a table shows it."""
  return f'{value:.4g}' if isinstance(value, float) else str(value)
