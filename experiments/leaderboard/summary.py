"""The results in README.md: the best memories of each task."""

from collections.abc import Sequence
from pathlib import Path

from experiments.leaderboard.grid import WIDTH
from experiments.leaderboard.standing import Standing
from experiments.leaderboard.tasks import TASKS

START, END = '<!-- results -->', '<!-- end of results -->'
BEST = 5
HEAD = '| task | memories read it | best | score (quartiles) | state, bytes |'


def lines(table: Sequence[Standing]) -> list[str]:
  """A Markdown table: the best memories of each task at the main width.

  Args:
    table: the best of a task first.
  """
  found = [HEAD, '|---|---|---|---|---|']
  for name, task in TASKS.items():
    of = [
      s
      for s in table
      if s.record['task'] == name and s.record['width'] == WIDTH
    ]
    for i, s in enumerate(of[:BEST]):
      first = f'{task.title} | {len(of)}' if not i else ' | '
      found.append(
        f'| {first} | {s.record["memory"]} | {s.median:.3f} ({s.low:.3f} to '
        f'{s.high:.3f}) | {s.record["state_bytes"]:,} |'
      )
  return found


def update(readme: Path, table: Sequence[Standing]) -> None:
  """Writes the table between its two marks; a folder without them has none."""
  if readme.exists():
    text = readme.read_text(encoding='utf-8')
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if end:
      middle = '\n'.join(['', *lines(table), ''])
      readme.write_text(before + start + middle + end + after, encoding='utf-8')
