"""The pictures of the leaderboard.

Colours are families of memories. Every score is a median over seeds.
"""

from collections.abc import Sequence
import itertools
import math
from pathlib import Path
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from experiments.leaderboard.config import ROWS, STEPS
from experiments.leaderboard.families import FAMILIES, family
from experiments.leaderboard.grid import MEMORIES, WIDTH
from experiments.leaderboard.standing import Standing
from experiments.leaderboard.tasks import TASKS
from memjax.logs.plots import (
  EVALUATIONS,
  FAINT,
  INK,
  draw_frame,
  spread_labels,
)

COLOURS = dict(zip(FAMILIES, (*EVALUATIONS, '#5a5a5a'), strict=True))
MARKERS = dict(zip(FAMILIES, 'osD^vP', strict=True))
DPI = 110
GAP = 10.0  # points between two labels
RISE = 18.0  # points from the best score of a band to its names


def main_table(found: Sequence[Standing]) -> list[Standing]:
  """Those of the main width."""
  return [s for s in found if s.record['width'] == WIDTH]


def by_state(found: Sequence[Standing], task: str, path: Path) -> str:
  """Score against the bytes of state, with names; the frontier is drawn.

  Returns:
    The picture in words.
  """
  points = [s for s in found if s.record['task'] == task]
  figure = Figure(figsize=(8.5, 5.6), layout='constrained')
  axes = figure.subplots()
  for name in FAMILIES:
    of = [s for s in points if family(s.record['memory']) == name]
    if not of:
      continue
    x = [s.record['state_bytes'] for s in of]
    middle = np.array([s.median for s in of])
    low, high = ([getattr(s, end) for s in of] for end in ('low', 'high'))
    axes.errorbar(
      x,
      middle,
      [middle - low, np.array(high) - middle],
      fmt=MARKERS[name],
      color=COLOURS[name],
      markersize=5,
      elinewidth=0.8,
      alpha=0.85,
      label=name.replace('_', ' '),
      clip_on=False,
    )
  edge = frontier(points)
  axes.step(
    [s.record['state_bytes'] for s in edge],
    [s.median for s in edge],
    where='post',
    color=INK,
    linewidth=1,
    zorder=0,
  )
  axes.set_xscale('log', base=2)
  axes.xaxis.set_major_formatter('{x:,.0f}')
  axes.set(xlabel='state, bytes a row', ylabel=TASKS[task].metric, ylim=(0, 1))
  axes.margins(x=0.12)
  draw_frame(axes, 'y')
  figure.legend(frameon=False, loc='outside right upper', fontsize=8)
  figure.suptitle(f'{TASKS[task].title}: score against state', color=INK)
  make_room(figure, axes, points)
  name_points(axes, points)
  names = ', '.join(
    f'{s.record["memory"]} {s.median:.2f} at {s.record["state_bytes"]:,}'
    for s in edge
  )
  words = (
    f'Score of {len(points)} memories against bytes of state on '
    f'{TASKS[task].title}; best for their size: {names}'
  )
  figure.savefig(path, dpi=DPI, metadata={'Description': words})
  return words


def frontier(points: Sequence[Standing]) -> list[Standing]:
  """Those that no memory with as little state, or less, surpasses."""
  best, edge = -math.inf, []
  for s in sorted(points, key=lambda s: (s.record['state_bytes'], -s.median)):
    if s.median > best:
      best = s.median
      edge.append(s)
  return edge


def make_room(figure: Figure, axes: Axes, points: Sequence[Standing]) -> None:
  """Fixes the layout as it is with names, whose places depend on it."""
  figure.draw_without_rendering()
  name_points(axes, points)
  figure.draw_without_rendering()
  figure.set_layout_engine('none')
  for name in [*axes.texts]:
    name.remove()


def name_points(axes: Axes, points: Sequence[Standing]) -> None:
  """Names every point above its band; lines lead from the names to the points.

  The widest gap between two scores divides the points into two bands. Names
  stand at a slant, in the order of the states.
  """
  inches = axes.figure.get_dpi()
  for band in bands(points):
    band = sorted(band, key=lambda s: (s.record['state_bytes'], s.median))
    spots = [
      axes.transData.transform((s.record['state_bytes'], s.median))
      for s in band
    ]
    columns = [float(x) * 72 / inches for x, _ in spots]
    base = max(float(y) * 72 / inches for _, y in spots) + RISE
    for s, (x, y), column in zip(
      band, spots, spread_labels(columns, GAP), strict=True
    ):
      axes.annotate(
        s.record['memory'],
        (s.record['state_bytes'], s.median),
        xytext=(column - x * 72 / inches, base - y * 72 / inches),
        textcoords='offset points',
        rotation=55,
        rotation_mode='anchor',
        fontsize=7,
        color=COLOURS[family(s.record['memory'])],
        arrowprops={'arrowstyle': '-', 'color': FAINT, 'linewidth': 0.5},
        annotation_clip=False,
        zorder=-1,
      )


