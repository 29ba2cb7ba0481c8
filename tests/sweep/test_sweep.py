"""A sweep runs every trial once, whatever is killed meanwhile and whoever
helps; a crash is a line of its table."""

from collections import Counter
import csv
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

from memjax.sweep.__main__ import main
from tests.sweep.tiny import sweep

ROOT = Path(__file__).parents[2]
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
  )


def finished(process: subprocess.Popen) -> str:
  """What a process that ended well has said."""
  said, errors = process.communicate(timeout=LIMIT)
  assert (process.returncode, errors) == (0, ''), errors
  return said


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
  return Counter(
    (r['config.optim.learning_rate'], r['config.seed']) for r in table(folder)
  )


EACH_ONCE = {(str(x), str(seed)): 1 for x in (0.1, 0.3, 0.9) for seed in (0, 1)}


def test_a_grid_is_run_once_and_a_crash_is_a_line(
  tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  folder = tmp_path / 'out'
  file = sweep(tmp_path, {}, optim__warmup={'value': 2})
  assert main([str(file), '--workers=2', f'--folder={folder}']) == 0
  said = capsys.readouterr().out
  assert points(folder) == EACH_ONCE
  assert sorted(starts(folder)) == [f'trial-{i:04}' for i in range(6)]
  rows = table(folder)
  assert [row['state'] for row in rows] == ['done'] * 4 + ['failed'] * 2
  losses = [float(row['held_out/loss']) for row in rows[:4]]
  assert losses == pytest.approx([1 / 3] * 2 + [0.04 + 1 / 3] * 2)
  reason = 'exit code 1: ArithmeticError: one over nothing'
  assert [row['reason'] for row in rows] == [''] * 4 + [reason] * 2
  assert [row['step'] for row in rows] == ['3'] * 4 + ['1'] * 2
  assert said.count(f'failed, {reason}; ') == 2
  assert '; best 0.3333, trial ' in said
  assert '; 0 left\n' in said
  assert (folder / 'parallel_coordinates.png').stat().st_size > 5000
  assert main([str(file), f'--folder={folder}']) == 0
  again = capsys.readouterr().out
  assert len(starts(folder)) == 6
  assert again == said[said.index(again[:40]) :]  # the table, nothing run


def test_hyperband_gives_up_what_is_worse_than_the_best(tmp_path: Path) -> None:
  """The first trial sets the mark; a worse one ends at its first evaluation."""
  folder = tmp_path / 'out'
  file = sweep(
    tmp_path,
    {'early_terminate': {'type': 'hyperband', 'min_iter': 3, 'max_iter': 6}},
    optim__learning_rate={'values': [0.3, 0.9]},
    seed={'value': 0},
    train__steps={'value': 6},
    optim__final={'value': 0.3},
  )
  assert main([str(file), f'--folder={folder}']) == 0
  best, worse = table(folder)
  assert (best['state'], best['step']) == ('done', '6')
  assert best['config.optim.learning_rate'] == '0.3'
  assert worse['state'] == 'given up'
  assert 3 <= int(worse['step']) < 6
  said = (Path(worse['workdir']) / 'stdout.txt').read_text()
  assert said.startswith('stopped and saved in')


def test_a_killed_sweep_goes_on_in_the_same_workdirs(tmp_path: Path) -> None:
  folder = tmp_path / 'out'
  file = sweep(tmp_path, {}, optim__final={'value': 0.2})
  killed = start(file, folder)
  wait_for_starts(folder, 3)
  killed.kill()
  killed.communicate()
  with (folder / 'journal.log').open('a') as journal:
    journal.write('{"op_code": 4, "wor')  # as a killed process may leave it
  said = finished(start(file, folder))
  assert points(folder) == EACH_ONCE
  assert {row['state'] for row in table(folder)} == {'done'}
  assert set(starts(folder)) == {f'trial-{i:04}' for i in range(6)}
  for i in range(6):
    text = (folder / f'trial-{i:04}' / 'metrics.jsonl').read_text()
    steps = [json.loads(line)['step'] for line in text.splitlines()]
    assert steps == [1, 2, 3]
  assert ' goes on: ' in said


def test_two_sweeps_share_a_folder(tmp_path: Path) -> None:
  folder = tmp_path / 'out'
  file = sweep(tmp_path, {}, optim__final={'value': 0.2})
  both = [start(file, folder), start(file, folder)]
  each = [finished(process) for process in both]
  assert points(folder) == EACH_ONCE
  assert sorted(starts(folder)) == [f'trial-{i:04}' for i in range(6)]
  ran = [said.count(' done: ') for said in each]
  assert sum(ran) == 6
  assert min(ran) > 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_sweep_saves_and_says_so(
  tmp_path: Path, number: signal.Signals
) -> None:
  folder = tmp_path / 'out'
  file = sweep(tmp_path, {}, optim__final={'value': 0.3})
  stopped = start(file, folder)
  wait_for_starts(folder, 2)
  stopped.send_signal(number)
  lines = finished(stopped).splitlines()
  assert lines[-1] == (
    f'stopped, all saved in {folder}: the same command goes on from here'
  )
  assert sum('stopped and saved; ' in line for line in lines) == 2
  assert len(starts(folder)) == 2
  assert not (folder / 'table.csv').exists()
