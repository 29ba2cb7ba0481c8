"""A section for each instrument, with its CSV and its SVGs.

The instruments of `memjax.analysis` are found in their folder; one of the
user's own is named by its path, `my_instruments.Reach`.
"""

from collections.abc import Mapping, Sequence
import inspect
from pathlib import Path
from typing import Any

from memjax.analysis.base import Finding, Instrument, Result, write_csv
from memjax.analysis.section import Section, write_svg
from memjax.config.find import classes, find_class
from memjax.errors import require
from memjax.logs.plots import Style
from memjax.report import measured
from memjax.report.runs import ReportedRun, measure_runs

PACKAGE = 'memjax.analysis'


def find_instruments(package: str = PACKAGE) -> list[Instrument[Any]]:
  """Every instrument in a package, with its default sizes, in its order."""
  found = [
    cls()
    for _, cls in classes(package)
    if issubclass(cls, Instrument) and not inspect.isabstract(cls)
  ]
  return sorted(
    found, key=lambda instrument: (instrument.order, name_of(instrument))
  )


def load_instrument(path: str) -> Instrument[Any]:
  """The user's own instrument at a path, `module.Class`.

  Raises:
    ConfigError: there is no such class, or it is not an instrument.
  """
  found = find_class(path, PACKAGE, 'sections')
  rule = 'is not an Instrument of memjax.analysis.base'
  require(issubclass(found, Instrument), 'sections', path, rule)
  return found()


def name_of(instrument: Instrument[Any]) -> str:
  """Names its section, its CSV and its SVGs.

  It is the name of its file; a user's own instrument has its path.
  """
  module = type(instrument).__module__
  if module.startswith(f'{PACKAGE}.'):
    return module.rpartition('.')[2]
  return f'{module}.{type(instrument).__name__}'


def section(
  instrument: Instrument[Any],
  runs: Sequence[ReportedRun],
  *,
  styles: Mapping[str, Style],
  folder: Path,
) -> tuple[Section, dict[str, Finding]]:
  """Measures the runs and writes the instrument's files.

  Args:
    instrument: what to measure.
    runs: those that it cannot measure are a note.
    styles: of the runs.
    folder: where to write `NAME.csv` and `NAME.svg`; with a plot for each run,
      `NAME_2.svg` and so on. What was measured is kept in a folder of it.

  Returns:
    The section, and what it says about each run in the verdict.
  """
  reasons, notes = measure_runs(
    runs, lambda run: instrument.defined(run.model, run.task)
  )
  for reason in dict.fromkeys(filter(None, reasons.values())):
    names = [run for run, text in reasons.items() if text == reason]
    whose = '' if len(names) == len(runs) else f'{", ".join(names)}: '
    notes.append(f'{whose}does not apply: {reason}')
  name = name_of(instrument)

  def measure(run: ReportedRun) -> Result[Any]:
    return measured.result(instrument, name, run, folder)

  results, failures = measure_runs(
    [run for run in runs if reasons.get(run.name) == ''], measure
  )
  notes += failures
  for pattern in ('.csv', '.svg', '_[0-9]*.svg'):
    for path in folder.glob(name + pattern):
      path.unlink()  # of an earlier report
  if not results:
    return Section(instrument.title, notes=notes), {}
  shown = instrument.show(results)
  write_csv(results, folder / f'{name}.csv')
  files = [f'{name}.csv']
  for i, plot in enumerate(shown.plots, 1):
    files.append(f'{name}_{i}.svg' if i > 1 else f'{name}.svg')
    write_svg(plot, folder / files[-1], styles)
  shown = shown._replace(
    lead=_first_line(instrument), notes=[*shown.notes, *notes], files=files
  )
  return shown, instrument.findings(results)


def _first_line(instrument: Instrument[Any]) -> str:
  """What it measures, in one sentence; '' if its docstring is generated."""
  text = inspect.cleandoc(type(instrument).__doc__ or '')
  line = text.partition('\n\n')[0].replace('\n', ' ')
  return line if line.endswith('.') else ''
