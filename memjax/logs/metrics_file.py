"""`metrics.jsonl`: every row of a run's figures, one JSON object per line.

A row has `step` (int), `split` ('train' or the name of an evaluation set),
`metrics` ({name: float}) and any other fields. JSON has no NaN and no infinity:
such a value is written as null, and `nonfinite` beside `metrics` says which it
was. With replicas, `metrics` holds the medians and `replicas` the lists of each
replica's figures. A row is complete when its line has ended; the partial last
line of a killed process is not a row.

Rows of `--mode=eval` lie in the same file, with `mode` ('eval'), `time` and
`overrides`, the set's fields that are not those of the run. Only
`load_evaluation_rows` reads them, so they are never taken for the run's own.
"""

from collections.abc import Iterable, Mapping
import json
import math
import os
from pathlib import Path
from typing import Any, TypeAlias

from memjax.errors import ConfigError

Row: TypeAlias = dict[str, Any]
EVAL = 'eval'  # the mode of rows that training did not write
LISTS = ('quartiles', 'replicas')  # fields {metric: list}, with replicas


def encode_row(row: Mapping[str, Any]) -> str:
  """The row as a line of strict JSON, with its newline."""
  metrics = row['metrics']
  nonfinite = {k: str(v) for k, v in metrics.items() if not math.isfinite(v)}
  if nonfinite:
    metrics = {k: None if k in nonfinite else v for k, v in metrics.items()}
    row = {**row, 'metrics': metrics, 'nonfinite': nonfinite}
  lists = {
    field: {name: [_or_null(v) for v in vs] for name, vs in row[field].items()}
    for field in LISTS
    if field in row
  }
  return json.dumps({**row, **lists}, allow_nan=False) + '\n'


def decode_row(line: str) -> Row:
  """The row that `encode_row` made the line from."""
  row = json.loads(line)
  row['step'], row['split'] = int(row['step']), str(row['split'])
  nonfinite = row.pop('nonfinite', {})
  row['metrics'] |= {name: float(value) for name, value in nonfinite.items()}
  for field in LISTS:
    for values in row.get(field, {}).values():
      values[:] = [math.nan if v is None else v for v in values]
  return row


def _or_null(value: float) -> float | None:
  return value if math.isfinite(value) else None


def load_rows(path: Path) -> list[Row]:
  """The rows that training wrote, in order.

  A file that does not exist yet has no rows.

  Raises:
    ConfigError: a line is not a row.
  """
  return [row for row in _load_all(path) if 'mode' not in row]


def load_evaluation_rows(path: Path) -> list[Row]:
  """The rows that `--mode=eval` wrote, in order; see `load_rows`."""
  return [row for row in _load_all(path) if row.get('mode') == EVAL]


def _load_all(path: Path) -> list[Row]:
  if not path.exists():
    return []
  *lines, _ = path.read_text(encoding='utf-8', errors='replace').split('\n')
  rows = []
  for i, line in enumerate(lines, 1):
    try:
      rows.append(decode_row(line))
    except (ValueError, KeyError, TypeError, AttributeError):
      rule = 'is not a valid metrics row: fix or delete the line'
      raise ConfigError(str(path), f'line {i}', rule) from None
  return rows


def total_seconds(rows: Iterable[Row]) -> float:
  """Seconds of all starts, each up to its last row."""
  return _last(rows, 'seconds')


def training_seconds(rows: Iterable[Row]) -> float:
  """The part of them in steps: not compiling, evaluating or saving."""
  return _last(rows, 'training_seconds')


def _last(rows: Iterable[Row], field: str) -> float:
  values = [row[field] for row in rows if row['split'] == 'train']
  return values[-1] if values else 0.0


def drop_rows_after(path: Path, step: int) -> list[Row]:
  """Removes the rows after a step, and a partial last line.

  The file is replaced in one step, so no reader sees a part of it.

  Returns:
    The rows of training that stay.
  """
  rows = [row for row in _load_all(path) if row['step'] <= step]
  if path.exists():
    partial = path.with_suffix('.partial')
    with partial.open('w', encoding='utf-8') as file:
      file.writelines(encode_row(row) for row in rows)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(path)
  return [row for row in rows if 'mode' not in row]


def append_row(path: Path, row: Mapping[str, Any]) -> None:
  """Adds one row in one write, also while a run appends its own.

  Raises:
    OSError: the file cannot be written.
  """
  with path.open('ab', buffering=0) as file:
    file.write(encode_row(row).encode())


def drop_partial_line(path: Path) -> None:
  """Cuts the last line if it has not ended: its process was killed."""
  if path.exists():
    lines, newline, _ = path.read_bytes().rpartition(b'\n')
    os.truncate(path, len(lines + newline))
