"""What each run learned: learning curves, evaluation sets, a sample of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memjax.analysis.across_runs import MISSING
from memjax.analysis.section import LinePlot, Section, Table
from memjax.config.merge import changed_fields
from memjax.generation import session
from memjax.generation.sampler import TEMPERATURE
from memjax.logs.console import format_number
from memjax.logs.headline import describe_seeds, shown
from memjax.logs.learning_curves import (
  learning_metrics,
  learning_panels,
  metric_curve,
)
from memjax.logs.metrics_file import Row
from memjax.logs.plots import Curve, reference_curves
from memjax.report import summary
from memjax.report.files import describe_changes, figures
from memjax.report.runs import ReportedRun, measure_runs
from memjax.report.verdict import baselines as of_task

SAMPLE_TOKENS = 200

QUARTILES = (
  'If a run has several seeds, curves are medians, and bands reach from the'
  ' first to the third quartile.'
)


def curves(runs: Sequence[ReportedRun]) -> Section:
  """One run with all of its splits, or several runs with one split each."""
  if len(runs) > 1:
    return _side_by_side(runs)
  (run,) = runs
  baselines, notes = measure_runs(
    runs, lambda run: summary.first_baselines(run.experiment)
  )
  panels, last = learning_panels(run.rows, baselines.get(run.name, {}))
  definition = (
    'The metrics of the training batches and of every evaluation set, against'
    f' the number of optimiser steps. {QUARTILES} Dotted: baselines.'
  )
  plot = LinePlot(panels, 'training step', (0, last))
  return Section('Learning', definition, [plot], notes=notes)


def curve_figures(runs: Sequence[ReportedRun]) -> Iterator[list[Any]]:
  """The cells of every row that training wrote, for the CSV of `curves`."""
  for run in runs:
    yield from figures(run, run.rows)


def _side_by_side(runs: Sequence[ReportedRun]) -> Section:
  panels: dict[str, list[Curve]] = {}
  last = 1
  for run in runs:
    split = run.main_set
    rows = [row for row in run.rows if row['split'] == split]
    last = max([last, *(row['step'] for row in rows)])
    for metric in learning_metrics(rows):
      panels.setdefault(metric, []).extend(
        metric_curve(rows, metric, run.name, '')
      )
  for metric, curves in panels.items():
    references = {
      name: value
      for run in runs
      for name, value in of_task(run, run.main_set).get(metric, {}).items()
    }
    curves.extend(reference_curves(references, 0, last))
  splits = ', '.join(f'{run.name}: {run.main_set}' for run in runs)
  definition = (
    f'The metrics of one evaluation set of each run ({splits}), against the'
    f' number of optimiser steps. {QUARTILES} Dotted: baselines.'
  )
  plot = LinePlot(panels, 'training step', (0, last))
  return Section('Learning', definition, [plot])


def evaluation(runs: Sequence[ReportedRun]) -> Section:
  """The last figures on every evaluation set, beside the baselines."""
  last = {run.name: {row['split']: row for row in run.rows} for run in runs}
  splits = dict.fromkeys(split for rows in last.values() for split in rows)
  tables: list[Table] = []
  protocols: dict[str, list[str]] = {}
  for split in [split for split in splits if split != 'train']:
    rows = {name: of[split] for name, of in last.items() if split in of}
    tables.append(_table(split, rows, runs))
    for run in [run for run in runs if run.name in rows]:
      protocol = f'{split} {_protocol(run, rows[run.name])}'
      protocols.setdefault(protocol, []).append(run.name)
  if any(run.evaluation_rows for run in runs):
    tables.append(_of_mode_eval(runs))
  if not tables:
    return Section('Evaluation', notes=['No evaluation set was measured.'])
  definition = (
    'The last figures of every evaluation set. If a run has several seeds, they'
    ' are medians, with the first and third quartile in brackets. The rows of'
    ' --mode=eval follow: the last one for each set, step and change of fields.'
  )
  lines = [f'{", ".join(names)}: {text}' for text, names in protocols.items()]
  folded = [('Protocol of each set', '\n'.join(lines))]
  return Section('Evaluation', definition, tables=tables, folded=folded)


def last_figures(runs: Sequence[ReportedRun]) -> Iterator[list[Any]]:
  """The cells of the rows that `evaluation` shows, for its CSV."""
  for run in runs:
    last = {row['split']: row for row in run.rows if row['split'] != 'train'}
    yield from figures(run, [*last.values(), *run.evaluation_rows])


def _of_mode_eval(runs: Sequence[ReportedRun]) -> Table:
  """The rows that `--mode=eval` kept, the newest of those that are alike."""
  rows = {
    (
      run.name,
      row['split'],
      row['step'],
      describe_changes(row['overrides']),
    ): row
    for run in runs
    for row in run.evaluation_rows
  }
  metrics = dict.fromkeys(
    metric for row in rows.values() for metric in shown(row['metrics'], '')
  )
  body = [
    [
      split if len(runs) == 1 else f'{run}: {split}',
      f'{step:,}',
      changed or 'nothing',
      *(_figure(row, metric) for metric in metrics),
    ]
    for (run, split, step, changed), row in rows.items()
  ]
  head = ['set', 'step', 'changed fields', *metrics]
  return Table(head, body, 'Measured later, by --mode=eval')


def _protocol(run: ReportedRun, row: Row) -> str:
  """When and how the figures of a set were measured."""
  changed = changed_fields(run.config, row['split'])
  return f'at step {row["step"]}: {summary.protocol(row, changed)}'


def _table(
  split: str, rows: Mapping[str, Row], runs: Sequence[ReportedRun]
) -> Table:
  best = {run.name: run.config['checkpoint']['best'] for run in runs}
  metrics = dict.fromkeys(
    metric
    for name, row in rows.items()
    for metric in shown(row['metrics'], best[name])
  )
  baselines: dict[str, dict[str, str]] = {}
  for run in runs:
    for metric, values in of_task(run, split).items():
      figures = {name: format_number(value) for name, value in values.items()}
      baselines[metric] = baselines.get(metric, {}) | figures
  body = [
    [metric, *(_figure(rows.get(run.name), metric) for run in runs)]
    for metric in metrics
  ]
  head = [split, *(run.name for run in runs)]
  if baselines:
    head.append('baselines')
    for metric, row in zip(metrics, body, strict=True):
      known = baselines.get(metric, {})
      row.append(', '.join(f'{name} {value}' for name, value in known.items()))
  return Table(head, body)


def _figure(row: Row | None, metric: str) -> str:
  if row is None or metric not in row['metrics']:
    return MISSING
  value = format_number(row['metrics'][metric])
  if 'quartiles' not in row:
    return value
  low, high = map(format_number, row['quartiles'][metric])
  seeds = describe_seeds(row)
  text = f'{value} ({low} to {high})'.replace(' ', '\N{NO-BREAK SPACE}')
  return f'{text}, {seeds}' if seeds else text


def sample(runs: Sequence[ReportedRun]) -> Section | None:
  """Text that each run writes; None if no run reads text."""
  texts = [run for run in runs if run.trained.tokenizer is not None]
  if not texts:
    return None

  def write(run: ReportedRun) -> str:
    prompt = run.config['log']['prompt'] or '\n'
    pieces = session.sample(run.first, prompt, SAMPLE_TOKENS)
    return prompt + ''.join(pieces)

  samples, notes = measure_runs(texts, write)
  definition = (
    f'The prompt, and {SAMPLE_TOKENS} tokens drawn one by one at temperature'
    f' {TEMPERATURE} with seed 0. The model reads only the last token; the rest'
    ' of the text is in its memory.'
  )
  quotes = list(samples.items())
  return Section('A sample', definition, notes=notes, quotes=quotes)
