"""Runs the same Python code in several processes at the same moment."""

from collections.abc import Sequence
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parents[1]
START = """
print('ready', flush=True)
sys.stdin.readline()
"""


def raced(
  before: str, race: str, words: Sequence[str], count: int
) -> list[tuple[str, str]]:
  """Runs `count` processes; returns each one's (stdout, stderr).

  Args:
    before: Python code that each process runs first; it must import sys.
    race: Python code that each process runs once all have finished `before`.
    words: command-line arguments of each process.
    count: number of processes.
  """
  racers = [
    subprocess.Popen(
      [sys.executable, '-c', before + START + race, *words],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      cwd=ROOT,
    )
    for _ in range(count)
  ]
  for racer in racers:
    assert racer.stdout
    assert racer.stderr
    assert racer.stdout.readline() == 'ready\n', racer.stderr.read()
  for racer in racers:
    assert racer.stdin
    racer.stdin.write('go\n')
    racer.stdin.flush()
  return [racer.communicate(timeout=60) for racer in racers]
