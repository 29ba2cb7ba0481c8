"""What malloc's settings do to a process, seen from its page faults."""

import subprocess
import sys

import pytest

from memjax.runs import heap

SCRIPT = """
import resource
from memjax.runs.heap import keep_freed_memory
kept = keep_freed_memory()
bytearray(2**26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
  bytearray(2**26)
after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(kept, after - before < 100)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason="glibc's malloc")
@pytest.mark.parametrize(
  ('value', 'kept'), [('', 'True True'), ('system', 'False False')]
)
def test_freed_memory_is_not_cleared_again(value: str, kept: str) -> None:
  """calloc clears reused memory itself, without a fault of its pages."""
  ran = subprocess.run(
    [sys.executable, '-c', SCRIPT],
    env={heap.VARIABLE: value, 'PYTHONPATH': '.'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert ran.stdout.strip() == kept


def test_other_libraries_are_left_alone(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(heap.platform, 'libc_ver', lambda: ('', ''))
  assert not heap.keep_freed_memory()
