"""The figures of a set's documents, in files beside `metrics.jsonl`.

    documents/SET-STEP.jsonl  a row for each document
    documents/SET-STEP.csv    the same as a table

A row has `step`, `split`, `document` (from 0), `name`, `metrics`, with replicas
also `quartiles` and `replicas`, and `sums` ({metric: one of each replica}) and
`counts`. The sums of all documents divided by their counts are the figures of
the whole set; of a perplexity they are the logarithm. A CSV has a line for each
document and replica, with columns METRIC, METRIC/sum and METRIC/count.
"""

from collections.abc import Sequence
import csv
import io
import os
from pathlib import Path

from memjax.logs.metrics_file import Row, encode_row

FOLDER = 'documents'


def move_documents(workdir: Path, row: Row) -> Row:
  """Writes the documents' rows that a row holds.

  Args:
    workdir: the run's folder.
    row: a row for `metrics.jsonl`, perhaps with a list of rows, `documents`.

  Returns:
    The row, with the name of the CSV file in place of the list.

  Raises:
    OSError: a file could not be written.
  """
  if 'documents' not in row:
    return row
  shared = {'step': row['step'], 'split': row['split']}
  rows = [{**shared, **document} for document in row['documents']]
  parts = [row['split'], str(row['step'])]
  if 'time' in row:  # --mode=eval, perhaps with other settings
    parts.append(row['time'].replace(':', ''))
  name = f'{FOLDER}/{"-".join(parts)}'
  (workdir / FOLDER).mkdir(exist_ok=True)
  lines = ''.join(encode_row(document) for document in rows)
  _write_whole(workdir / f'{name}.jsonl', lines)
  _write_whole(workdir / f'{name}.csv', _table(rows))
  return {**row, 'documents': f'{name}.csv'}


def _table(rows: Sequence[Row]) -> str:
  text = io.StringIO()
  metrics = [*rows[0]['metrics']]
  head = ('step', 'split', 'document', 'name')
  parts = [
    f'{metric}{part}' for part in ('', '/sum', '/count') for metric in metrics
  ]
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow([*head, 'replica', *parts])
  for row in rows:
    figures = row.get('replicas') or {m: [v] for m, v in row['metrics'].items()}
    for replica in range(len(figures['loss'])):
      writer.writerow(
        [row[field] for field in head]
        + [replica]
        + [figures[m][replica] for m in metrics]
        + [row['sums'][m][replica] for m in metrics]
        + [row['counts'][m] for m in metrics]
      )
  return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
  partial = path.with_name(f'{path.name}.partial')
  with partial.open('w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  partial.replace(path)
