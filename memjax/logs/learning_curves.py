"""Learning curves, drawn from the rows of `metrics.jsonl`."""

from collections.abc import Iterable, Mapping, Sequence
import math
from pathlib import Path
from typing import Any

from memjax.logs.headline import SCORES
from memjax.logs.plots import (
  EVALUATIONS,
  TRAIN,
  Curve,
  draw,
  reference_curves,
)

Row = Mapping[str, Any]


def learning_curve(
  rows: Sequence[Row],
  baselines: Mapping[str, Mapping[str, float]],
  path: Path,
  along: str = 'training step',
) -> None:
  """Draws the metrics of every split against the training step, as a PNG.

  The upper panel has bits per byte, or the loss if there are none. The lower
  panel has a score, if there is one. Values that are not finite are left out.
  With replicas, curves are medians and bands reach from the first to the third
  quartile.

  Args:
    rows: a run's rows, {'step', 'split', 'metrics'} and with replicas
      'quartiles'.
    baselines: {metric: {name: value}}, drawn as dotted lines.
    path: where to write.
    along: the unit of the rows' steps.
  """
  panels, last = learning_panels(rows, baselines)
  draw(panels, along, (0, last)).savefig(path, dpi=150)


def learning_panels(
  rows: Sequence[Row], baselines: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, list[Curve]], int]:
  """The panels of the learning curve, and its last step."""
  last = max([1, *(row['step'] for row in rows)])
  panels = {
    metric: [
      *reference_curves(baselines.get(metric, {}), 0, last),
      *_curves(rows, metric),
    ]
    for metric in learning_metrics(rows)
  }
  return panels, last


def learning_metrics(rows: Iterable[Row]) -> list[str]:
  """The metrics of a learning curve: a loss, and one score if there is one."""
  names = {name for row in rows for name in row['metrics']}
  loss = 'bits_per_byte' if 'bits_per_byte' in names else 'loss'
  return [loss, *[name for name in SCORES if name in names][:1]]


def _curves(rows: Sequence[Row], metric: str) -> Iterable[Curve]:
  """A curve for each split; training comes first, so it is drawn lowest."""
  splits = dict.fromkeys(['train', *(row['split'] for row in rows)])
  for i, split in enumerate(splits):
    colour = EVALUATIONS[(i - 1) % len(EVALUATIONS)] if i else TRAIN
    of = [row for row in rows if row['split'] == split]
    yield from metric_curve(of, metric, split, colour)


def metric_curve(
  rows: Iterable[Row], metric: str, label: str, colour: str
) -> list[Curve]:
  """The curve of a metric over these rows; none if it is never finite."""
  finite = [
    row for row in rows if math.isfinite(row['metrics'].get(metric, math.nan))
  ]
  if not finite:
    return []
  steps = [row['step'] for row in finite]
  values = [row['metrics'][metric] for row in finite]
  band = [tuple(r['quartiles'][metric]) for r in finite if 'quartiles' in r]
  return [Curve(label, colour, steps, values, quartiles=band)]
