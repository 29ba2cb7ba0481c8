"""A workdir has one process at a time, and a dead one holds nothing."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from memjax.errors import ConfigError
from memjax.runs.lock import lock

CHILD = """
import sys
from pathlib import Path
from memjax.runs.lock import lock
with lock(Path(sys.argv[1])):
  print('held', flush=True)
  sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(
  tmp_path: Path,
) -> None:
  workdir = tmp_path / 'new' / 'workdir'
  child = subprocess.Popen(
    [sys.executable, '-c', CHILD, str(workdir)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    cwd=Path(__file__).parents[2],
    text=True,
  )
  with child:
    assert child.stdout is not None
    assert child.stdout.readline() == 'held\n'
    with pytest.raises(ConfigError) as error, lock(workdir):
      pass
    assert error.value.field == 'workdir'
    assert f'is in use by process {child.pid} on ' in str(error.value)
    assert '\n' not in str(error.value)
    child.kill()
  with lock(workdir):
    holder = (workdir / '.lock').read_text()
    assert holder.startswith(f'process {os.getpid()} on ')
    with pytest.raises(ConfigError, match=holder), lock(workdir):
      pass
  with lock(workdir):
    pass


def test_an_unwritable_workdir_is_refused(tmp_path: Path) -> None:
  (tmp_path / 'file').write_text('')
  for folder in (tmp_path / 'file' / 'workdir', Path('/proc/workdir')):
    with (
      pytest.raises(ConfigError, match=r'workdir: .*: cannot be written: '),
      lock(folder),
    ):
      pass
