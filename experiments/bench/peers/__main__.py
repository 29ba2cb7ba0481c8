"""Races whole training steps of memjax against PyTorch's.

    python -m experiments.bench.peers [--rounds 9] [--cores 1] [RACE ...]

A step is embedding, layers, readout, loss, clipping at norm 1 and AdamW, in
float32, on one batch of equal shapes, with an equal number of parameters and a
readout at labels only on both sides. Each competitor is a process of its own.
They take turns, in one order and then in the other. PyTorch runs as it comes
and with memjax's three settings of malloc. memjax runs with them, as `memjax`
does, and without them.

A row gives memjax's milliseconds, and for every other competitor the median
over rounds of its time divided by memjax's in the same round (quartiles): above
1, memjax is faster. With one core, times are the processor's, so that other
work on the machine does not count. With more cores they are wall seconds and
need a quiet machine. Peak memory is that of the process, with its libraries and
compilers. PyTorch is not a requirement of memjax: pip install torch==2.13.0.
"""

import argparse
from collections.abc import Iterator
import contextlib
import json
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np

from experiments.bench.peers import attention, reading, recurrent
from experiments.bench.peers.race import Race

RACES: dict[str, Race] = {**attention.RACES, **recurrent.RACES, **reading.RACES}


class Process:
  """A competitor in its process."""

  def __init__(self, race: str, name: str, malloc: bool, cores: int):
    self.name = f'{name}, malloc set' if malloc else name
    self.process = subprocess.Popen(
      [sys.executable, '-m', 'experiments.bench.peers.worker', race, name]
      + [str(cores)]
      + ['malloc'] * malloc,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self.about: dict[str, Any] = {}
    self.seconds: list[float] = []

  def answer(self) -> Any:
    assert self.process.stdout
    line = self.process.stdout.readline()
    if not line:
      raise SystemExit(f'{self.name}: its process ended')
    return json.loads(line)

  def turn(self) -> None:
    assert self.process.stdin
    self.process.stdin.write('turn\n')
    self.process.stdin.flush()
    self.seconds.append(self.answer())

  def end(self) -> list[float]:
    """Megabytes: the most, now, and the most before the first step."""
    assert self.process.stdin
    self.process.stdin.close()
    memory = self.answer()
    self.process.wait()
    return memory


@contextlib.contextmanager
def started(name: str, cores: int) -> Iterator[list[Process]]:
  """The competitors of a race, memjax with its settings first."""
  race = RACES[name]
  sides = [('memjax', True), ('memjax', False)]
  sides += [(them, malloc) for them in race.theirs for malloc in (False, True)]
  processes: list[Process] = []
  try:
    for side, malloc in sides:
      processes.append(Process(name, side, malloc, cores))
    for process in processes:
      process.about = process.answer()
    yield processes
  finally:
    for process in processes:
      process.process.kill()


def rows(name: str, rounds: int, cores: int) -> Iterator[str]:
  """The lines of the table for one race."""
  with started(name, cores) as processes:
    ours, *others = processes
    counts = {process.about['parameters'] for process in processes}
    if len(counts) > 1:
      raise SystemExit(f'{name}: unequal numbers of parameters: {counts}')
    for i in range(rounds):
      for process in processes[:: 1 if i % 2 else -1]:
        process.turn()
    memory = {process.name: process.end()[0] for process in processes}
    what = RACES[name].what
    middle = 1e3 * np.median(ours.seconds)
    for process in others:
      ratios = np.array(process.seconds) / np.array(ours.seconds)
      low, half, high = np.quantile(ratios, [0.25, 0.5, 0.75])
      theirs = 1e3 * np.median(process.seconds)
      yield (
        f'| {what} | {process.name} | {middle:.1f} | {theirs:.1f} '
        f'| {half:.2f} ({low:.2f}-{high:.2f}) '
        f'| {memory[ours.name]:.0f} | {memory[process.name]:.0f} |'
      )


def versions() -> str:
  from importlib import metadata

  names = ('jax', 'flax', 'optax', 'torch')
  found = [f'{name} {metadata.version(name)}' for name in names]
  return ', '.join([f'Python {platform.python_version()}', *found])


def main() -> None:
  parser = argparse.ArgumentParser(usage=__doc__)
  parser.add_argument('races', nargs='*', choices=[*RACES, []], default=[])
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--cores', type=int, default=1)
  options = parser.parse_args()
  machine = platform.processor() or platform.machine()
  clock = 'processor' if options.cores == 1 else 'wall'
  print(
    f'{machine}, {options.cores} of {os.cpu_count()} cores, {clock} time; '
    f'{versions()}; {options.rounds} rounds; load {os.getloadavg()[0]:.1f}'
  )
  print('| step | against | memjax ms | theirs ms | theirs / memjax ', end='')
  print('| memjax MB | theirs MB |')
  print('|---|---|---|---|---|---|---|')
  for name in options.races or RACES:
    for line in rows(name, options.rounds, options.cores):
      print(line, flush=True)


if __name__ == '__main__':
  main()
