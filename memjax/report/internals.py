"""What goes on inside each run's memory: gradients, attention, gates."""

from collections.abc import Sequence

import numpy as np

from memjax.analysis import attention_by_lag, carry_gradients, input_gradients
from memjax.logs.plots import Curve
from memjax.report.instruments import FEW, LAGS
from memjax.report.overlays import band, columns, overlay, said, words
from memjax.report.page import Section, Table
from memjax.report.pictures import lines
from memjax.report.runs import Subject, measured

GATES = '\n\nTime constants: '  # where the docstring turns to gates


def by_lag(subjects: Sequence[Subject]) -> Section:
  """How far back gradients reach, to inputs and into the carry."""

  def of_inputs(subject: Subject) -> input_gradients.InputGradients:
    lags = min(max(subject.experiment.task.length // 2, 1), LAGS)
    return input_gradients.input_gradients(*subject.read, lags, **FEW)

  def of_carry(subject: Subject) -> carry_gradients.CarryGradients:
    return carry_gradients.carry_gradients(*subject.read, LAGS, **FEW)

  shown, notes = measured(subjects, of_inputs)
  panels = overlay(
    shown, lambda found: ('gradient norm', found.lags, found.norm)
  )
  pictures = [lines(panels, 'lag')] if panels else []
  lives = {s.name: {'inputs': said(found.half_life)} for s, found in shown}
  carried, more = measured(subjects, of_carry)
  for subject, found in carried:
    of = lives.setdefault(subject.name, {})
    for leaf, life_N in zip(found.leaves, found.half_life.T, strict=True):
      of[f'carry {leaf}'] = said(life_N)
  each = [(s, lives[s.name]) for s in subjects if s.name in lives]
  tables = [Table(*columns(each), 'Half-lives, in steps')] if each else []
  definition = words(input_gradients, carry_gradients)
  notes = list(dict.fromkeys([*notes, *more]))
  return Section('Gradients', definition, pictures, tables, notes)


def attention(subjects: Sequence[Subject]) -> Section:
  """What is attended to by lag, a panel a layer, the mean of its heads."""
  shown, notes = measured(
    subjects, lambda subject: attention_by_lag.read_by_lag(*subject.read, **FEW)
  )
  panels: dict[str, list[Curve]] = {}
  for subject, found in shown:
    for path, share_NHR in found.share.items():
      title = f'share, {path.partition("/")[0].replace("_", " ")}'
      lags = np.arange(share_NHR.shape[-1])
      curve = band(subject, lags, share_NHR.mean(1))
      panels.setdefault(title, []).append(curve)
  pictures = [lines(panels, 'lag')] if panels else []
  definition, _, _ = words(attention_by_lag).partition(GATES)
  return Section('Attention', definition, pictures, (), notes)


def gates(subjects: Sequence[Subject]) -> Section:
  """For how many steps units keep what they have, spread over units."""
  shown, notes = measured(
    subjects,
    lambda subject: attention_by_lag.time_constants(*subject.read, **FEW),
  )
  each = []
  for subject, found in shown:
    cells = {}
    for path, steps_ND in found.steps.items():
      for share in (0.1, 0.5, 0.9):
        at_share_N = np.quantile(steps_ND, share, axis=1)
        cells[f'{path}, {share:.0%} of units below'] = said(at_share_N)
    each.append((subject, cells))
  tables = [Table(*columns(each), 'Time constants, in steps')] if each else []
  definition = ''.join(words(attention_by_lag).partition(GATES)[1:])
  return Section('Gates', definition, (), tables, notes)
