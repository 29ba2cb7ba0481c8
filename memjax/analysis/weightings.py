"""Where the heads of a memory with slots read and write, as a picture."""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.base import Instrument, Places, Result, Row, tidy
from memjax.analysis.intermediates import Shown, look, shown_paths
from memjax.analysis.section import Section
from memjax.analysis.streams import NUMBER
from memjax.errors import require
from memjax.logs.plots import FAINT, INK, Style
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Params

if TYPE_CHECKING:
  from matplotlib.figure import Figure

Weights = dict[str, np.ndarray]
OF_SLOTS = ('read_weights', 'write_weights')
NOT_SHOWN = 'the model shows no weightings of slots'
LEAST = 0.05  # the picture leaves out slots that no head gives more than this


class SlotWeights(NamedTuple):
  """The weightings of one row.

  Attributes:
    y: the outputs, `(T, ...)`.
    weights: {path: `(T, H, M)`}.
  """

  y: np.ndarray
  weights: Weights


class WeightingPlot(NamedTuple):
  """The weightings of one run below each other, time to the right."""

  run: str
  panels: Mapping[str, np.ndarray]
  first_slot: int

  @property
  def runs(self) -> list[str]:
    return [self.run]

  @property
  def alt(self) -> str:
    return f'{self.run}: {", ".join(self.panels)} against step.'

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    del styles  # a run has a picture of its own
    return draw_panels(self.panels, self.first_slot)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weightings(Instrument[SlotWeights]):
  """The read and write weightings of the first replica on one row.

  Attributes:
    steps: of the row, at most.
    seed: of the row.
  """

  title = 'Weightings'
  order = 90
  definition = f"""
    The share that each head gives to each slot at each step of one row, which
    is read from an empty memory by the first replica. Slots that no head ever
    gives more than {LEAST} are left out of the picture; the CSV has all.

    Paper: Graves, Wayne & Danihelka 2014, https://arxiv.org/abs/1410.5401,
    figures 6 and 9.

    Unit: share of a head's weight.
    """

  steps: int = 64
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if any(map(_is_of_slots, shown_paths(model, task))) else NOT_SHOWN

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[SlotWeights]:
    feed = task.rows(Stream(self.seed, NUMBER, 1), 0, np.arange(1))
    inputs = np.asarray(jax.jit(task.batch)(feed).inputs[0, : self.steps])
    params = jax.tree.map(lambda x: x[0], params_N)
    found = weightings(model, params, inputs)
    rows: list[Row] = []
    for path, weights_THM in found.weights.items():
      steps, heads, slots = map(range, weights_THM.shape)
      axes: dict[str, Places] = {
        'path': [path],
        'step': steps,
        'head': heads,
        'slot': slots,
      }
      rows += tidy(axes, {'weight': weights_THM})
    names = dict.fromkeys(('path', 'step', 'head', 'slot'), '')
    return Result(rows, names | {'weight': 'share of weight'}, found)

  def show(self, results: Mapping[str, Result[SlotWeights]]) -> Section:
    plots = []
    for run, result in results.items():
      panels, first = slot_panels(result.arrays.weights)
      plots.append(WeightingPlot(run, panels, first))
    return Section(self.title, self.definition, plots)


def weightings(
  model: Memory, params: Params, inputs: np.ndarray
) -> SlotWeights:
  """Reads one row from an empty memory and returns its weightings.

  Args:
    model: any memory that shows `read_weights` or `write_weights` of slots.
    params: its parameters.
    inputs: of one row, `(T, ...)`.

  Raises:
    ConfigError: the model shows no weightings of slots.
  """
  row = jnp.asarray(inputs)[None]
  reset_BT = jnp.zeros(row.shape[:2], bool)

  @jax.jit
  def read(params: Params) -> tuple[jax.Array, Shown]:
    carry = model.initial_carry(1)
    _, y, shown = look(model, params, carry, row, reset_BT)
    return y, shown

  y, shown = read(params)
  weights = {
    path: np.asarray(array[0])
    for path, array in shown.items()
    if _is_of_slots(path)
  }
  require(bool(weights), 'model', type(model).__name__, NOT_SHOWN)
  return SlotWeights(np.asarray(y[0]), weights)


def draw(
  inputs_TF: np.ndarray, outputs_TF: np.ndarray, weights: Weights, path: Path
) -> None:
  """Draws inputs, outputs and weightings below each other, time to the right.

  Args:
    inputs_TF: in [0, 1], as the others are.
    outputs_TF: as probabilities.
    weights: {path: `(T, H, M)`}.
    path: where to write the PNG.
  """
  panels, first_slot = slot_panels(weights)
  panels = {'input': inputs_TF, 'output': outputs_TF} | panels
  draw_panels(panels, first_slot).savefig(path, dpi=150)


def slot_panels(weights: Weights) -> tuple[dict[str, np.ndarray], int]:
  """{label: `(T, slots)`} of each head, and the first slot in use."""
  slots = np.concatenate(
    [np.flatnonzero(w.max((0, 1)) > LEAST) for w in weights.values()]
  )
  first, last = (slots.min(), slots.max() + 1) if slots.size else (0, 1)
  panels = {}
  layers = {path.partition('/')[0] for path in weights}
  for path, weights_THM in weights.items():
    layer, *_, kind = path.split('/')
    name = kind.removesuffix('_weights')
    name = f'{layer} {name}' if len(layers) > 1 else name
    for head in range(weights_THM.shape[1]):
      label = f'{name} head {head}, slot'.replace('_', ' ')
      panels[label] = weights_THM[:, head, first:last]
  return panels, int(first)


def draw_panels(panels: Mapping[str, np.ndarray], first_slot: int) -> 'Figure':
  """Panels of numbers in [0, 1], {label: `(T, rows)`}, as images."""
  from matplotlib.figure import Figure

  heights = [max(p.shape[1], 8) for p in panels.values()]
  inches = 0.5 + sum(heights) * 0.07 + 0.35 * len(heights)
  figure = Figure(figsize=(8, min(inches, 12)), layout='constrained')
  all_axes = figure.subplots(
    len(panels), sharex=True, height_ratios=heights, squeeze=False
  )[:, 0]
  for axes, (label, values) in zip(all_axes, panels.items(), strict=True):
    low = first_slot if label.endswith('slot') else 0
    image = axes.imshow(
      values.T,
      cmap='cividis',
      vmin=0,
      vmax=1,
      aspect='auto',
      interpolation='nearest',
      origin='lower',
      extent=(-0.5, len(values) - 0.5, low - 0.5, low + values.shape[1] - 0.5),
    )
    axes.set_ylabel(label, color=INK)
    axes.tick_params(color=FAINT, labelcolor=INK)
    axes.spines[:].set_visible(False)
  all_axes[-1].set_xlabel('step', color=INK)
  bar = figure.colorbar(image, ax=list(all_axes), shrink=0.4)
  bar.set_label('value or weight', color=INK)
  bar.ax.tick_params(color=FAINT, labelcolor=INK)
  bar.outline.set_visible(False)
  return figure


def _is_of_slots(path: str) -> bool:
  return path.rpartition('/')[2] in OF_SLOTS
