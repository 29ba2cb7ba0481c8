"""Runs what is missing of the leaderboard, and draws what is there.

    python -m experiments.leaderboard [--only=WORD,...] [--budget=MINUTES]

Each cell is one run in its own process, on one core. The same command goes
on, also in the middle of a cell. A cell that diverges, crashes or is not
defined is a row that says so; one that is stopped is not. --only takes tasks
and memories (their cells in common), and names of cells. --budget=0 only draws.
Results are results.json and results.csv, pictures and index.html in the folder
of --results.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from experiments.leaderboard import records
from experiments.leaderboard.grid import MEMORIES, Cell, cell_of, cells
from experiments.leaderboard.records import RECORD, WORKER
from experiments.leaderboard.standing import third_rates
from experiments.leaderboard.tasks import TASKS
from memjax.errors import ConfigError, nearest, require
from memjax.runs import exit_codes

CELL = ['-m', 'experiments.leaderboard.cell']
TO_SAVE = 300.0  # seconds that a stopped cell has
ENDS = {
  exit_codes.REFUSED: records.REFUSED,
  exit_codes.DIVERGED: records.DIVERGED,
}
ONE_THREAD = '--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1'


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser('experiments.leaderboard')
  parser.description, parser.usage = __doc__, None
  parser.formatter_class = argparse.RawDescriptionHelpFormatter
  parser.add_argument('--only', default='', help='tasks, memories, cells')
  parser.add_argument('--budget', type=float, default=float('inf'))
  parser.add_argument('--workers', type=int, default=1)
  parser.add_argument('--runs', type=Path, default=Path('runs/leaderboard'))
  parser.add_argument('--results', type=Path, default=records.FOLDER)
  given = parser.parse_args(words)
  try:
    require(given.workers >= 1, 'workers', given.workers, 'must be at least 1')
    only = given.only.split(',') if given.only else []
    check(only)
  except ConfigError as error:
    print(f'experiments.leaderboard: {error}', file=sys.stderr)
    return exit_codes.REFUSED
  ended = Grid(given.runs, given.results, only).run(given.workers, given.budget)
  if records.load(given.results):
    from experiments.leaderboard.page import draw

    print(draw(given.results))
  return exit_codes.FINISHED if ended else exit_codes.STOPPED


def check(only: Sequence[str]) -> None:
  """Requires each word to be a task, a memory or a cell.

  Raises:
    ConfigError: one is not.
  """
  known = {*TASKS, *MEMORIES}
  for word in only:
    if '/' in word:
      cell_of(word)
    else:
      rule = f'is not a task, a memory or a cell; {nearest(word, known)}'
      require(word in known, 'only', word, rule)


class Grid:
  """What is left to run, handed out to workers one by one."""

  def __init__(self, runs: Path, results: Path, only: Sequence[str]):
    self._runs, self._results, self._only = runs, results, only
    self._tried: set[Cell] = set()
    self._lock, self._stop = threading.Lock(), threading.Event()
    self._began = time.monotonic()

  def run(self, workers: int, minutes: float) -> bool:
    """Runs cells until none is left, a signal comes, or time is up.

    Returns:
      Whether none is left.
    """
    left = len(self._left())
    print(f'{left} cells to run', flush=True)
    timer = None
    if minutes != float('inf'):
      timer = threading.Timer(60 * minutes, self._stop.set)
      timer.daemon = True
      timer.start()
    if minutes <= 0:
      self._stop.set()
    with stop_on_signals(self._stop), ThreadPoolExecutor(workers) as pool:
      for future in [pool.submit(self._work, i) for i in range(workers)]:
        future.result()
    if timer:
      timer.cancel()
    return not self._left()

  def _work(self, worker: int) -> None:
    while not self._stop.is_set() and (cell := self._next()):
      outcome = self._attempt(cell, worker)
      minutes = (time.monotonic() - self._began) / 60
      left = len(self._left())
      print(
        f'{cell.name}: {outcome}; {left} left, {minutes:.0f} min', flush=True
      )

  def _next(self) -> Cell | None:
    with self._lock:
      cell = next(iter(self._left()), None)
      if cell:
        self._tried.add(cell)
      return cell

  def _left(self) -> list[Cell]:
    """Cells without a result that this process has not tried."""
    done = records.load(self._results)
    wanted = [*cells(), *third_rates(done)]
    return [
      cell
      for cell in records.missing(done, wanted)
      if cell not in self._tried and self._is_wanted(cell)
    ]

  def _is_wanted(self, cell: Cell) -> bool:
    words = {*self._only}
    tasks, memories = words & {*TASKS}, words & {*MEMORIES}
    chosen = bool(tasks or memories)
    chosen &= not tasks or cell.task in tasks
    chosen &= not memories or cell.memory in memories
    return not words or chosen or cell.name in words

  def _attempt(self, cell: Cell, worker: int) -> str:
    """Runs the cell and records how it ended; returns that in one line."""
    workdir = self._runs / cell.name
    workdir.mkdir(parents=True, exist_ok=True)
    code = self._process(cell, workdir / 'output.txt', worker)
    if code == exit_codes.STOPPED or (code and self._stop.is_set()):
      self._tried.discard(cell)
      return 'stopped and saved'
    result = outcome(code, workdir)
    records.add(cell, result, self._results)
    return headline(cell, result)

  def _process(self, cell: Cell, log: Path, worker: int) -> int:
    """The exit code of the cell's process, which `_stop` ends."""
    command = [sys.executable, *CELL, cell.name]
    with log.open('w') as file:
      process = subprocess.Popen(
        [*command, f'--runs={self._runs}'],
        stdin=subprocess.PIPE,  # its end tells the cell that this process ended
        stdout=file,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {WORKER: str(worker)},
      )
      while process.poll() is None:
        if self._stop.wait(0.2):
          process.terminate()
          break
      try:
        return process.wait(TO_SAVE if self._stop.is_set() else None)
      except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def outcome(code: int, workdir: Path) -> dict[str, Any]:
  """The state of a cell and why, and of a finished one its record."""
  if code == exit_codes.FINISHED:
    record = json.loads((workdir / RECORD).read_text())
    return {'state': records.FINISHED} | record
  lines = (workdir / 'output.txt').read_text(errors='replace').splitlines()
  last = next((line.strip() for line in reversed(lines) if line.strip()), '')
  if code in ENDS:
    return {'state': ENDS[code], 'reason': last}
  how = f'exit code {code}'
  if code < 0:
    how = f'ended by {signal.Signals(-code).name}'
  return {'state': records.FAILED, 'reason': f'{how}: {last}'}


def headline(cell: Cell, result: dict[str, Any]) -> str:
  """What the console says of a cell."""
  if 'scores' not in result:
    return f'{result["state"]}, {result["reason"]}'
  task = TASKS[cell.task]
  values = result['scores'][task.judged_on][task.metric]
  return (
    f'{task.judged_on} {task.metric} {values}, {result["steps"]} steps,'
    f' {result["processor_seconds"]} s of a processor'
  )


@contextlib.contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
  """In the body SIGTERM or Ctrl-C sets the event."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {
    number: signal.signal(number, lambda *_: stop.set()) for number in numbers
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


if __name__ == '__main__':
  sys.exit(main())
