"""A sweep runs every trial once, through kills and on several machines; a crash
is a line of its table."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
import csv
import io
import json
import math
import os
from pathlib import Path
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

from optuna.trial import TrialState
import pytest

from memjax.runs import exit_codes
from memjax.sweep.__main__ import main
from memjax.sweep.file import read_sweep
from memjax.sweep.study import Outcome, Study
from memjax.sweep.table import shorten_names
from memjax.sweep.trial import command
from memjax.sweep.workers import WAIT, LinePrinter
from tests.sweep.tiny import sweep

ROOT = Path(__file__).parents[2]
RATE = 'config.optim.learning_rate'
LIMIT = 120  # seconds before a process counts as stuck


def start(file: Path, folder: Path, workers: int = 2) -> subprocess.Popen:
  """The sweep as a process of its own."""
  command = [sys.executable, '-m', 'memjax.sweep', str(file)]
  return subprocess.Popen(
    [*command, f'--workers={workers}', f'--folder={folder}'],
    cwd=ROOT,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    start_new_session=True,
  )


def finished(process: subprocess.Popen, code: int = 0) -> str:
  """The standard output of a process, once it has ended with this code."""
  try:
    output, errors = process.communicate(timeout=LIMIT)
  finally:
    process.kill()
  assert (process.returncode, errors) == (code, ''), errors
  return output


def wait_for_starts(folder: Path, count: int) -> None:
  began = time.monotonic()
  while len(starts(folder)) < count:
    assert time.monotonic() - began < LIMIT
    time.sleep(0.02)


def starts(folder: Path) -> list[str]:
  """The workdir of every start of a trial."""
  path = folder / 'starts'
  lines = path.read_text().splitlines() if path.exists() else []
  return [line.split()[0] for line in lines]


def table(folder: Path) -> list[dict[str, str]]:
  with (folder / 'table.csv').open() as file:
    return list(csv.DictReader(file))


def points(folder: Path) -> Counter[tuple[str, str]]:
  """How many trials each point of the grid has."""
  return Counter((row[RATE], row['config.seed']) for row in table(folder))


EACH_ONCE = {(str(x), str(seed)): 1 for x in (0.1, 0.3, 0.9) for seed in (0, 1)}


def test_a_grid_is_run_once_and_a_crash_is_a_line(
  tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  folder = tmp_path / 'out'
  file = sweep(tmp_path, {}, optim__warmup_steps={'value': 2})
  assert main([str(file), '--workers=2', f'--folder={folder}']) == 0
  output = capsys.readouterr().out
  assert points(folder) == EACH_ONCE
  assert sorted(starts(folder)) == [f'trial-{i:04}' for i in range(6)]
  rows = table(folder)
  assert [row['state'] for row in rows] == ['finished'] * 4 + ['failed'] * 2
  losses = [float(row['held_out/loss']) for row in rows[:4]]
  assert losses == pytest.approx([1 / 3] * 2 + [0.04 + 1 / 3] * 2)
  reason = 'exit code 1: ArithmeticError: one over nothing'
  assert [row['reason'] for row in rows] == [''] * 4 + [reason] * 2
  assert [row['step'] for row in rows] == ['3'] * 4 + ['1'] * 2
  assert output.count(f'failed, {reason}; ') == 2
  assert '; best 0.3333, trial ' in output
  assert '; 0 left\n' in output
  assert (folder / 'parallel_coordinates.png').stat().st_size > 5000
  assert main([str(file), f'--folder={folder}']) == 0
  again = capsys.readouterr().out
  assert len(starts(folder)) == 6
  assert again == output[output.index(again[:40]) :]  # the table, nothing run


@pytest.mark.parametrize(
  ('steps', 'end', 'last'), [(6, 'pruned', 4), (3, 'finished', 3)]
)
def test_hyperband_prunes_what_is_worse_than_the_best(
  tmp_path: Path, steps: int, end: str, last: int
) -> None:
  """At the third evaluation, and not where that is the end of a run."""
  folder = tmp_path / 'out'
  file = sweep(
    tmp_path,
    {'early_terminate': {'type': 'hyperband', 'min_iter': 3, 'max_iter': 6}},
    optim__learning_rate={'values': [0.9, 0.3]},  # drawn from the second on
    seed={'value': 0},
    train__steps={'value': steps},
    train__patience={'value': 4},
    optim__final_lr_ratio={'value': 1.0},
  )
  assert main([str(file), f'--folder={folder}']) == 0
  best, worse = table(folder)
  assert (best['trial'], best['state'], best[RATE]) == ('0', 'finished', '0.3')
  assert int(best['step']) == steps
  assert (worse['state'], worse['step']) == (end, str(last))
  assert float(worse['held_out/loss']) == pytest.approx(0.36 + 1 / last)
  stopped = Path(worse['workdir']) / 'stopped'
  assert stopped.exists() == (end == 'pruned')


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
  """A folder where trials start and then wait for `hold` to go."""
  folder = tmp_path / 'out'
  folder.mkdir()
  (folder / 'hold').touch()
  yield folder
  (folder / 'hold').unlink(missing_ok=True)


def test_a_killed_sweep_goes_on_in_the_same_workdirs(
  tmp_path: Path, folder: Path
) -> None:
  """A trial that still runs belongs to its run, though its sweep was killed."""
  file = sweep(tmp_path, {})
  killed = start(file, folder)
  wait_for_starts(folder, 2)
  killed.kill()
  killed.communicate()
  with (folder / 'journal.log').open('a') as journal:
    journal.write('{"op_code": 4, "wor')  # as a killed process may leave it
  after = start(file, folder)
  wait_for_starts(folder, 4)
  (folder / 'hold').unlink()
  output = finished(after)
  assert points(folder) == EACH_ONCE
  assert {row['state'] for row in table(folder)} == {'finished'}
  again = Counter(f'trial-{i:04}' for i in (0, 1, *range(6)))
  assert Counter(starts(folder)) == again
  assert output.count(' resumed: ') == 2
  for i in range(6):
    text = (folder / f'trial-{i:04}' / 'metrics.jsonl').read_text()
    steps = [json.loads(line)['step'] for line in text.splitlines()]
    assert steps == [1, 2, 3]


@pytest.mark.slow
def test_what_runs_elsewhere_is_waited_for(
  tmp_path: Path, folder: Path
) -> None:
  file = sweep(tmp_path, {'run_cap': 1})
  one = start(file, folder)
  wait_for_starts(folder, 1)
  other = start(file, folder)
  assert other.stdout
  waits = 'waiting for trials of other processes: 0\n'
  assert other.stdout.readline() == waits
  time.sleep(2 * WAIT)  # each of its two workers has looked again
  (folder / 'hold').unlink()
  assert 'trial 0 finished: ' in finished(one)
  output = finished(other)
  assert 'trial 0 finished: ' not in output
  assert waits not in output
  assert starts(folder) == ['trial-0000']


def test_lines_of_several_workers_are_whole(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  """Written in parts, with a pause between them, as threads may be paused."""
  parts: list[str] = []

  class Slow(io.StringIO):
    def write(self, text: str) -> int:
      parts.append(text)
      time.sleep(0.001)
      return len(text)

  monkeypatch.setattr(sys, 'stdout', Slow())
  printer, lines = LinePrinter(), [f'line {i}' for i in range(8)]
  with ThreadPoolExecutor(4) as pool:
    list(pool.map(printer.print, 3 * lines))
    list(pool.map(lambda line: printer.print(line, once=True), [*lines, 'new']))
  monkeypatch.undo()
  assert Counter(''.join(parts).splitlines()) == {
    **dict.fromkeys(lines, 3),
    'new': 1,
  }


@pytest.mark.slow
def test_two_sweeps_share_a_folder(tmp_path: Path, folder: Path) -> None:
  metric = {'name': 'held_out/loss', 'goal': 'maximize'}
  file = sweep(tmp_path, {'metric': metric})
  both = [start(file, folder), start(file, folder)]
  wait_for_starts(folder, 4)
  (folder / 'hold').unlink()
  ran = [finished(process).count(' finished: ') for process in both]
  assert sum(ran) == 6
  assert min(ran) >= 2
  assert points(folder) == EACH_ONCE
  assert sorted(starts(folder)) == [f'trial-{i:04}' for i in range(6)]
  assert [row[RATE] for row in table(folder)][::2] == ['0.9', '0.1', '0.3']


@pytest.mark.parametrize(
  'number',
  [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_a_stopped_sweep_saves_and_says_so(
  tmp_path: Path, folder: Path, number: signal.Signals
) -> None:
  file = sweep(tmp_path, {}, optim__warmup_steps={'value': 2})
  stopped = start(file, folder)
  wait_for_starts(folder, 2)
  os.killpg(stopped.pid, number)  # as a terminal does
  lines = finished(stopped, exit_codes.STOPPED).splitlines()
  assert lines[-1] == f'stopped and saved in {folder}: the same command resumes'
  assert sum('stopped and saved; ' in line for line in lines) == 2
  assert len(starts(folder)) == 2
  for workdir in (folder / name for name in starts(folder)):
    assert (workdir / 'stopped').exists()
  assert not (folder / 'table.csv').exists()
  (folder / 'hold').unlink()
  finished(start(file, folder))  # what crashes now was saved before
  states = [row['state'] for row in table(folder)]
  assert states == ['finished'] * 4 + ['failed'] * 2


def drawn(
  file: Path, folder: Path, losses: Sequence[float] = ()
) -> list[Mapping[str, Any]]:
  """Parameters of the first trials; each but the last ends with a loss."""
  study, found = Study(read_sweep(file), folder), []
  for loss in [*losses, None]:
    claim = study.claim_trial()
    assert claim
    with claim.lock:
      found.append(claim.values)
      if loss is not None:
        study.record(claim, Outcome(TrialState.COMPLETE, loss, 1))
  return found


def searched(folder: Path, method: str) -> Path:
  rate = {'distribution': 'log_uniform_values', 'min': 1e-4, 'max': 1.0}
  few = {'method': method, 'run_cap': 30}
  return sweep(
    folder, few, optim__learning_rate=rate, seed={'min': 0, 'max': 9}
  )


@pytest.mark.parametrize('method', ['random', 'bayes'])
def test_parameters_depend_on_what_came_before_and_nothing_else(
  tmp_path: Path, method: str
) -> None:
  """A new process draws what the old one would have, and no point twice."""
  file, losses = searched(tmp_path, method), [0.1 * i for i in range(14)]
  unbroken = drawn(file, tmp_path / 'a', losses)
  drawn(file, tmp_path / 'b', losses[:5])  # and the sixth is left
  again = drawn(file, tmp_path / 'b', losses[5:12])
  last = drawn(file, tmp_path / 'b', losses[12:])
  assert again == unbroken[5:13]
  assert last == unbroken[12:]
  assert len({values[RATE] for values in unbroken}) == 15


def test_a_trial_is_one_process_s_alone(tmp_path: Path) -> None:
  file = searched(tmp_path, 'random')
  one, other = (Study(read_sweep(file), tmp_path / 'out') for _ in range(2))
  claims = [study.claim_trial() for study in (one, other, one)]
  numbers = [claim.number for claim in claims if claim]
  assert numbers == [0, 1, 2]
  assert one.running_elsewhere() == [1]
  assert other.running_elsewhere() == [0, 2]
  for claim in claims:
    assert claim
    claim.lock.close()


def test_bayes_searches_where_it_was_good(tmp_path: Path) -> None:
  """Nearer to the optimum than what it began with, which is drawn at random."""
  study = Study(read_sweep(searched(tmp_path, 'bayes')), tmp_path / 'out')
  away = []
  while claim := study.claim_trial():
    with claim.lock:
      away.append(abs(math.log(float(claim.values[RATE]) / 0.01)))
      study.record(claim, Outcome(TrialState.COMPLETE, away[-1], 1))
  assert len(away) == 30
  assert statistics.mean(away[20:]) < 0.6 * statistics.mean(away[:10])


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'metric': {'name': 'train/loss'}}, "metric was {'name': 'held_out/loss'"),
    (
      {'early_terminate': {'type': 'hyperband', 'min_iter': 1}},
      'was None, is {',
    ),
  ],
)
def test_a_folder_belongs_to_one_sweep(
  tmp_path: Path,
  capsys: pytest.CaptureFixture,
  changes: Mapping[str, Any],
  words: str,
) -> None:
  folder = tmp_path / 'out'
  Study(read_sweep(sweep(tmp_path, {'run_cap': 2})), folder)
  Study(
    read_sweep(sweep(tmp_path, {'run_cap': 3, 'description': 'more'})), folder
  )
  file = sweep(tmp_path, changes)
  assert main([str(file), f'--folder={folder}']) == 2
  output = capsys.readouterr().err
  assert output.startswith(
    f'memjax.sweep: folder: {str(folder)!r}: belongs to '
  )
  assert words in output
  assert output.count('\n') == 1


def test_a_sweep_without_any_value_says_where_the_reasons_are(
  tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  folder = tmp_path / 'out'
  metric = {'name': 'twice/loss'}  # known to the config, and never measured
  file = sweep(tmp_path, {'metric': metric, 'run_cap': 1})
  assert main([str(file), f'--folder={folder}']) == 1
  assert capsys.readouterr().err == (
    f'memjax.sweep: {folder}: no trial has a value; the reasons are '
    f'in {folder / "table.csv"}\n'
  )
  (row,) = table(folder)
  assert (row['state'], row['reason']) == (
    'failed',
    'twice/loss was not measured',
  )
  assert not (folder / 'parallel_coordinates.png').exists()


@pytest.mark.parametrize(
  ('args', 'output'),
  [
    (['nowhere.yaml'], "sweep: 'nowhere.yaml': No such file or directory"),
    (['FILE', '--workers=0'], 'workers: 0: must be at least 1'),
    (['FILE', '--folder=/proc/x'], "folder: '/proc/x': cannot be written"),
  ],
)
def test_bad_input_is_one_line(
  tmp_path: Path, capsys: pytest.CaptureFixture, args: list[str], output: str
) -> None:
  file = str(sweep(tmp_path, {}))
  assert main([file if arg == 'FILE' else arg for arg in args]) == 2
  error = capsys.readouterr().err
  assert error.startswith(f'memjax.sweep: {output}')
  assert error.count('\n') == 1


def test_without_optuna_it_says_what_to_install(
  tmp_path: Path,
  capsys: pytest.CaptureFixture,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  for name in [n for n in sys.modules if n.startswith('memjax.sweep.')]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, 'optuna', None)
  monkeypatch.setitem(sys.modules, 'optuna.trial', None)
  assert main([str(sweep(tmp_path, {}))]) == 2
  assert capsys.readouterr().err == (
    'memjax.sweep: optuna is not installed: pip install optuna\n'
  )


def test_a_trial_can_be_gone_on_with_by_hand(tmp_path: Path) -> None:
  """What is run is wandb's command, the workdir, and no wandb."""
  read_file = read_sweep(sweep(tmp_path, {}))
  study = Study(read_file, tmp_path / 'out')
  claim = study.claim_trial()
  assert claim
  with claim.lock:
    words = command(read_file, claim)
  assert words == [
    *read_file.command(claim.values),
    '--config.log.wandb.mode=disabled',
    f'--workdir={tmp_path}/out/trial-0000',
  ]
  flag = 'config.log.wandb.mode'
  shown = command(read_file, claim._replace(values={flag: 'offline'}))
  assert [w for w in shown if 'wandb' in w] == [f'--{flag}=offline']


@pytest.mark.parametrize(
  ('names', 'shown'),
  [
    (['config.a.width', 'config.b.rate'], ['width', 'rate']),
    (['config.a.width', 'config.b.width'], ['a.width', 'b.width']),
    (['config', 'config.a'], ['config', 'a']),
    ([], []),
  ],
)
def test_names_are_as_short_as_they_can_be(
  names: list[str], shown: list[str]
) -> None:
  assert shorten_names(names) == shown
