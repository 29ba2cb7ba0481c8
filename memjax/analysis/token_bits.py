"""How much each label surprises a model with its memory and without it."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memjax.analysis.base import Instrument, Places, Result, tidy
from memjax.analysis.maps import label_steps
from memjax.analysis.programs import forward, initial_carry, replicas_of
from memjax.analysis.section import Section
from memjax.analysis.segment_boundaries import (
  EMPTY_CARRY,
  leaf_names,
  padded,
  require_carry,
  segment_boundaries,
)
from memjax.analysis.symbols import symbols
from memjax.errors import require
from memjax.logs.plots import FAINT, INK, Style, draw_frame
from memjax.models.base import Memory
from memjax.tasks.base import Task
from memjax.types import Carry, Params

if TYPE_CHECKING:
  from matplotlib.figure import Figure

NOT_CLASSES = 'the labels are not classes, so they have no bits'
WITH, WITHOUT = 'with its memory', 'memory removed'


class TokenBits(NamedTuple):
  """The bits of P labels that follow a boundary, row by row.

  Attributes:
    rows: `(P,)`, of the labels.
    steps: `(P,)`, of the labels, counted from the boundary.
    symbols: of the labels.
    intact: `(N, P)`, bits with the memory.
    removed: `(N, P)`, bits with an empty memory.
  """

  rows: np.ndarray
  steps: np.ndarray
  symbols: tuple[str, ...]
  intact: np.ndarray
  removed: np.ndarray


class BitsPlot(NamedTuple):
  """Bars of one run: above with its memory, below without it."""

  run: str
  symbols: Sequence[str]
  bits: Mapping[str, np.ndarray]

  @property
  def runs(self) -> list[str]:
    return [self.run]

  @property
  def alt(self) -> str:
    sums = ', '.join(f'{k} {v.sum():.1f}' for k, v in self.bits.items())
    return f'{self.run}: bits of each label; in all {sums}.'

  def draw(self, styles: Mapping[str, Style]) -> 'Figure':
    """The upper bars in the run's colour, the lower ones in grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout='constrained')
    all_axes = figure.subplots(2, sharex=True, sharey=True)
    colours = styles[self.run].colour, INK
    for axes, (name, bits_P), colour in zip(
      all_axes, self.bits.items(), colours, strict=True
    ):
      axes.bar(range(len(bits_P)), bits_P, color=colour, width=0.8)
      axes.set_title(
        f'{self.run}, {name}: {bits_P.sum():.1f} bits',
        color=INK,
        loc='left',
        fontsize=10,
      )
      axes.set_ylabel('bits', color=INK)
      draw_frame(axes, 'y')
      axes.set_xlim(-0.7, len(bits_P) - 0.3)
    label_steps(all_axes[-1], self.symbols)
    all_axes[-1].tick_params(axis='x', color=FAINT, labelcolor=INK)
    return figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitsOfTokens(Instrument[TokenBits]):
  """The bits of each label of a row, with and without the memory.

  Attributes:
    labels: shown, at most.
    batch_size: rows that are read; labels are from the first, and from more if
      it has few.
    batches: number of segment boundaries before the one that is shown.
    seed: of the rows.
  """

  title = 'Bits of each label'
  order = 35
  definition = """
    The bits of a label are -log2 of the probability that the model gives it. A
    row is read up to a segment boundary, or up to the middle of an episode.
    What follows is read twice: with the memory as it is, and with an empty
    memory. The bars have the labels after the boundary, in their order. The
    difference is what the memory knew. If the row has few labels, those of the
    next rows follow. The model is the first replica; the CSV has all. The rows
    are the first ones, not chosen ones.

    Paper: none.

    Unit: bits.
    """

  labels: int = 64
  batch_size: int = 32
  batches: int = 4
  seed: int = 0

  def defined(self, model: Memory, task: Task) -> str:
    if not task.output_spec.classes:
      return NOT_CLASSES
    return '' if leaf_names(model) else EMPTY_CARRY

  def measure(
    self, model: Memory, params_N: Params, task: Task
  ) -> Result[TokenBits]:
    sizes = self.labels, self.batch_size, self.batches, self.seed
    found = token_bits(model, params_N, task, *sizes)
    axes: dict[str, Places] = {
      'replica': range(len(found.intact)),
      'number': range(len(found.steps)),
    }
    figures = {
      'row': found.rows,
      'step': found.steps,
      'label': np.array(found.symbols),
      'bits': found.intact,
      'bits_without_memory': found.removed,
    }
    units = dict.fromkeys(('replica', 'number', 'row', 'step', 'label'), '')
    units |= {'bits': 'bits', 'bits_without_memory': 'bits'}
    return Result(tidy(axes, figures), units, found)

  def show(self, results: Mapping[str, Result[TokenBits]]) -> Section:
    plots = []
    for run, found in ((run, r.arrays) for run, r in results.items()):
      bits = {WITH: found.intact[0], WITHOUT: found.removed[0]}
      plots.append(BitsPlot(run, found.symbols, bits))
    return Section(self.title, self.definition, plots)


def token_bits(
  model: Memory,
  params_N: Params,
  task: Task,
  labels: int = 64,
  batch_size: int = 32,
  batches: int = 4,
  seed: int = 0,
) -> TokenBits:
  """The bits of the first labels that follow the last boundary, row by row.

  Args:
    model: any memory that fits the task.
    params_N: its parameters, `(N, ...)`.
    task: whose labels are classes.
    labels: their number, at most.
    batch_size: rows.
    batches: number of boundaries, at most; an epoch may have fewer.
    seed: of the rows.

  Raises:
    ConfigError: the labels are not classes, the carry is empty, or no label
      follows a boundary.
  """
  classes = bool(task.output_spec.classes)
  require(classes, 'task', type(task).__name__, NOT_CLASSES)
  require_carry(model)
  *_, (carry_N, after) = segment_boundaries(
    model, params_N, task, 0, batch_size, batches, seed
  )
  rows, steps = (x[:labels] for x in np.nonzero(after.loss_weights_BT))
  require(steps.size > 0, 'seed', seed, 'no label follows a segment boundary')
  whole = padded(after, task.length)
  targets = after.targets[rows, steps]

  def bits(carry_N: Carry) -> np.ndarray:
    _, y_N = forward(model, params_N, carry_N, whole.inputs, whole.reset_BT)
    logits_NPV = np.asarray(y_N)[:, rows, steps].astype(np.float64)
    largest_NP1 = logits_NPV.max(-1, keepdims=True)
    shares_NPV = np.exp(logits_NPV - largest_NP1)
    nats_NP = np.log(shares_NPV.sum(-1)) + largest_NP1[..., 0]
    nats_NP -= logits_NPV[:, np.arange(steps.size), targets]
    return nats_NP / np.log(2)

  empty_N = initial_carry(model, replicas_of(params_N), batch_size)
  texts = tuple(symbols(task, targets))
  return TokenBits(rows, steps, texts, bits(carry_N), bits(empty_N))
