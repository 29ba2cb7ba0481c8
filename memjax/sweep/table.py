"""What a sweep found, best first: on the terminal and as `table.csv`."""

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
  TrialState.COMPLETE: 'done',
  TrialState.PRUNED: 'given up',
  TrialState.RUNNING: 'running',
  TrialState.FAIL: 'failed',
}
WIDTH = 120  # characters, where there is no terminal to ask


def ranked(sweep: Sweep, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
  """Best first: whole runs, then those given up, running, failed."""
  sign = 1 if sweep.goal == 'minimize' else -1

  def key(trial: FrozenTrial) -> tuple[int, float, int]:
    value = 0.0 if trial.value is None else sign * trial.value
    return list(STATES).index(trial.state), value, trial.number

  return sorted(trials, key=key)


def write(sweep: Sweep, study: Study) -> Path:
  """Writes `table.csv`; returns where."""
  path = study.folder / 'table.csv'
  columns = ('trial', 'state', sweep.metric, 'step', *sweep.parameters)
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow((*columns, 'workdir', 'reason'))
    for trial in ranked(sweep, study.trials()):
      values = [trial.params[name] for name in sweep.parameters]
      said = trial.user_attrs
      row = (trial.number, STATES[trial.state], trial.value, said['step'])
      workdir = study.workdir(trial.number)
      writer.writerow((*row, *values, workdir, said['reason']))
  return path


def show(sweep: Sweep, study: Study) -> None:
  """Prints the table, of the parameters that vary."""
  console = Console()
  if not console.is_terminal:
    console.width = WIDTH
  table = Table(box=box.SIMPLE_HEAD)
  table.add_column('trial', justify='right')
  flags = sweep.varying()
  for name in (*short(flags), sweep.metric, 'step'):
    table.add_column(name, justify='right', overflow='fold')
  table.add_column('state', overflow='fold')
  for trial in ranked(sweep, study.trials()):
    values = [plain(trial.params[flag]) for flag in flags]
    value = '' if trial.value is None else format_number(trial.value)
    said = trial.user_attrs
    state = STATES[trial.state] + f': {said["reason"]}' * bool(said['reason'])
    step = str(said['step'])
    table.add_row(str(trial.number), *values, value, step, Text(state))
  console.print(table)


def described(sweep: Sweep, values: Mapping[str, Scalar]) -> str:
  """'learning_rate 0.001, width 64', of the parameters that vary."""
  flags = sweep.varying()
  pairs = zip(short(flags), flags, strict=True)
  return ', '.join(f'{name} {plain(values[flag])}' for name, flag in pairs)


def short(names: Sequence[str]) -> list[str]:
  """The last parts of dotted names, more of them where two would be one."""
  parts = [name.split('.') for name in names]
  lengths = range(1, max([1, *map(len, parts)]) + 1)
  cuts = (['.'.join(part[-length:]) for part in parts] for length in lengths)
  return next(cut for cut in cuts if len(set(cut)) == len(names))


def plain(value: Scalar) -> str:
  """A value as a table shows it."""
  return f'{value:.4g}' if isinstance(value, float) else str(value)
