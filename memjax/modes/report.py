"""Writes the report on workdirs."""

from pathlib import Path

from memjax.report import write
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache


def report(workdir: Path) -> int:
  """Writes a report on a workdir, or on several that commas separate."""
  enable_compilation_cache()
  names = [workdir] if workdir.is_dir() else str(workdir).split(',')
  path = write.write([Path(name) for name in names])
  print(f'\nThe report is {path}')
  return exit_codes.FINISHED
