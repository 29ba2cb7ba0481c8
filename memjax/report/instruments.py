"""What each run remembers: sections made of the instruments of `analysis`.

An instrument's own words, the docstring of its module, stand below what it
shows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from memjax.analysis import (
  cost,
  linear_probes,
  loss_by_context,
  recl,
  score_by_distance,
  state_ablation,
)
from memjax.errors import ConfigError
from memjax.logs.plots import INK, SCORES, Curve
from memjax.report.overlays import band, columns, overlay, said, words
from memjax.report.page import Section, Table
from memjax.report.pictures import lines
from memjax.report.runs import Subject, measured
from memjax.tasks.base import GeneratedTask

FEW: dict[str, Any] = {
  'batch_size': 32,
  'batches': 4,
}  # rows that an instrument reads
LAGS = 32  # at most


def by_extent(subjects: Sequence[Subject]) -> Section:
  """The score by distance or length."""

  def measure(subject: Subject) -> score_by_distance.Curve:
    task = subject.experiment.task
    score_by_distance.require_score_axis(task)
    assert isinstance(task, GeneratedTask)
    edges = score_by_distance.bins(task)
    return score_by_distance.curve(*subject.read, edges, batches=8)

  def curve(
    found: score_by_distance.Curve,
  ) -> tuple[str, np.ndarray, np.ndarray]:
    metric = next((m for m in SCORES if m in found.metrics), 'loss')
    middles = (found.edges[:-1] + found.edges[1:] - 1) / 2
    return metric, middles, found.metrics[metric]

  shown, notes = measured(subjects, measure)
  panels = overlay(shown, curve)
  extents = ' or '.join(dict.fromkeys(found.score_axis for _, found in shown))
  pictures = [lines(panels, extents)] if panels else []
  definition = words(score_by_distance)
  return Section('By distance or length', definition, pictures, (), notes)


def by_context(subjects: Sequence[Subject]) -> Section:
  """The loss by context, and the length of context that is of use."""

  def measure(subject: Subject) -> loss_by_context.LossByContext:
    lengths = loss_by_context.contexts(
      subject.experiment.task, FEW['batch_size']
    )
    return loss_by_context.loss_by_context(
      *subject.read, lengths.tolist(), **FEW
    )

  shown, notes = measured(subjects, measure)
  panels = overlay(shown, lambda found: ('loss', found.contexts, found.loss))
  pictures = [lines(panels, 'inputs read', xscale='log')] if panels else []
  tables = []
  try:
    tables += [_recl(shown)] if shown else []
  except ConfigError as error:  # such runs do not compare
    notes.append(f'RECL: {error.field} {error.rule}')
  definition = words(loss_by_context, recl)
  return Section('By context', definition, pictures, tables, notes)


def _recl(
  shown: Sequence[tuple[Subject, loss_by_context.LossByContext]],
) -> Table:
  """A row for each share of the labels; all runs are one group."""
  group = {subject.name: found for subject, found in shown}
  found = recl.relative_effective_context_length(group)
  shares = [f'{share:.0%} hardest labels' for share in found.shares]
  each = [
    (s, dict(zip(shares, map(said, found.lengths[s.name].T), strict=True)))
    for s, _ in shown
  ]
  caption = 'Relative effective context length, in inputs'
  return Table(*columns(each), caption)


def knocked_out(subjects: Sequence[Subject]) -> Section:
  """What losing the memory costs, leaf by leaf."""
  shown, notes = measured(
    subjects, lambda subject: state_ablation.knock_out(*subject.read, **FEW)
  )
  tables = []
  for subject, found in shown:
    ways = list(found.loss_rise)
    rows = [
      [leaf, *(said(found.loss_rise[way][:, i]) for way in ways)]
      for i, leaf in enumerate(found.leaves)
    ]
    caption = f'{subject.name}: rise of the loss, {said(found.loss)} as it was'
    tables.append(Table(['leaf of the carry', *ways], rows, caption))
  definition = words(state_ablation)
  return Section('Without its memory', definition, (), tables, notes)


def told(subjects: Sequence[Subject]) -> Section:
  """What linear probes tell from the carry, and how dearly it is kept."""

  def measure(subject: Subject) -> linear_probes.Probes:
    lags = np.arange(min(max(subject.experiment.task.length // 2, 1), LAGS))
    return linear_probes.probe(*subject.read, lags, batch_size=32, batches=16)

  shown, notes = measured(subjects, measure)
  panels = overlay(
    shown, lambda f: (f.metric, f.lags, f.score[linear_probes.ALL])
  )
  for _, found in shown:
    lags, chance = found.lags.tolist(), found.chance.tolist()
    blind = Curve('without the carry', INK, lags, chance, ':')
    if blind not in panels.setdefault(found.metric, []):
      panels[found.metric].append(blind)
  pictures = [lines(panels, 'steps back')] if panels else []
  dense = [(s, found) for s, found in shown if found.classes]
  each = [(s, _density(s, found)) for s, found in dense]
  tables = [Table(*columns(each), 'State and what is told')] if each else []
  definition = words(linear_probes)
  return Section('Told from the carry', definition, pictures, tables, notes)


def _density(subject: Subject, found: linear_probes.Probes) -> dict[str, str]:
  dense = cost.density(subject.run.model, found)
  return {
    'bits of state': f'{dense.state_bits:,}',
    f'symbols told, of the last {len(found.lags)}': said(dense.symbols),
    'bits of state a symbol': said(dense.bits_per_symbol),
  }


def costs(subjects: Sequence[Subject]) -> Section:
  """Speed and memory by the length of a segment."""

  def measure(subject: Subject) -> cost.Cost:
    length = subject.experiment.task.length
    lengths = np.unique([max(length // part, 1) for part in (4, 1)])
    return cost.cost(*subject.read, lengths, batch_size=32, repeats=3)

  shown, notes = measured(subjects, measure)
  tables = []
  panels: dict = {}
  for subject, found in shown:
    for way, title in (('read', 'reading'), ('train', 'its gradient')):
      curve = band(subject, found.lengths, found.tokens_per_second[way].T)
      metric = f'{title}, tokens per second'
      panels.setdefault(metric, []).append(curve)
    cells = {
      f'{way}, {length} steps': _bytes(needed)
      for way in found.memory
      for length, needed in zip(found.lengths, found.memory[way], strict=True)
    }
    tables.append((subject, cells))
  pictures = [lines(panels, 'steps of a segment')] if panels else []
  caption = 'Memory that the program needs, 32 rows'
  made = [Table(*columns(tables), caption)] if tables else []
  definition = words(cost)
  return Section('What it costs', definition, pictures, made, notes)


def _bytes(needed: float) -> str:
  return f'{needed / 1e6:,.2f} MB' if np.isfinite(needed) else '—'
