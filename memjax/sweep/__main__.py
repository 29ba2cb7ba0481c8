"""Runs the trials of a wandb sweep file, without a server.

    python -m memjax.sweep FILE [--workers=1] [--folder=runs/sweeps/NAME]

Every trial is a run in a workdir of its own, FOLDER/trial-0000 and on. The
same command goes on where it was stopped, however it was stopped; on several
machines with one FOLDER it shares the sweep among them. At the end: a table,
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
  parser.add_argument('--workers', type=int, default=1, help='at a time')
  parser.add_argument('--folder', type=Path, help='where trials are kept')
  given = parser.parse_args(args)
  try:
    rule = 'must be at least 1'
    require(given.workers >= 1, 'workers', given.workers, rule)
    sweep = file.read(given.file)
    check(sweep, given.file)
    folder = given.folder or Path('runs/sweeps') / sweep.name
    return run(sweep, folder, given.workers)
  except ConfigError as error:
    return say(error, exit_codes.REFUSED)
  except OSError as error:  # a full disk, a folder taken away
    return say(f'{error.filename}: {error.strerror}', exit_codes.FAILED)


def say(message: object, code: int) -> int:
  """One line on standard error; returns the exit code."""
  print(f'memjax.sweep: {message}', file=sys.stderr)
  return code


def run(sweep: file.Sweep, folder: Path, workers: int) -> int:
  """Runs what is left of a sweep and shows what was found."""
  try:
    from memjax.sweep import picture, table
    from memjax.sweep.study import Study
    from memjax.sweep.workers import work
  except ModuleNotFoundError as error:
    if error.name != 'optuna':
      raise
    message = 'optuna is not installed: pip install optuna'
    return say(message, exit_codes.REFUSED)
  study = Study(sweep, folder)
  if not work(sweep, study, workers):
    print(f'stopped and saved in {folder}: the same command resumes')
    return exit_codes.STOPPED
  table.show(sweep, study)
  kept = [table.write(sweep, study)]
  if all(trial.value is None for trial in study.trials()):
    message = f'{folder}: no trial has a value; the reasons are in {kept[0]}'
    return say(message, exit_codes.FAILED)
  kept.append(folder / 'parallel_coordinates.png')
  picture.draw(sweep, study.trials(), kept[1])
  print(
    f'Everything is in {folder}: {", ".join(p.name for p in kept)}, trial-*'
  )
  return exit_codes.FINISHED


if __name__ == '__main__':
  sys.exit(main())
