"""A day in the life of a run: killed, stopped, starved of disk, moved.

    python -m experiments.resume.day --rounds=3

Each round does all four to a real process, in random order at random moments,
and resumes. At the end, every row of the run is compared with an unbroken one,
bit by bit.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
import random
import resource
import subprocess
import sys
import tempfile

from experiments.resume.kill import (
  LIMIT,
  ROOT,
  RUNS,
  finish,
  kill_after,
  measured,
  start,
  wait_for,
  wait_for_first_line,
  written,
)
from memjax.runs import exit_codes

FILE = 9000  # bytes that a file of a starved process may have at most


class Day:
  """A run and what happens to it.

  Attributes:
    workdir: where it is now.
    events: a line for each thing that happened.
  """

  def __init__(self, args: Sequence[str], folder: Path):
    self.workdir, self.events = folder / 'run', list[str]()
    self._args, self._folder, self._moves = args, folder, 0

  def kill(self, rows: int) -> None:
    """kill -9."""
    kill_after(self._args, self.workdir, rows)
    self._note('killed')

  def stop(self, rows: int) -> None:
    """SIGTERM; the run saves and says so by its exit code."""
    process = self._start(rows)
    process.terminate()
    self._end(process, exit_codes.STOPPED)
    self._note('stopped')

  def starve(self, rows: int) -> None:
    """No file can grow: every save fails in one line, until a row fails."""
    del rows
    process = subprocess.Popen(
      [sys.executable, 'launch.py', f'--workdir={self.workdir}', *self._args],
      cwd=ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      text=True,
      preexec_fn=limit_files,
    )
    _, errors = process.communicate(timeout=LIMIT)
    lines = errors.splitlines()
    if 'Traceback' in errors or not lines:
      raise RuntimeError(f'not one line each: {errors}')
    self._note(f'starved, {len(lines)} lines, exit code {process.returncode}')

  def move(self, rows: int) -> None:
    """The workdir is renamed; the run ends, and goes on in the new place."""
    process = self._start(rows)
    if process.poll() is None:
      self._moves += 1
      place = self._folder / f'place {self._moves}'
      self.workdir.rename(place)
      self.workdir = place
      self._end(process, exit_codes.FAILED)
    self._note('moved')

  def finish(self) -> None:
    """Lets the run reach its end."""
    finish(self._args, self.workdir)

  def _start(self, rows: int) -> subprocess.Popen:
    process = start(self._args, self.workdir)
    wait_for(process, self.workdir, rows)
    wait_for_first_line(process)
    return process

  def _end(self, process: subprocess.Popen, code: int) -> None:
    _, errors = process.communicate(timeout=LIMIT)
    if process.returncode not in (code, exit_codes.FINISHED):
      raise RuntimeError(f'exit code {process.returncode}: {errors.decode()}')

  def _note(self, what: str) -> None:
    self.events.append(f'{what} after {written(self.workdir)} rows')
    print(f'  {self.events[-1]}', flush=True)


def limit_files() -> None:
  """Of this process: files of at most FILE bytes."""
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, hard))


def live(
  args: Sequence[str], folder: Path, rounds: int, draw: random.Random
) -> tuple[int, int]:
  """Compares an unbroken run with one that everything happens to.

  Returns:
    The number of equal rows, and the number of rows of the unbroken run.
  """
  finish(args, folder / 'unbroken')
  expected = measured(folder / 'unbroken')
  day = Day(args, folder)
  for number in range(rounds):
    happens: list[Callable[[int], None]] = [day.kill, day.stop, day.move]
    draw.shuffle(happens)
    happens.insert(draw.randrange(4) if number else 0, day.starve)
    for turn, event in enumerate(happens):
      share = (number * 4 + turn + draw.random()) / (rounds * 4)
      event(int(share * len(expected)))
  day.finish()
  found = measured(day.workdir)
  if len(found) != len(expected):
    return 0, len(expected)
  equal = sum(a == b for a, b in zip(expected, found, strict=True))
  return equal, len(expected)


def main() -> None:
  """Lives a day with each run."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=3, help='of four events')
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  options = parser.parse_args()
  for name, args in RUNS.items():
    print(name)
    with tempfile.TemporaryDirectory() as folder:
      draw = random.Random(options.seed)
      equal, rows = live(args, Path(folder), options.rounds, draw)
    print(f'  {equal} of {rows} rows equal, bit for bit')


if __name__ == '__main__':
  main()
