"""Programs on disk: half a one costs a compile, once, and no warning."""

import os
from pathlib import Path
import subprocess
import sys

ADD = """
import resource
import sys
import jax
from memjax.runs.compilation_cache import enable_compilation_cache
enable_compilation_cache()
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
print(jax.jit(lambda x: x + 1)(1))
"""


def compiled(folder: Path, size: int = -1) -> tuple[list[Path], str]:
  """The programs in a folder after a process that compiles, and its lines.

  Args:
    folder: where programs are kept.
    size: no file can be larger, in bytes; -1: no limit.
  """
  keep = {'JAX_COMPILATION_CACHE_DIR': str(folder)}
  keep['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  process = subprocess.run(
    [sys.executable, '-c', ADD, str(size)],
    env={**os.environ, **keep},
    capture_output=True,
    text=True,
    check=True,
  )
  assert process.stdout == '2\n'
  return sorted(folder.glob('jit__lambda-*-cache')), process.stderr


def test_half_a_program_is_written_anew_without_a_word(tmp_path: Path) -> None:
  (program,), _ = compiled(tmp_path)
  whole = program.stat().st_size
  program.write_bytes(program.read_bytes()[: whole // 2])
  assert compiled(tmp_path) == ([program], '')
  assert program.stat().st_size > whole // 2


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
  programs, line = compiled(tmp_path, size=100)
  assert programs == []
  assert line.count('\n') == 1
  assert f'{tmp_path}: compiled programs are not kept: OSError' in line
