"""For how many steps the units of a gated memory keep their values."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import numpy as np

from memjax.analysis.across_runs import (
  format_median,
  line_plots,
  panels,
  run_table,
)
from memjax.analysis.base import Instrument, Places, Result, Row, tidy
from memjax.analysis.intermediates import Shown, shown_paths
from memjax.analysis.reading import read_shown, total
from memjax.analysis.section import Section
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Batch, Params

GATES = ('forget_gate', 'update_gate')  # the share of its value a unit keeps
LONGEST = 2.0**24  # steps; a float32 below 1 has at most this time constant
NOT_SHOWN = 'the model shows no gate that keeps the values of its units'


class UnitTimeConstants(NamedTuple):
  """How long units keep their values.

  Attributes:
    gate: {path: `(N, D)`}, f, the mean of each gate.
    steps: {path: `(N, D)`}, tau, at most `LONGEST`.
  """

  gate: dict[str, np.ndarray]
  steps: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeConstants(Instrument[UnitTimeConstants]):
  """The time constant of every gated unit.

  Attributes:
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.
  """

  title = 'Time constants'
  order = 80
  definition = """
    A unit whose gate keeps the share f of its value in a step has exp(-n / tau)
    of it after n steps, where tau = -1 / ln f and f is the mean of the gate
    over rows and steps. Half of the value is left after tau ln 2 steps. A gate
    that is 1 to the precision of its numbers has a tau of at least 2^24. The
    plot has the units in the order of their time constants.

    Paper: Tallec & Ollivier 2018, https://arxiv.org/abs/1804.11188, section 2:
    the inverse of a gate's value is the time that a unit remembers. Their
    1 / (1 - f) is tau + 1/2, up to terms in 1 / tau.

    Unit: steps.
    """

  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    return '' if any(map(_is_gate, shown_paths(model, task))) else NOT_SHOWN

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[UnitTimeConstants]:
    found = time_constants(
      model, params_N, task, self.batch_size, self.batches, self.seed
    )
    rows: list[Row] = []
    for path, steps_ND in found.steps.items():
      replicas, units = map(range, steps_ND.shape)
      axes: dict[str, Places] = {
        'path': [path],
        'replica': replicas,
        'unit': units,
      }
      figures = {'gate': found.gate[path], 'time_constant': steps_ND}
      rows += tidy(axes, figures)
    names = dict.fromkeys(('path', 'replica', 'unit'), '')
    of_figures = {'gate': 'share of value', 'time_constant': 'steps'}
    return Result(rows, names | of_figures, found)

  def show(self, results: Mapping[str, Result[UnitTimeConstants]]) -> Section:
    plots = line_plots(panels(results, _curves), 'share of units below')
    cells = {run: _cells(result.arrays) for run, result in results.items()}
    table = run_table(cells, 'Time constants, in steps')
    return Section(self.title, self.definition, plots, tables=[table])


def _curves(
  found: UnitTimeConstants,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  curves = {}
  for path, steps_ND in found.steps.items():
    share_D = (np.arange(steps_ND.shape[1]) + 0.5) / steps_ND.shape[1]
    curves[f'steps, {path.partition("/")[0].replace("_", " ")}'] = (
      share_D,
      np.sort(steps_ND, axis=1),
    )
  return curves


def _cells(found: UnitTimeConstants) -> dict[str, str]:
  return {
    f'{path}, {share:.0%} of units below': format_median(
      np.quantile(steps_ND, share, axis=1), LONGEST
    )
    for path, steps_ND in found.steps.items()
    for share in (0.1, 0.5, 0.9)
  }


def time_constants(
  model: Memory,
  params_N: Params,
  task: Task,
  batch_size: int = 64,
  batches: int = 16,
  seed: int = 0,
) -> UnitTimeConstants:
  """The time constant of each unit that has a gate.

  Args:
    model: any memory that shows a gate named in `GATES`.
    params_N: its parameters, `(N, ...)`.
    task: which rows.
    batch_size: rows in a batch.
    batches: number of batches.
    seed: of the rows.

  Raises:
    ConfigError: the model shows no gate that keeps its units' values.
  """

  def means(gates: Shown, batch: Batch) -> Shown:
    del batch
    return {path: gate_BTD.mean((0, 1)) for path, gate_BTD in gates.items()}

  run, sizes = (model, params_N, task), (batch_size, batches, seed)
  sums = total(read_shown(*run, _is_gate, means, NOT_SHOWN, *sizes))
  gate = {path: of_batches / batches for path, of_batches in sums.items()}
  with np.errstate(divide='ignore'):
    steps = {
      path: np.minimum(1 / np.abs(np.log(f)), LONGEST)
      for path, f in gate.items()
    }
  return UnitTimeConstants(gate, steps)


def _is_gate(path: str) -> bool:
  return path.rpartition('/')[2] in GATES
