"""The page's own sections as files beside it: CSVs and SVGs.

Instruments write theirs themselves, see `instruments.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
import json
from pathlib import Path
from typing import Any

from memjax.analysis.section import Section, Table, write_svg
from memjax.logs.metrics_file import Row
from memjax.logs.plots import style_runs
from memjax.report.runs import ReportedRun

HEAD = (
  *('run', 'mode', 'time', 'step', 'split', 'changed'),
  *('metric', 'value', 'first_quartile', 'third_quartile'),
)


def with_files(
  section: Section,
  name: str,
  rows: Iterable[Sequence[Any]],
  runs: Sequence[ReportedRun],
  folder: Path,
) -> Section:
  """The section, its figures in `NAME.csv` and its plots in `NAME.svg`.

  Args:
    section: has at most one plot.
    name: of the files.
    rows: cells under `HEAD`; with none there is no file.
    runs: those of the page, which have a style each.
    folder: where to write. Files of an earlier report are removed.
  """
  table, picture = folder / f'{name}.csv', folder / f'{name}.svg'
  for path in (table, picture):
    path.unlink(missing_ok=True)
  files = []
  if cells := [*rows]:
    _write(HEAD, cells, table)
    files.append(table.name)
  for plot in section.plots:
    write_svg(plot, picture, style_runs([run.name for run in runs]))
    files.append(picture.name)
  return section._replace(files=files)


def write_table(table: Table, path: Path) -> None:
  """Writes a table as the page shows it."""
  _write(table.head, table.rows, path)


def figures(run: ReportedRun, rows: Iterable[Row]) -> Iterator[list[Any]]:
  """The cells of each metric of these rows, under `HEAD`."""
  for row in rows:
    changed = describe_changes(row.get('overrides', {}))
    of = [row.get('mode', 'train'), row.get('time', '')]
    for metric, value in row['metrics'].items():
      quartiles = row.get('quartiles', {}).get(metric, ('', ''))
      place = [run.name, *of, row['step'], row['split'], changed]
      yield [*place, metric, value, *quartiles]


def describe_changes(overrides: Mapping[str, Any]) -> str:
  """'task.length 64, seed 1', of the fields that `--mode=eval` changed."""
  texts = {
    k: v if isinstance(v, str) else json.dumps(v) for k, v in overrides.items()
  }
  return ', '.join(f'{field} {value}' for field, value in texts.items())


def _write(
  head: Sequence[str], rows: Iterable[Sequence[Any]], path: Path
) -> None:
  with path.open('w', newline='', encoding='utf-8') as file:
    csv.writer(file, lineterminator='\n').writerows([head, *rows])
