"""The contract of instruments: tidy rows, files, and what is defined."""

import csv
import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import jax
from matplotlib.text import Text
import numpy as np
import pytest

from memjax.analysis.base import Instrument, Places, Result, tidy, write_csv
from memjax.analysis.dot_plot import Dot, DotPlot
from memjax.analysis.section import LinePlot, write_svg
from memjax.errors import ConfigError
from memjax.logs.plots import EVALUATIONS, INK, TRAIN, Curve, style_runs
from memjax.models.base import Memory
from memjax.report.instruments import find_instruments, name_of
from memjax.tasks.base import Stream, Task
from memjax.types import Params
from tests.small import small

UNITS = {'replica': '', 'lag': 'steps', 'loss': 'nats per label'}


def result(replicas: int) -> Result[None]:
  loss = np.arange(replicas * 2, dtype=np.float32).reshape(replicas, 2)
  axes: dict[str, Places] = {'replica': range(replicas), 'lag': [1, 4]}
  return Result(tidy(axes, {'loss': loss}), UNITS, None)


def test_rows_are_the_points_of_the_axes() -> None:
  axes: dict[str, Places] = {'leaf': ['a', 'b'], 'lag': np.array([0, 3])}
  figures = {
    'norm': np.array([[1.0, 2.0], [3.0, math.inf]]),
    'half_life': np.array([[5.0], [6.0]]),
  }
  assert tidy(axes, figures) == [
    {'leaf': 'a', 'lag': 0, 'norm': 1.0, 'half_life': 5.0},
    {'leaf': 'a', 'lag': 3, 'norm': 2.0, 'half_life': 5.0},
    {'leaf': 'b', 'lag': 0, 'norm': 3.0, 'half_life': 6.0},
    {'leaf': 'b', 'lag': 3, 'norm': math.inf, 'half_life': 6.0},
  ]


def test_a_csv_has_names_units_and_every_row(tmp_path: Path) -> None:
  path = tmp_path / 'a.csv'
  result(1).write_csv(path)
  lines = ['replica,lag [steps],loss [nats per label]', '0,1,0.0', '0,4,1.0']
  assert path.read_text().splitlines() == lines


def test_a_csv_of_several_runs_names_the_run(tmp_path: Path) -> None:
  path = tmp_path / 'a.csv'
  other = Result([{'lag': 9, 'R2': 0.5}], {'lag': 'steps', 'R2': ''}, None)
  write_csv({'one, two': result(2), 'other': other}, path)
  with path.open(newline='') as file:
    head, *rows = csv.reader(file)
  assert head == [
    'run',
    'replica',
    'lag [steps]',
    'loss [nats per label]',
    'R2',
  ]
  assert len(rows) == 5
  assert rows[3] == ['one, two', '1', '4', '3.0', '']
  assert rows[4] == ['other', '', '9', '', '0.5']


def test_a_column_without_a_unit_is_refused() -> None:
  with pytest.raises(ValueError, match='lag'):
    Result([{'lag': 1}], {}, None)


def test_plots_are_files_and_words(tmp_path: Path) -> None:
  curve = Curve('lstm', '', [1, 2], [3.0, 4.0])
  line = LinePlot({'loss': [curve]}, 'lag, steps')
  dots = DotPlot({'rise': {'lstm': [Dot('0/h', 0.5, 0.4, 0.6)]}})
  for plot in (line, dots):
    assert plot.runs == ['lstm']
    write_svg(plot, tmp_path / 'plot.svg')
    drawing = (tmp_path / 'plot.svg').read_text()
    assert '<svg' in drawing
    assert '#0072b2' in drawing
  assert line.alt == 'loss against lag, steps; at the end lstm 4.000.'
  assert dots.alt == 'rise: lstm 0/h 0.5000.'


INSTRUMENTS = find_instruments()


def test_the_folder_holds_the_instruments_in_their_order() -> None:
  assert len(INSTRUMENTS) >= 10
  orders = [instrument.order for instrument in INSTRUMENTS]
  assert orders == sorted(set(orders))
  assert len({name_of(instrument) for instrument in INSTRUMENTS}) == len(orders)


MODELS = (
  pytest.param('adding', 'lstm', marks=pytest.mark.slow),
  ('copy_memory', 'transformer_xl'),
  pytest.param('mqar', 'ntm', marks=pytest.mark.slow),
)

THEMED = {INK, TRAIN, *EVALUATIONS}  # colours that follow a dark page
SIZES = {'batch_size': 8, 'batches': 2, 'labels': 8, 'lags': 6, 'repeats': 1}


@functools.cache
def initialised(family: str, variant: str) -> tuple[Memory, Params, Task]:
  """An untrained model with two replicas, and its task."""
  experiment = small(family, variant)
  model, task = experiment.model, experiment.task
  feed = task.rows(Stream(0, 0, 1), 0, np.arange(1))
  batch, carry = jax.jit(task.batch)(feed), model.initial_carry(1)
  init = jax.jit(jax.vmap(model.init, in_axes=(0, None, None, None)))
  keys = jax.random.split(jax.random.key(0), 2)
  params_N = init(keys, carry, batch.inputs, batch.reset_BT)['params']
  return model, params_N, task


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('instrument', INSTRUMENTS, ids=name_of)
@pytest.mark.parametrize(('family', 'variant'), MODELS)
def test_what_is_defined_is_measured_and_what_is_not_says_why(
  instrument: Instrument[Any], family: str, variant: str, tmp_path: Path
) -> None:
  model, params_N, task = initialised(family, variant)
  fields = {field.name for field in dataclasses.fields(instrument)}
  sizes = {name: size for name, size in SIZES.items() if name in fields}
  instrument = dataclasses.replace(instrument, **sizes)
  assert instrument.title
  assert len(instrument.definition) > 200
  reason = instrument.defined(model, task)
  if reason:
    assert '\n' not in reason
    with pytest.raises(ConfigError):
      instrument.measure(model, params_N, task)
    return
  found = instrument.measure(model, params_N, task)
  assert found.rows
  section = instrument.show({'a run': found})
  assert section.title == instrument.title
  assert section.plots
  for i, plot in enumerate(section.plots):
    assert plot.runs == ['a run']
    for text in plot.draw(style_runs(plot.runs)).findobj(Text):
      assert isinstance(text, Text)
      seen = text.get_visible() and text.get_text()
      assert not seen or text.get_color() in THEMED, seen
    write_svg(plot, tmp_path / f'{i}.svg')