def bands(points: Sequence[Standing]) -> list[list[Standing]]:
  """The points below and above the widest gap between two scores."""
  ordered = sorted(points, key=lambda s: s.median)
  gaps = [b.median - a.median for a, b in itertools.pairwise(ordered)]
  cut = int(np.argmax(gaps)) + 1 if gaps else 0
  return [part for part in (ordered[:cut], ordered[cut:]) if part]


def heat_map(found: Sequence[Standing], path: Path) -> str:
  """Memories by tasks: three shades a field, the quartiles and the median.

  Returns:
    The picture in words.
  """
  tasks = [
    t
    for t, task in TASKS.items()
    if task.highest and any(s.record['task'] == t for s in found)
  ]
  at = {(s.record['memory'], s.record['task']): s for s in found}

  def mean(memory: str) -> float:
    scores = [at[memory, t].median for t in tasks if (memory, t) in at]
    return sum(scores) / len(tasks)

  memories = [m for m in MEMORIES if any((m, t) in at for t in tasks)]
  memories.sort(key=mean, reverse=True)
  shades = np.full((len(memories), 3 * len(tasks)), np.nan)
  for (i, m), (j, t) in (
    (a, b) for a in enumerate(memories) for b in enumerate(tasks)
  ):
    if (m, t) in at:
      s = at[m, t]
      shades[i, 3 * j : 3 * j + 3] = s.low, s.median, s.high
  figure = Figure(
    figsize=(2.6 + 1.05 * len(tasks), 1.6 + 0.2 * len(memories)),
    layout='constrained',
  )
  axes = figure.subplots()
  drawn = axes.imshow(
    shades, cmap='YlGnBu', vmin=0, vmax=1, aspect='auto', interpolation='none'
  )
  for i in range(len(memories)):
    for j in range(len(tasks)):
      value = shades[i, 3 * j + 1]
      if not math.isnan(value):
        axes.text(
          3 * j + 1,
          i,
          f'{value:.2f}',
          ha='center',
          va='center',
          fontsize=7,
          color='white' if value > 0.6 else INK,
        )
  for j in range(1, len(tasks)):
    axes.axvline(3 * j - 0.5, color='white', linewidth=3)
  axes.set_xticks(
    [3 * j + 1 for j in range(len(tasks))],
    [re.sub(r', (?![^(]*\))', ',\n', TASKS[t].title) for t in tasks],
    fontsize=8,
  )
  axes.xaxis.tick_top()
  axes.set_yticks(range(len(memories)), memories, fontsize=7.5)
  axes.tick_params(length=0, colors=INK)
  axes.spines[:].set_visible(False)
  figure.colorbar(
    drawn,
    ax=axes,
    location='bottom',
    label='score: first quartile,\nmedian, third quartile',
    shrink=0.8,
    pad=0.01,
    aspect=40,
  )
  figure.savefig(path, dpi=DPI)
  return f'Scores of {len(memories)} memories on {len(tasks)} tasks'


def learning_speed(found: Sequence[Standing], task: str, path: Path) -> str:
  """Rows until each seed of a memory had learnt; those that did not, beyond.

  Returns:
    The picture in words.
  """
  of = [s for s in found if s.record['task'] == task]
  of.sort(key=lambda s: (s.learnt, -s.median))
  learnt = [s for s in of if math.isfinite(s.learnt)]
  figure = Figure(
    figsize=(8.5, 1.5 + 0.2 * max(len(learnt), 1)), layout='constrained'
  )
  axes = figure.subplots()
  for i, s in enumerate(learnt):
    colour = COLOURS.get(family(s.record['memory']), INK)
    each = [x for x in s.each_learnt if math.isfinite(x)]
    axes.plot([min(each), max(each)], [i, i], color=colour, linewidth=1)
    axes.plot(each, [i] * len(each), '|', color=colour, markersize=7)
    axes.plot(s.learnt, i, 'o', color=colour, markersize=5)
  axes.set_yticks(
    range(len(learnt)), [s.record['memory'] for s in learnt], fontsize=8
  )
  axes.invert_yaxis()
  axes.set_xlim(0, ROWS * STEPS)
  axes.set_xlabel('training rows until validation is at 0.9; bars are seeds')
  draw_frame(axes, 'x')
  axes.spines['left'].set_color(FAINT)
  figure.suptitle(
    f'{TASKS[task].title}: {len(learnt)} of {len(of)} memories learn it',
    color=INK,
  )
  figure.savefig(path, dpi=DPI)
  first = learnt[0].record['memory'] if learnt else 'none'
  return f'Rows until learnt on {TASKS[task].title}; fastest: {first}'
