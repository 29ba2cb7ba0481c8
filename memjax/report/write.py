"""A report on one run, or on several runs side by side: a page and its data."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
from pathlib import Path
import time
from typing import Any

from memjax.analysis.base import Finding, Instrument
from memjax.analysis.section import Section
from memjax.config.find import make_importable
from memjax.errors import ConfigError, nearest, require
from memjax.logs.console import first_line
from memjax.logs.plots import style_runs
from memjax.report import (
  files,
  instruments,
  learning,
  run_info,
  store_reads,
  verdict,
)
from memjax.report.page import drawn, render
from memjax.report.runs import ReportedRun, load_runs

FOLDER, PAGE, ALL = 'report', 'index.html', 'all'
Made = tuple[Section | None, dict[str, Finding]]
Make = Callable[[Sequence[ReportedRun]], Made]


def _plain(make: Callable[[Sequence[ReportedRun]], Section | None]) -> Make:
  """A section that says nothing in the verdict."""
  return lambda runs: (make(runs), {})


OF_TRAINING = {
  'learning': ('Learning', learning.curves, learning.curve_figures),
  'evaluation': ('Evaluation', learning.evaluation, learning.last_figures),
}
AT_THE_END: dict[str, tuple[str, Make]] = {
  'store_reads': ('What was read from a store', _plain(store_reads.section)),
  'sample': ('A sample', _plain(learning.sample)),
  'run_info': ('What was trained', _plain(run_info.section)),
}


@dataclasses.dataclass
class Page:
  """The page while it is written: after every section it is a whole file.

  Attributes:
    path: of the page.
    runs: what it reports.
    waiting: titles of the sections that are not made yet.
    sections: those that are.
    findings: {run: what the instruments found}.
  """

  path: Path
  runs: Sequence[ReportedRun]
  waiting: list[str]
  sections: list[Section] = dataclasses.field(default_factory=list)
  findings: dict[str, list[Finding]] = dataclasses.field(default_factory=dict)

  def add(self, made: Made) -> None:
    """Adds the section whose title is the first that waits; writes the page."""
    section, findings = made
    if section:
      styles = style_runs([run.name for run in self.runs])
      self.sections.append(drawn(section, styles))
    for run, finding in findings.items():
      self.findings.setdefault(run, []).append(finding)
    del self.waiting[0]
    self.write()

  def write(self) -> None:
    """Replaces the file in one step."""
    names = [run.name for run in self.runs]
    tasks = dict.fromkeys(run.config['task']['name'] for run in self.runs)
    lead = f'memjax report on {", ".join(tasks)}, {time.strftime("%Y-%m-%d")}'
    first = verdict.section(self.runs, self.findings, bool(self.waiting))
    name = 'verdict.csv'
    files.write_table(first.tables[0], self.path.with_name(name))
    first = first._replace(files=[name])
    page = render(
      ' · '.join(names),
      lead,
      [first, *self.sections],
      style_runs(names),
      self.waiting,
    )
    unfinished = self.path.with_name(f'{PAGE}.tmp')
    unfinished.write_text(page, 'utf-8')
    unfinished.replace(self.path)


def write(
  workdirs: Sequence[Path],
  sections: Sequence[str] = (),
  out: Path | None = None,
) -> Path:
  """Writes the folder `report` and returns its page, `index.html`.

  The page is written after every section, and a line is printed. Each
  instrument's figures are beside the page, as `NAME.csv` and `NAME.svg`. What
  was measured is kept there, and is not measured again for the same checkpoint.
  If a section fails, the page says so in one line.

  Args:
    workdirs: the runs.
    sections: names of the sections, or paths of the user's own instruments;
      'all' stands for all that do not take long; () is all.
    out: the folder to write; by default `report` in the workdir, or in the
      nearest common parent of several.

  Raises:
    ConfigError: a folder is not a workdir, has no whole checkpoint, or is named
      twice; no such section; the folder cannot be written.
  """
  make_importable('.')
  folder = out or _parent(workdirs) / FOLDER
  if out or folder.parent.is_dir():  # else there is no workdir, see load_runs
    claim(folder)
  found = find_sections(sections, folder)
  runs = load_runs(workdirs)
  page = Page(folder / PAGE, runs, [title for title, _ in found.values()])
  page.write()
  print(f'The page grows while it is measured: {page.path}', flush=True)
  for title, make in found.values():
    page.add(_make(title, make, runs))
  return page.path


def claim(folder: Path) -> None:
  """Makes the folder and tries it, before anything is measured.

  Raises:
    ConfigError: it cannot be written.
  """
  trial = folder / f'.{os.getpid()}.trial'
  try:
    folder.mkdir(parents=True, exist_ok=True)
    trial.touch()
    trial.unlink()
  except OSError as error:
    rule = f'cannot be written ({error.strerror}): give another one, --out=DIR'
    raise ConfigError('report', str(folder), rule) from None


def find_sections(
  names: Sequence[str], folder: Path
) -> dict[str, tuple[str, Make]]:
  """{name: (title, how it is made)} of the sections, in the page's order.

  Raises:
    ConfigError: a name is not that of a section or an instrument.
  """

  def of(instrument: Instrument[Any]) -> tuple[str, Make]:
    make = functools.partial(_instrument, instrument, folder)
    return instrument.title, make

  def own(name: str) -> Make:
    return functools.partial(_of_training, name, folder)

  all_of_them = instruments.find_instruments()
  measured = {instruments.name_of(one): of(one) for one in all_of_them}
  asked_for = {
    instruments.name_of(one) for one in all_of_them if not one.in_report
  }
  known = (
    {name: (title, own(name)) for name, (title, *_) in OF_TRAINING.items()}
    | measured
    | AT_THE_END
  )
  every = not names or ALL in names
  chosen = {
    name: made
    for name, made in known.items()
    if name in names or (every and name not in asked_for)
  }
  for name in names:
    if name in known or name == ALL:
      continue
    rule = f'is not a section; {nearest(name, [*known, ALL])}'
    require('.' in name, 'sections', name, rule)
    chosen[name] = of(instruments.load_instrument(name))
  return chosen


def _instrument(
  instrument: Instrument[Any], folder: Path, runs: Sequence[ReportedRun]
) -> Made:
  styles = style_runs([run.name for run in runs])
  return instruments.section(instrument, runs, styles=styles, folder=folder)


def _of_training(name: str, folder: Path, runs: Sequence[ReportedRun]) -> Made:
  _, make, cells = OF_TRAINING[name]
  return files.with_files(make(runs), name, cells(runs), runs, folder), {}


def _parent(workdirs: Sequence[Path]) -> Path:
  """The workdir, or the nearest common parent of several."""
  if len(workdirs) == 1:
    return workdirs[0]
  return Path(os.path.commonpath([path.resolve().parent for path in workdirs]))


def _make(title: str, make: Make, runs: Sequence[ReportedRun]) -> Made:
  start = time.monotonic()
  made: Made
  try:
    made = make(runs)
  except Exception as error:
    made = Section(title, notes=[f'failed: {first_line(error)}']), {}
  if made[0]:
    print(f'{title:<30} {time.monotonic() - start:6.1f} s', flush=True)
  return made
