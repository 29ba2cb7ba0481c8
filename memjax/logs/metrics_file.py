"""`metrics.jsonl`: what happened in a run, one row a line, in order.

A row is a JSON object, `step` (int), `split` ('train' or the name of an
evaluation set), `metrics` ({name: float}) and whatever else was worth saying.
JSON has no NaN and no infinity: such a value is written null, and `nonfinite`
beside `metrics` says which it was. A run of replicas says their medians in
`metrics`, and each one's figures in the lists of `replicas`. A row is whole
when its line has ended, so what a killed process leaves of its last line is no
row.
"""

from collections.abc import Iterable, Mapping
import json
import math
import os
from pathlib import Path
from typing import Any, TypeAlias

from memjax.errors import ConfigError

Row: TypeAlias = dict[str, Any]
SPREAD = ('quartiles', 'replicas')  # lists by metric, of a run of replicas


def encode(row: Mapping[str, Any]) -> str:
  """The row as a line of strict JSON, with its line end."""
  metrics = row['metrics']
  strange = {k: str(v) for k, v in metrics.items() if not math.isfinite(v)}
  if strange:
    metrics = {k: None if k in strange else v for k, v in metrics.items()}
    row = {**row, 'metrics': metrics, 'nonfinite': strange}
  spread = {
    part: {name: [_or_null(v) for v in vs] for name, vs in row[part].items()}
    for part in SPREAD
    if part in row
  }
  return json.dumps({**row, **spread}, allow_nan=False) + '\n'


def decode(line: str) -> Row:
  """The row that `encode` made the line from."""
  row = json.loads(line)
  strange = row.pop('nonfinite', {})
  row['metrics'] |= {name: float(value) for name, value in strange.items()}
  for part in SPREAD:
    for values in row.get(part, {}).values():
      values[:] = [math.nan if v is None else v for v in values]
  return row


def _or_null(value: float) -> float | None:
  return value if math.isfinite(value) else None


def read(path: Path) -> list[Row]:
  """All whole rows, in the order they were written.

  A file that is not there yet holds none.

  Raises:
    ConfigError: a line is not a row.
  """
  if not path.exists():
    return []
  *lines, _ = path.read_text(encoding='utf-8', errors='replace').split('\n')
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      rows.append(decode(line))
    except (ValueError, KeyError, TypeError, AttributeError):
      raise ConfigError(
        str(path), f'line {number}', 'is no row of metrics: mend or remove it'
      ) from None
  return rows


def seconds(rows: Iterable[Row]) -> float:
  """How long was trained, over all starts, each up to its last row."""
  trained = [row['seconds'] for row in rows if row['split'] == 'train']
  return trained[-1] if trained else 0.0


def trim(path: Path, step: int) -> list[Row]:
  """Drops the rows after a step, and what is left of a torn line.

  The file is replaced in one piece, so it is never seen half trimmed.

  Returns:
    The rows that are kept.
  """
  kept = [row for row in read(path) if row['step'] <= step]
  if path.exists():
    aside = path.with_suffix('.partial')
    with aside.open('w', encoding='utf-8') as file:
      file.writelines(encode(row) for row in kept)
      file.flush()
      os.fsync(file.fileno())
    aside.replace(path)
  return kept
