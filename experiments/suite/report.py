"""Draws the results of the suite: pictures, and one page with all of them.

    python -m experiments.suite.report [--runs=runs/suite] [--to=FOLDER]

For every task: the score against the bytes of state that a model carries from
step to step, against training time, and against distance or length if the task
has them. Points are medians over seeds at the learning rate whose median is
best. Bars and bands reach from the first to the third quartile.
"""

import argparse
from collections.abc import Iterable, Sequence
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter
import numpy as np

from experiments.suite.cell import RESULT, RUNS
from memjax.analysis.section import Section, Table
from memjax.logs.plots import EVALUATIONS, FAINT, INK, SCORES
from memjax.report.page import render
from memjax.report.pictures import png

SHOWN = (
  'Scores against the bytes of state of a row, against training time, and'
  ' against distance or length. Medians over seeds at the learning rate whose'
  ' median is best; bars and bands are quartiles.'
)
MARKERS = 'osD^vPX*'
Result = dict[str, Any]
Point = tuple[float, float, float, float]  # x, first quartile, median, third


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=RUNS)
  parser.add_argument('--to', type=Path, default=Path('runs/suite/report'))
  given = parser.parse_args()
  results = [
    json.loads(path.read_text())
    for path in sorted(given.runs.glob(f'*/*/{RESULT}'))
  ]
  if not results:
    parser.error(f'--runs: {given.runs}: has no finished cell')
  print(write(results, given.to))


def write(results: Sequence[Result], folder: Path) -> Path:
  """Draws everything into the folder; returns the page."""
  folder.mkdir(parents=True, exist_ok=True)
  sections = []
  tasks = dict.fromkeys((r['study'], r['task']) for r in results)
  for study, task in tasks:
    of = [r for r in results if (r['study'], r['task']) == (study, task)]
    name, picture = f'{study} {task}', folder / f'{study}-{task}.png'
    draw(of, name, picture)
    alt = f'{metric_of(of[0])} of {name} against state, time and extent'
    sections.append(
      Section(name, pictures=[png(picture, alt)], tables=[table(of)])
    )
  page = folder / 'index.html'
  page.write_text(render('The memory suite', SHOWN, sections), encoding='utf-8')
  return page


def draw(results: Sequence[Result], title: str, path: Path) -> None:
  """The panels of one task, side by side."""
  metric = metric_of(results[0])
  figure = Figure(figsize=(13, 4), layout='constrained')
  state, time, extent = figure.subplots(1, 3, sharey=True)
  names = list(dict.fromkeys(r['model'] for r in results))
  for i, name in enumerate(names):
    of = sorted(
      (r for r in results if r['model'] == name), key=lambda r: r['width']
    )
    style = {'color': EVALUATIONS[i % len(EVALUATIONS)], 'label': name}
    style['marker'] = MARKERS[i % len(MARKERS)]
    points(state, [(r['state_bytes'], *spread(r, metric)) for r in of], style)
    points(time, [(r['seconds'], *spread(r, metric)) for r in of], style)
    if of[-1]['curves']:
      band(extent, curve_points(of[-1], metric), style)
  state.set(xlabel='state, bytes a row', ylabel=metric)
  state.set_ylim(-0.03, 1.03)
  time.set(xlabel='training of all seeds, seconds')
  for axes in (state, time):
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=6))
    axes.xaxis.set_major_formatter(ScalarFormatter())
  extents = [curve['score_axis'] for curve in results[0]['curves']]
  extent.set(xlabel=f'{extents[0]}, widest model' if extents else '')
  extent.set_visible(bool(extents))
  for axes in (state, time, extent):
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(FAINT)
    axes.grid(axis='y', color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
  figure.suptitle(title, color=INK)
  figure.legend(*state.get_legend_handles_labels(), loc='outside right upper')
  figure.savefig(path, dpi=110)


def points(axes: Axes, found: Sequence[Point], style: dict[str, Any]) -> None:
  """Medians with bars, connected in the order of width."""
  x, low, middle, high = np.array(found).T
  axes.errorbar(
    x,
    middle,
    [middle - low, high - middle],
    markersize=5,
    linewidth=1.2,
    capsize=2,
    **style,
  )


def band(axes: Axes, found: Sequence[Point], style: dict[str, Any]) -> None:
  """A median line in a band between the quartiles."""
  x, low, middle, high = np.array(found).T
  axes.plot(x, middle, markersize=4, linewidth=1.2, **style)
  axes.fill_between(x, low, high, color=style['color'], alpha=0.18, linewidth=0)


def metric_of(result: Result) -> str:
  """The task's main score."""
  metrics = {s['metric'] for s in result['scores']}
  return next(name for name in SCORES if name in metrics)


def at_best_rate(result: Result, metric: str) -> np.ndarray:
  """A mask of the replicas with the learning rate of the best median score."""
  values = scored(result, metric)
  rates = np.array(result['learning_rates'])
  best = max(
    dict.fromkeys(rates), key=lambda rate: np.median(values[rates == rate])
  )
  return rates == best


def scored(result: Result, metric: str) -> np.ndarray:
  """The replicas' scores on the last evaluation set; NaN counts as 0."""
  (*_, last) = [s for s in result['scores'] if s['metric'] == metric]
  return np.nan_to_num(np.array(last['values'], float))


def spread(result: Result, metric: str) -> tuple[float, float, float]:
  """Quartiles over the seeds at the best rate."""
  values = scored(result, metric)[at_best_rate(result, metric)]
  low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
  return float(low), float(middle), float(high)


def curve_points(result: Result, metric: str) -> list[Point]:
  """Quartiles at the middle of each bin, over all evaluation sets."""
  best = at_best_rate(result, metric)
  found: list[Point] = []
  for curve in result['curves']:
    edges = np.array(curve['edges'], float)
    values = np.array(curve['metrics'][metric], float)
    quartiles = np.quantile(values[best], [0.25, 0.5, 0.75], axis=0)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    found += [
      (float(x), float(low), float(middle), float(high))
      for x, (low, middle, high) in zip(middles, quartiles.T, strict=True)
      if np.isfinite([low, middle, high]).all()
    ]
  return sorted(found)


def table(results: Iterable[Result]) -> Table:
  """A row for each model and width."""
  rows = [columns_of(result, metric_of(result)) for result in results]
  return Table(list(rows[0]), [list(row.values()) for row in rows])


def columns_of(result: Result, metric: str) -> dict[str, str]:
  """The columns of one row."""
  best = at_best_rate(result, metric)
  values = scored(result, metric)[best]

  def quartiles(metric: str) -> str:
    values = scored(result, metric)[best]
    low, middle, high = (
      f'{x:#.3g}' for x in np.quantile(values, [0.25, 0.5, 0.75])
    )
    return f'{middle} ({low} to {high})'

  return {
    'model': result['model'],
    'width': f'{result["width"]}',
    'parameters': f'{result["parameters"]:,}',
    'state, bytes': f'{result["state_bytes"]:,}',
    'best rate': f'{np.array(result["learning_rates"])[best][0]:g}',
    f'{metric}, median (quartiles)': quartiles(metric),
    'loss': quartiles('loss'),
    'seeds at 0.9 or more': f'{(values >= 0.9).sum()} of {len(values)}',
  }


if __name__ == '__main__':
  main()
