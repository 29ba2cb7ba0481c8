"""A report on one run, or on several runs side by side: a page and its data."""

from collections.abc import Callable, Sequence
import functools
import os
from pathlib import Path
import time

from memjax.analysis.section import Section
from memjax.logs.console import first_line
from memjax.logs.plots import style_runs
from memjax.report import instruments, learning, run_info
from memjax.report.page import render
from memjax.report.runs import ReportedRun, load_runs

FOLDER, PAGE = 'report', 'index.html'
Make = Callable[[Sequence[ReportedRun]], Section | None]
OF_TRAINING: dict[str, Make] = {
  'What was trained': run_info.section,
  'Learning': learning.curves,
  'Evaluation': learning.evaluation,
  'A sample': learning.sample,
}


def write(workdirs: Sequence[Path]) -> Path:
  """Writes the folder `report` and returns its page, `index.html`.

  The folder is made in the workdir, or in the nearest common parent of several
  workdirs. Each instrument's figures are beside the page, as `NAME.csv` and
  `NAME.svg`. A line is printed for each section. If a section fails, the page
  says so in one line.

  Raises:
    ConfigError: a folder is not a workdir, has no whole checkpoint, or is named
      twice.
  """
  runs = load_runs(workdirs)
  names = [run.name for run in runs]
  styles = style_runs(names)
  folder = _parent(workdirs) / FOLDER
  folder.mkdir(exist_ok=True)
  makers = dict(OF_TRAINING)
  for instrument in instruments.find_instruments():
    makers[instrument.title] = functools.partial(
      instruments.section, instrument, styles=styles, folder=folder
    )
  sections = [_make(title, make, runs) for title, make in makers.items()]
  tasks = dict.fromkeys(run.config['task']['name'] for run in runs)
  lead = f'memjax report on {", ".join(tasks)}, {time.strftime("%Y-%m-%d")}'
  page = render(' · '.join(names), lead, filter(None, sections), styles)
  unfinished = folder / f'{PAGE}.tmp'
  unfinished.write_text(page, 'utf-8')
  return unfinished.replace(folder / PAGE)


def _parent(workdirs: Sequence[Path]) -> Path:
  """The workdir, or the nearest common parent of several."""
  if len(workdirs) == 1:
    return workdirs[0]
  return Path(os.path.commonpath([path.resolve().parent for path in workdirs]))


def _make(
  title: str, make: Make, runs: Sequence[ReportedRun]
) -> Section | None:
  start = time.monotonic()
  try:
    section = make(runs)
  except Exception as error:
    section = Section(title, notes=[f'failed: {first_line(error)}'])
  if section:
    print(f'{title:<30} {time.monotonic() - start:6.1f} s', flush=True)
  return section
