"""A corpus larger than the memory it may take, and starts that do not read."""

import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SIZE, GROWTH = 96, 32  # MB of the corpus, and of memory that it may take
STARTED = """
import sys, threading, time
from pathlib import Path
import numpy as np
from memjax.data import corpus, known
from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text

corpus.RECORDED = 0  # no corpus is small
now = time.time_ns
known.time.time_ns = lambda: now() + 60 * 10**9  # the file is an old one

def private():
  status = Path('/proc/self/status').read_text()
  return int(status.split('RssAnon:')[1].split()[0]) / 1024

def read():
  return int(Path('/proc/self/io').read_text().split('rchar:')[1].split()[0])

peak = before = private()
def watch():
  global peak
  while True:
    peak = max(peak, private())
    time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
so_far = read()
task = Text(corpus='files', path=sys.argv[1], length=512)
task.prepare()
at_start = read() - so_far
steps = task.epoch_steps(8)
for step in range(0, steps, steps // 100):
  task.rows(Stream(0, 0, 8), step, np.arange(8))
print(task.fingerprint(), round(peak - before), at_start // 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(
  not Path('/proc/self/io').exists(), reason='counts the bytes read on Linux'
)
def test_a_large_corpus_stays_on_disk_and_is_read_once(
  tmp_path: Path,
) -> None:
  rng = np.random.default_rng(0)
  path = tmp_path / 'text'
  with path.open('wb') as file:
    for _ in range(SIZE):
      file.write(rng.integers(97, 123, 1 << 20, dtype=np.uint8).tobytes())

  def start() -> tuple[str, int, int]:
    done = subprocess.run(
      [sys.executable, '-c', STARTED, str(path)],
      capture_output=True,
      text=True,
      cwd=ROOT,
      env=os.environ | {'MEMJAX_CACHE': str(tmp_path / 'cache')},
      timeout=300,
    )
    assert done.returncode == 0, done.stderr
    fingerprint, grown, read = done.stdout.split()
    return fingerprint, int(grown), int(read)

  first, second = start(), start()
  assert first[0] == second[0]
  assert first[2] >= SIZE
  assert max(first[1], second[1]) < GROWTH
  assert second[2] < 4  # modules, and the text around two cuts
  kept = sum(f.stat().st_size for f in (tmp_path / 'cache').rglob('*.tokens'))
  assert kept == SIZE << 20
  assert not (tmp_path / 'cache' / 'records').exists()
  path.write_bytes(path.read_bytes()[:-1] + b'\n')
  third = start()
  assert third[0] != first[0]
