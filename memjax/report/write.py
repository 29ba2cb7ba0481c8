"""A page about one run, or about several side by side."""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import time

from memjax.logs.writers import reason
from memjax.report import instruments, internals, learning, run_info
from memjax.report.page import Section, render
from memjax.report.runs import Subject, gather

NAME = 'report.html'
SECTIONS: tuple[Callable[[Sequence[Subject]], Section | None], ...] = (
  run_info.section,
  learning.curves,
  learning.evaluation,
  learning.sample,
  instruments.by_extent,
  instruments.by_context,
  instruments.knocked_out,
  instruments.told,
  internals.by_lag,
  internals.attention,
  internals.gates,
  instruments.costs,
)


def write(workdirs: Sequence[Path]) -> Path:
  """Writes `report.html` into the workdir, or into what holds all of several.

  Prints a line for each section. One that fails is a line of the page.

  Raises:
    ConfigError: a folder is no workdir, holds no whole checkpoint, or comes
      twice.
  """
  subjects = gather(workdirs)
  sections = list(filter(None, (_made(make, subjects) for make in SECTIONS)))
  names = [subject.name for subject in subjects]
  tasks = dict.fromkeys(s.run.config['task']['name'] for s in subjects)
  lead = f'memjax report on {", ".join(tasks)}, {time.strftime("%Y-%m-%d")}'
  folder = workdirs[0]
  if len(workdirs) > 1:
    parents = [workdir.resolve().parent for workdir in workdirs]
    folder = Path(os.path.commonpath(parents))
  path = folder / NAME
  unfinished = path.with_suffix('.tmp')
  unfinished.write_text(render(' · '.join(names), lead, sections), 'utf-8')
  unfinished.replace(path)
  return path


def _made(
  make: Callable[[Sequence[Subject]], Section | None],
  subjects: Sequence[Subject],
) -> Section | None:
  start = time.monotonic()
  title = f'{make.__module__.rpartition(".")[2]}, {make.__name__}'
  try:
    section = make(subjects)
  except Exception as error:
    section = Section(title, notes=[f'failed: {reason(error)}'])
  if section:
    seconds = time.monotonic() - start
    print(f'{section.title:<30} {seconds:6.1f} s', flush=True)
  return section
