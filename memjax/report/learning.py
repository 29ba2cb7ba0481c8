"""What each run learned: its curves, its evaluation sets, a sample of text."""

from collections.abc import Sequence
from typing import Any

from memjax.config.sections import flatten
from memjax.errors import ConfigError
from memjax.generation import session
from memjax.logs.console import number
from memjax.logs.metrics_file import Row
from memjax.logs.plots import Curve, learned, learning_panels, told
from memjax.report import summary
from memjax.report.page import Section, Table
from memjax.report.pictures import lines
from memjax.report.runs import Subject, measured

SAMPLED = 400  # tokens

BAND = (
  'Where a run has several seeds, the line is their median and the band reaches'
  ' from the first to the third quartile.'
)


def curves(subjects: Sequence[Subject]) -> Section:
  """One run with all of its sets; several with one set each, side by side."""
  if len(subjects) > 1:
    return _side_by_side(subjects)
  (subject,) = subjects
  baselines, notes = measured(
    subjects, lambda s: summary.references(s.experiment)
  )
  beside = baselines[0][1] if baselines else {}
  panels, last = learning_panels(subject.rows, beside)
  definition = (
    'What training measured on its own batches, and what every evaluation set'
    f' gave, against the optimiser steps taken. {BAND} Dotted: what there is to'
    ' compare with.'
  )
  picture = lines(panels, 'training step', (0, last))
  return Section('Learning', definition, [picture], notes=notes)


def _side_by_side(subjects: Sequence[Subject]) -> Section:
  panels: dict[str, list[Curve]] = {}
  last = 1
  for subject in subjects:
    split = _watched(subject)
    rows = [row for row in subject.rows if row['split'] == split]
    last = max([last, *(row['step'] for row in rows)])
    for metric in told(rows):
      panels.setdefault(metric, []).extend(
        curve._replace(style=subject.style)
        for curve in learned(rows, metric, subject.name, subject.colour)
      )
  sets = ', '.join(f'{s.name}: {_watched(s)}' for s in subjects)
  definition = (
    f'What each run gave on one evaluation set ({sets}), against the optimiser'
    f' steps taken. {BAND}'
  )
  picture = lines(panels, 'training step', (0, last))
  return Section('Learning', definition, [picture])


def _watched(subject: Subject) -> str:
  """The set that tells of the run: the one its best step goes by, if any."""
  best = subject.run.config['checkpoint']['best'].partition('/')[0]
  splits = [row['split'] for row in subject.rows if row['split'] != 'train']
  return best or next(iter(splits), 'train')


def evaluation(subjects: Sequence[Subject]) -> Section:
  """The last figures on every set, beside what there is to compare with."""
  last = {s.name: {r['split']: r for r in s.rows} for s in subjects}
  splits = dict.fromkeys(split for rows in last.values() for split in rows)
  tables: list[Table] = []
  protocols: dict[str, list[str]] = {}
  for split in [split for split in splits if split != 'train']:
    rows = {name: of[split] for name, of in last.items() if split in of}
    tables.append(_table(split, rows, subjects))
    for subject in [s for s in subjects if s.name in rows]:
      said = f'{split} {_protocol(subject, rows[subject.name])}'
      protocols.setdefault(said, []).append(subject.name)
  if not tables:
    return Section('Evaluation', notes=['No evaluation set was measured.'])
  definition = (
    'The last figures of every evaluation set. Medians over seeds where there'
    ' are several, first and third quartile in brackets. How each was measured'
    ' is said below.'
  )
  notes = [f'{", ".join(names)}: {said}' for said, names in protocols.items()]
  return Section('Evaluation', definition, tables=tables, notes=notes)


def _protocol(subject: Subject, row: Row) -> str:
  """When and how the figures of a set were measured."""
  spec = subject.run.config['evals'][row['split']]
  changed = {part: spec[part] for part in ('task', 'model') if part in spec}
  return f'at step {row["step"]}: {summary.protocol(row, flatten(changed))}'


def _table(
  split: str, rows: dict[str, Row], subjects: Sequence[Subject]
) -> Table:
  metrics = dict.fromkeys(m for row in rows.values() for m in row['metrics'])
  beside: dict[str, dict[str, str]] = {}
  for subject in subjects:
    for metric, values in _baselines(subject, split).items():
      said = {name: number(value) for name, value in values.items()}
      beside[metric] = beside.setdefault(metric, {}) | said
  body = [
    [metric, *(_figure(rows.get(s.name), metric) for s in subjects)]
    for metric in metrics
  ]
  head = [split, *(subject.name for subject in subjects)]
  if beside:
    head.append('to compare with')
    for metric, row in zip(metrics, body, strict=True):
      known = beside.get(metric, {})
      row.append(', '.join(f'{name} {value}' for name, value in known.items()))
  return Table(head, body)


def _baselines(subject: Subject, split: str) -> dict[str, Any]:
  """None where the set is not the run's or its data are not here."""
  try:
    return subject.experiment.evals[split].baselines
  except (ConfigError, KeyError):
    return {}


def _figure(row: Row | None, metric: str) -> str:
  if row is None or metric not in row['metrics']:
    return '—'
  value = number(row['metrics'][metric])
  if 'quartiles' not in row:
    return value
  low, high = map(number, row['quartiles'][metric])
  return f'{value} ({low} to {high})'.replace(' ', '\N{NO-BREAK SPACE}')


def sample(subjects: Sequence[Subject]) -> Section | None:
  """Text that each run writes; None where none reads text."""
  texts = [s for s in subjects if s.run.tokenizer is not None]
  if not texts:
    return None

  def written(subject: Subject) -> str:
    prompt = subject.run.config['log']['prompt'] or '\n'
    pieces = session.sample(subject.first, prompt, SAMPLED, 1.0, 0)
    return prompt + ''.join(pieces)

  shown, notes = measured(texts, written)
  definition = (
    f'The prompt, and {SAMPLED} tokens drawn one by one at temperature 1, with'
    ' seed 0. Of all that came before, the memory alone goes on.'
  )
  quotes = [(s.name, text) for s, text in shown]
  return Section('A sample', definition, notes=notes, quotes=quotes)
