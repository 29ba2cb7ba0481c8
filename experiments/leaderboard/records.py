"""The results of the leaderboard: one record a cell, as JSON and as CSV.

`results.json` is the source: a list with one record a line. `results.csv` has
the same scores, one line for each seed at each rate of each cell.
"""

from collections.abc import Iterable, Iterator, Mapping
import csv
import io
import json
from pathlib import Path
import threading
from typing import Any

from experiments.leaderboard.grid import Cell, cell_of, cells
from experiments.leaderboard.tasks import TASKS
from memjax.runs.json_files import write_whole

FOLDER = Path(__file__).parent
JSON, CSV = 'results.json', 'results.csv'
RECORD = 'record.json'  # of a finished cell, in its folder
WORKER = 'LEADERBOARD_WORKER'  # tells a cell which worker started it
Record = dict[str, Any]
FINISHED, DIVERGED, REFUSED, FAILED = (
  *('finished', 'diverged'),
  *('refused', 'failed'),
)
COLUMNS = (
  *('task', 'memory', 'width', 'learning_rate', 'seed', 'state'),
  *('steps', 'rows', 'parameters', 'state_bytes', 'processor_seconds'),
  *('metric', 'validation', 'test', 'beyond', 'rows_to_learn', 'reason'),
  'command',
)
LEARNT = 0.9  # the validation score that counts as learnt
_writing = threading.Lock()


def command_of(cell: Cell) -> str:
  """What trains the cell, with no code of the leaderboard but its config."""
  return (
    'python launch.py --config=experiments/leaderboard/config.py:'
    f'{cell.variant} --workdir=runs/leaderboard/{cell.name}'
  )


def load(folder: Path = FOLDER) -> list[Record]:
  """All records, in the order of the cells; empty if there are none yet."""
  path = folder / JSON
  return json.loads(path.read_text()) if path.exists() else []


def add(cell: Cell, result: Mapping[str, Any], folder: Path = FOLDER) -> None:
  """Writes the record of a cell, instead of an earlier one of this cell.

  Args:
    cell: which.
    result: `state`, `reason`, and of a finished cell what `cell.record` says.
    folder: of the results.
  """
  record = {
    'name': cell.name,
    'task': cell.task,
    'memory': cell.memory,
    'width': cell.width,
    'command': command_of(cell),
  } | dict(result)
  with _writing:
    kept = [r for r in load(folder) if r['name'] != cell.name]
    write(in_order([*kept, record]), folder)


def in_order(records: Iterable[Record]) -> list[Record]:
  """As the cells run; cells at a third rate come last."""
  place = {cell.name: i for i, cell in enumerate(cells())}
  last = len(place)
  return sorted(records, key=lambda r: (place.get(r['name'], last), r['name']))


def write(records: list[Record], folder: Path) -> None:
  """Replaces both files."""
  folder.mkdir(parents=True, exist_ok=True)
  lines = ',\n'.join(json.dumps(record) for record in records)
  write_whole(folder / JSON, f'[\n{lines}\n]\n')
  text = io.StringIO()
  table = csv.DictWriter(text, COLUMNS, lineterminator='\n')
  table.writeheader()
  table.writerows(line for record in records for line in csv_lines(record))
  write_whole(folder / CSV, text.getvalue())


def csv_lines(record: Record) -> Iterator[dict[str, Any]]:
  """A line for each replica; of a cell without scores, one that says why."""
  common = {name: record[name] for name in COLUMNS if name in record}
  if 'scores' not in record:
    yield common
    return
  metric = TASKS[record['task']].metric
  learnt = rows_to_learn(record)
  for i, seed in enumerate(record['seeds']):
    rate = record['learning_rates'][i]
    gone = record['diverged'].get(str(seed))
    yield (
      common
      | {
        'learning_rate': rate,
        'seed': seed,
        'state': record['state'] if gone is None else DIVERGED,
        'reason': record['reason'] if gone is None else f'at step {gone}',
        'metric': metric,
        'rows_to_learn': learnt[i],
      }
      | {split: found[metric][i] for split, found in record['scores'].items()}
    )


def rows_to_learn(record: Record) -> list[int | None]:
  """Training rows of each replica until its validation score was at LEARNT."""
  task, curve = TASKS[record['task']], record['curve']
  if not task.highest:
    return [None] * len(record['seeds'])
  rows_a_step = record['rows'] // record['steps']
  scores = curve['replicas'][task.metric]
  return [
    next(
      (
        step * rows_a_step
        for step, values in zip(curve['steps'], scores, strict=True)
        if (values[i] or 0) >= LEARNT
      ),
      None,
    )
    for i in range(len(record['seeds']))
  ]


def missing(records: Iterable[Record], wanted: Iterable[Cell]) -> list[Cell]:
  """The cells without a result: a crash or a refusal is tried again."""
  done = {r['name'] for r in records if r['state'] in (FINISHED, DIVERGED)}
  return [cell for cell in wanted if cell.name not in done]


def named(records: Iterable[Record]) -> dict[Cell, Record]:
  """The records by their cells."""
  return {cell_of(record['name']): record for record in records}
