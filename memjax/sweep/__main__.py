"""Runs the trials of a wandb sweep file, without a server.

    python -m memjax.sweep FILE [--workers=1] [--folder=runs/sweeps/NAME]

Every trial is a run in its own workdir, FOLDER/trial-0000 and so on. The same
command resumes the sweep, also after kill -9. Run on several machines with one
FOLDER, it shares the trials among them. At the end it prints a table and writes
table.csv and parallel_coordinates.png.
"""

import argparse
from pathlib import Path
import sys

from memjax.errors import ConfigError, require
from memjax.runs import exit_codes
from memjax.sweep import file
from memjax.sweep.check import check


def main(args: list[str] | None = None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(
    'memjax.sweep',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument('file', type=Path)
  parser.add_argument(
    '--workers', type=int, default=1, help='number of trials at a time'
  )
  parser.add_argument('--folder', type=Path, help='folder of the trials')
  options = parser.parse_args(args)
  try:
    rule = 'must be at least 1'
    require(options.workers >= 1, 'workers', options.workers, rule)
    sweep = file.read_sweep(options.file)
    check(sweep, options.file)
    folder = options.folder or Path('runs/sweeps') / sweep.name
    return run(sweep, folder, options.workers)
  except ConfigError as error:
    return print_error(error, exit_codes.REFUSED)
  except OSError as error:  # a full disk, a folder taken away
    return print_error(f'{error.filename}: {error.strerror}', exit_codes.FAILED)


def print_error(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'memjax.sweep: {message}', file=sys.stderr)
  return code


def run(sweep: file.Sweep, folder: Path, workers: int) -> int:
  """Runs the remaining trials of a sweep and shows the results."""
  try:
    from memjax.sweep import picture, table
    from memjax.sweep.study import Study
    from memjax.sweep.workers import run_trials
  except ModuleNotFoundError as error:
    if error.name != 'optuna':
      raise
    message = 'optuna is not installed: pip install optuna'
    return print_error(message, exit_codes.REFUSED)
  study = Study(sweep, folder)
  if not run_trials(sweep, study, workers):
    print(f'stopped and saved in {folder}: the same command resumes')
    return exit_codes.STOPPED
  table.print_table(sweep, study)
  paths = [table.write_table(sweep, study)]
  if all(trial.value is None for trial in study.trials()):
    message = f'{folder}: no trial has a value; the reasons are in {paths[0]}'
    return print_error(message, exit_codes.FAILED)
  paths.append(folder / 'parallel_coordinates.png')
  picture.draw(sweep, study.trials(), paths[1])
  print(
    f'Everything is in {folder}: {", ".join(p.name for p in paths)}, trial-*'
  )
  return exit_codes.FINISHED


if __name__ == '__main__':
  sys.exit(main())
