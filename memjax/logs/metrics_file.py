"""`metrics.jsonl`: every row of a run's figures, one JSON object per line.

A row has `step` (int), `split` ('train' or the name of an evaluation set),
`metrics` ({name: float}) and any other fields. JSON has no NaN and no infinity:
such a value is written as null, and `nonfinite` beside `metrics` says which it
was. With replicas, `metrics` holds the medians and `replicas` the lists of each
replica's figures. A row is complete when its line has ended; the partial last
line of a killed process is not a row.
"""

from collections.abc import Iterable, Mapping
import json
import math
import os
from pathlib import Path
from typing import Any, TypeAlias

from memjax.errors import ConfigError

Row: TypeAlias = dict[str, Any]
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
  nonfinite = row.pop('nonfinite', {})
  row['metrics'] |= {name: float(value) for name, value in nonfinite.items()}
  for field in LISTS:
    for values in row.get(field, {}).values():
      values[:] = [math.nan if v is None else v for v in values]
  return row


def _or_null(value: float) -> float | None:
  return value if math.isfinite(value) else None


def load_rows(path: Path) -> list[Row]:
  """All complete rows, in the order they were written.

  A file that does not exist yet has no rows.

  Raises:
    ConfigError: a line is not a row.
  """
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


def training_seconds(rows: Iterable[Row]) -> float:
  """Seconds of training over all starts, each up to its last row."""
  seconds = [row['seconds'] for row in rows if row['split'] == 'train']
  return seconds[-1] if seconds else 0.0


def drop_rows_after(path: Path, step: int) -> list[Row]:
  """Removes the rows after a step, and a partial last line.

  The file is replaced in one step, so no reader sees a part of it.

  Returns:
    The rows that stay.
  """
  rows = [row for row in load_rows(path) if row['step'] <= step]
  if path.exists():
    partial = path.with_suffix('.partial')
    with partial.open('w', encoding='utf-8') as file:
      file.writelines(encode_row(row) for row in rows)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(path)
  return rows
