"""A section for each instrument of `memjax.analysis`, with its CSV and SVG.

An instrument is one file of that folder, which is searched here.
"""

from collections.abc import Mapping, Sequence
import inspect
from pathlib import Path
from typing import Any

from memjax.analysis.base import Instrument, write_csv
from memjax.analysis.section import Section, write_svg
from memjax.config.find import classes
from memjax.logs.plots import Style
from memjax.report.runs import ReportedRun, measure_runs


def find_instruments(package: str = 'memjax.analysis') -> list[Instrument[Any]]:
  """Every instrument in a package, with its default sizes, in its order."""
  found = [
    cls()
    for _, cls in classes(package)
    if issubclass(cls, Instrument) and not inspect.isabstract(cls)
  ]
  return sorted(
    found, key=lambda instrument: (instrument.order, name_of(instrument))
  )


def name_of(instrument: Instrument[Any]) -> str:
  """The name of its file, which its CSV and SVG have too."""
  return type(instrument).__module__.rpartition('.')[2]


def section(
  instrument: Instrument[Any],
  runs: Sequence[ReportedRun],
  *,
  styles: Mapping[str, Style],
  folder: Path,
) -> Section:
  """Measures the runs and writes the instrument's files.

  Args:
    instrument: what to measure.
    runs: those that it cannot measure are a note.
    styles: of the runs.
    folder: where to write `NAME.csv` and `NAME.svg`; with a plot for each run,
      `NAME_2.svg` and so on.
  """

  reasons, notes = measure_runs(
    runs, lambda run: instrument.defined(run.model, run.task)
  )
  notes += [
    f'{run}: not defined: {text}' for run, text in reasons.items() if text
  ]
  results, failures = measure_runs(
    [run for run in runs if reasons.get(run.name) == ''],
    lambda run: instrument.measure(run.model, run.params_N, run.task),
  )
  notes += failures
  name = name_of(instrument)
  for pattern in ('.csv', '.svg', '_[0-9]*.svg'):
    for path in folder.glob(name + pattern):
      path.unlink()  # of an earlier report
  if not results:
    return Section(instrument.title, instrument.definition, notes=notes)
  shown = instrument.show(results)
  write_csv(results, folder / f'{name}.csv')
  for i, plot in enumerate(shown.plots, 1):
    suffix = f'_{i}' if i > 1 else ''
    write_svg(plot, folder / f'{name}{suffix}.svg', styles)
  files = f'The figures are in {name}.csv and {name}.svg, beside this page.'
  return shown._replace(notes=[*shown.notes, *notes, files])
