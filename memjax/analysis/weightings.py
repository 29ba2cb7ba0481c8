"""Where the heads of a memory with slots read and write, as a picture."""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.base import Instrument, Places, Result, Row, tidy
from memjax.analysis.intermediates import Shown, look, shown_paths
from memjax.analysis.maps import Map, MapPlot
from memjax.analysis.section import Section
from memjax.analysis.streams import NUMBER
from memjax.errors import require
from memjax.models.base import Memory
from memjax.tasks.base import Stream, Task
from memjax.types import Params

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
    gives more than {LEAST} are left out of the picture; the CSV has all. The
    slots of an encoder and decoder are the steps of the source, the last one in
    the last slot: an alignment.

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
    batch = jax.jit(task.batch)(feed)
    row = batch.inputs[0, : self.steps], batch.reset_BT[0, : self.steps]
    params = jax.tree.map(lambda x: x[0], params_N)
    found = weightings(model, params, *map(np.asarray, row))
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
    plots = [
      MapPlot(run, slot_maps(result.arrays.weights))
      for run, result in results.items()
    ]
    return Section(self.title, self.definition, plots)


def weightings(
  model: Memory,
  params: Params,
  inputs: np.ndarray,
  reset_T: np.ndarray | None = None,
) -> SlotWeights:
  """Reads one row from an empty memory and returns its weightings.

  Args:
    model: any memory that shows `read_weights` or `write_weights` of slots.
    params: its parameters.
    inputs: of one row, `(T, ...)`.
    reset_T: where the memory is forgotten; None: nowhere.

  Raises:
    ConfigError: the model shows no weightings of slots.
  """
  row = jnp.asarray(inputs)[None]
  reset_BT = jnp.zeros(row.shape[:2], bool)
  if reset_T is not None:
    reset_BT = jnp.asarray(reset_T)[None]

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
  maps = {'input': Map(inputs_TF), 'output': Map(outputs_TF)}
  plot = MapPlot('', maps | slot_maps(weights))
  plot.draw({}).savefig(path, dpi=150)


def slot_maps(weights: Weights) -> dict[str, Map]:
  """The slots in use of each head."""
  slots = np.concatenate(
    [np.flatnonzero(w.max((0, 1)) > LEAST) for w in weights.values()]
  )
  first, last = (slots.min(), slots.max() + 1) if slots.size else (0, 1)
  maps = {}
  layers = {path.partition('/')[0] for path in weights}
  for path, weights_THM in weights.items():
    layer, *_, kind = path.split('/')
    name = kind.removesuffix('_weights')
    name = f'{layer} {name}' if len(layers) > 1 else name
    for head in range(weights_THM.shape[1]):
      label = f'{name} head {head}, slot'.replace('_', ' ')
      maps[label] = Map(weights_THM[:, head, first:last], int(first))
  return maps


def _is_of_slots(path: str) -> bool:
  return path.rpartition('/')[2] in OF_SLOTS
