"""Writes the report on workdirs."""

from pathlib import Path

import jax

from memjax.report import write
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache


def report(workdir: Path, sections: str = '', out: str = '') -> int:
  """Writes a report on a workdir, or on several that commas separate.

  Args:
    workdir: DIR or DIR,DIR.
    sections: NAME,NAME; '' is all.
    out: the folder to write; '': `report` in the workdir.
  """
  enable_compilation_cache()
  # Many small programs: keeping all of them makes the next report faster.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
  names = [workdir] if workdir.is_dir() else str(workdir).split(',')
  path = write.write(
    [Path(name) for name in names],
    [name.strip() for name in sections.split(',') if name.strip()],
    Path(out) if out else None,
  )
  print(f'\nThe report is {path}')
  return exit_codes.FINISHED
