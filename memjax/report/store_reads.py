"""What evaluations with a store read there: how old it was, what it gained."""

from collections.abc import Sequence
import datetime

from memjax.analysis.section import LinePlot, Section, Table
from memjax.logs.metrics_file import Row
from memjax.logs.plots import Curve
from memjax.report.runs import ReportedRun

DEFINITION = """
    The newest row of --mode=eval --store of each run. A label reads the records
    whose states are the nearest to its own, and counts at the age of the
    nearest one: 1 for the newest record, else the number of records written
    since, itself included.

        gain = ln p'(label) - ln p(label)

    of the mixture over the model alone, in nats; the mean over the labels of a
    band of ages. Above 0, what was read helped. The gains of all bands,
    weighted by their labels, add up to the difference of the two losses.

    The page shows numbers of records, not what they hold: who has a grant reads
    record N with store.read(space, Range(N, N + 1)).
    """


def section(runs: Sequence[ReportedRun]) -> Section | None:
  """Gain and labels by age, and the labels that changed most; None if nothing
  was read."""
  rows = {
    run.name: row
    for run in runs
    for row in run.evaluation_rows
    if row.get('reads', {}).get('bands')
  }
  if not rows:
    return None
  panels = {
    'gain, nats per label': [_curve(n, r, 'gain') for n, r in rows.items()],
    'share of the records': [_curve(n, r, 'share') for n, r in rows.items()],
    'labels': [_curve(n, r, 'labels') for n, r in rows.items()],
  }
  tables = [table for name, row in rows.items() for table in _tables(name, row)]
  return Section(
    'What was read from a store',
    DEFINITION,
    [LinePlot(panels, 'records written since, at least', xscale='log')],
    tables=tables,
    sentences=[_sentence(name, row) for name, row in rows.items()],
  )


def _curve(name: str, row: Row, figure: str) -> Curve:
  bands = row['reads']['bands']
  ages, values = ([band[x] for band in bands] for x in ('youngest', figure))
  return Curve(name, '', ages, values)


def _sentence(name: str, row: Row) -> str:
  bands, said = row['reads']['bands'], row['protocol']
  labels = sum(band['labels'] for band in bands)
  gain = sum(band['labels'] * band['gain'] for band in bands) / labels
  best = max(bands, key=lambda band: band['labels'] * band['gain'])
  return (
    f'{name}: on {row["split"]}, the {said["store_records"]:,} records of '
    f'space {said["space"]} (fingerprint {said["store_fingerprint"]}) gain '
    f'{gain:+.3f} nats per label; most of it comes from records '
    f'{best["youngest"]:,} to {best["oldest"]:,} old.'
  )


def _tables(name: str, row: Row) -> list[Table]:
  reads = row['reads']
  bands = [
    [
      f'{band["youngest"]:,} to {band["oldest"]:,}',
      f'{band["labels"]:,}',
      f'{band["share"]:.2f}',
      f'{band["gain"]:+.3f}',
      f'{band["helped"]:.0%}',
      f'{_date(band["first_written"])} to {_date(band["last_written"])}',
    ]
    for band in reads['bands']
  ]
  head = ['age, records', 'labels', 'share', 'gain', 'helped', 'written']
  examples = [
    [
      f'{example["gain"]:+.2f}',
      repr(example['before']),
      repr(example['label']),
      f'{example["share"]:.2f}',
      f'{example["record"]:,}',
      f'{example["age"]:,}',
      _date(example['written']),
    ]
    for example in reads['examples']
  ]
  shown = ['gain', 'after', 'label', 'share', 'record', 'age', 'written']
  return [
    Table(head, bands, f'{name}: labels by the age of what they read'),
    Table(shown, examples, f'{name}: the labels with the most and least gain'),
  ]


def _date(seconds: float) -> str:
  moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
  return f'{moment:%Y-%m-%d %H:%M}'
