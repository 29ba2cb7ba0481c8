"""What all protections of a run cost together, in the training loop.

    taskset -c 1 python -m experiments.bench.protected_loop [--rounds=12]

The loop trains in three processes that take turns, a row each: with every
protection; with none; with none again, which shows the noise. A row is some
seconds of steps, and one checkpoint is saved in it. Prints the processor time
of a row over that of the same round without protections: median and quartiles.

Switched off are: the checks of values and ids in the compiled step, the check
of its memory, what the host does about values that are not finite, the phases
and their watchdog, following the workdir, signals, and hashes and syncs of a
checkpoint. The command starts the processes itself.
"""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import itertools
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import copy_memory, quickstart
from memjax.guards import finite, interrupts, memory, phase
from memjax.guards.nonfinite import NonFinite
from memjax.guards.place import OpenRun
from memjax.runs import heap, manifest
from memjax.training import loop, step

ROOT = Path(__file__).resolve().parents[2]
LOOPS = {'lstm': 'LSTM on copy memory', 'xl': 'Transformer-XL on text'}
EVERY = {'lstm': 50, 'xl': 20}  # steps a row
SIDES = ('on', 'off', 'again')
WARM = 2  # rows that are not counted: they compile


def experiment_of(name: str, rows: int) -> Experiment:
  """A loop of this number of rows, with a checkpoint at each."""
  if name == 'lstm':
    config = copy_memory.get_config('lstm')
  else:
    config = quickstart.get_config('transformer_xl')
  with config.unlocked():
    if name == 'lstm':
      config.task.delay = 100
    config.evals = {}
    config.train.update(steps=rows * EVERY[name], steps_per_call=1)
    config.train.update(patience=0, stop_when='')
    config.log.update(every=EVERY[name], sample=0)
    config.log.wandb.mode = 'disabled'
    config.checkpoint.update(every=EVERY[name], best='', keep=2)
    config.parallel.data = 1
  return read_experiment(config.to_dict())


@contextlib.contextmanager
def protected(folder: Path) -> Iterator[None]:
  """What the command line puts around the loop."""
  limits = dict.fromkeys(phase.PHASES, 3600.0)
  with interrupts.handled(), phase.Watchdog(limits, folder):
    yield


def switch_off() -> None:
  """Replaces every protection in this process by one that does nothing."""
  replaced: Sequence[tuple[Any, dict[str, Any]]] = (
    (
      finite,
      {
        'keep': lambda policy, before, after, *_: (after, jnp.ones((), bool)),
        'counted': lambda metrics, *_: metrics,
      },
    ),
    (
      step,
      {
        'invalid_ids': lambda *_: jnp.zeros(()),
        'lost_labels': lambda *_: jnp.zeros(()),
      },
    ),
    (memory, {'CheckedStep': lambda function, *_: function}),
    (
      NonFinite,
      {
        'before_measuring': lambda self, step, state, flush: state,
        'mend': lambda self, step, state: state,
        'report': lambda *_: None,
        'fields': lambda *_: {},
      },
    ),
    (
      phase,
      {
        'enter': lambda *_: None,
        'within': lambda _: contextlib.nullcontext(),
        'waiting': lambda name, items: items,
      },
    ),
    (OpenRun, {'left': lambda *_: False}),
    (interrupts.Interrupts, {'stop': lambda *_: False}),
    (
      manifest,
      {
        'hash_parts': lambda path, sync: [],
        'sync_folder': lambda path: None,
        'write_whole': lambda path, text: path.write_text(text),
      },
    ),
  )
  for owner, functions in replaced:
    for name, function in functions.items():
      assert hasattr(owner, name), name
      setattr(owner, name, function)


class Turns:
  """After each row: says its processor seconds, then waits for its turn."""

  def __init__(self, output: Any):
    self._output, self._last = output, time.process_time()

  def row(self) -> None:
    now = time.process_time()
    print(now - self._last, file=self._output, flush=True)
    self._last = now
    sys.stdin.readline()


def train(name: str, side: str, rows: int) -> None:
  """In a process of its own: the loop, a row at each turn."""
  heap.keep_freed_memory()
  turns = Turns(os.fdopen(os.dup(1), 'w'))
  os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the console's lines
  experiment = experiment_of(name, rows)
  opened = loop.open_writers

  @contextlib.contextmanager
  def open_writers(*given: Any) -> Iterator[Any]:
    with opened(*given) as writers:
      write = writers.write

      def write_and_wait(row: Any) -> None:
        write(row)
        turns.row()

      writers.write = write_and_wait  # type: ignore[method-assign]
      yield writers

  loop.open_writers = open_writers  # type: ignore[assignment]
  with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
    if side == 'on':
      stack.enter_context(protected(Path(folder)))
    else:
      switch_off()
    loop.train(experiment, Path(folder) / 'run', lambda *_: None)


def measure(name: str, rounds: int) -> np.ndarray:
  """Processor seconds of each row, (rounds, sides)."""
  rows = rounds + WARM
  command = [sys.executable, '-m', 'experiments.bench.protected_loop']
  with contextlib.ExitStack() as stack:
    processes = [
      stack.enter_context(
        subprocess.Popen(
          [*command, f'--loop={name}', f'--side={side}', f'--rows={rows}'],
          cwd=ROOT,
          stdin=subprocess.PIPE,
          stdout=subprocess.PIPE,
          text=True,
        )
      )
      for side in SIDES
    ]
    seconds = np.zeros((rows, len(SIDES)))
    orders = itertools.cycle(itertools.permutations(range(len(SIDES))))
    seconds[0] = [read(process) for process in processes]
    for turn in range(1, rows):
      for i in next(orders):
        give_turn(processes[i])
        seconds[turn, i] = read(processes[i])
    for process in processes:
      give_turn(process)
  return seconds[WARM:]


def read(process: subprocess.Popen) -> float:
  """The seconds of the row that this process has just finished."""
  assert process.stdout
  return float(process.stdout.readline())


def give_turn(process: subprocess.Popen) -> None:
  """Lets a process train its next row."""
  assert process.stdin
  process.stdin.write('\n')
  process.stdin.flush()


def describe(ratios: np.ndarray) -> str:
  """Median and quartiles."""
  low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
  return f'{middle:.4f} ({low:.4f} to {high:.4f})'


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=12)
  parser.add_argument('--loop', choices=LOOPS)
  parser.add_argument('--side', choices=SIDES, help='set by the command itself')
  parser.add_argument('--rows', type=int, help='set by the command itself')
  given = parser.parse_args()
  if given.side:
    train(given.loop, given.side, given.rows)
    return
  print('| loop | seconds a row | on / off | off again / off |')
  print('|---|---|---|---|')
  for name in [given.loop] if given.loop else LOOPS:
    on, off, again = measure(name, given.rounds).T
    row = [LOOPS[name], f'{np.median(off):.2f}']
    row += [describe(on / off), describe(again / off)]
    print(f'| {" | ".join(row)} |', flush=True)


if __name__ == '__main__':
  main()
