"""One set of rules for all tests: 8 CPU devices, checked shapes and types."""

import collections
from collections.abc import Iterator
import gc
import os
from pathlib import Path
import shutil
import tempfile

from tests.fast_cases import slow_cases
from tests.flags import xla_flags

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = xla_flags(devices=8)
_COMPILED = os.environ.setdefault(
  'MEMJAX_TESTS', os.path.join(tempfile.gettempdir(), f'memjax-{os.getpid()}')
)
os.environ['JAX_COMPILATION_CACHE_DIR'] = _COMPILED
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'
os.environ['OPENBLAS_NUM_THREADS'] = '1'  # more wait for each other's cores
os.environ['WANDB_MODE'] = 'offline'
os.environ['WANDB_SILENT'] = 'true'

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook(
  ['memjax.ops', 'memjax.models', 'memjax.tasks'], 'beartype.beartype'
)
jax.config.update('jax_numpy_rank_promotion', 'raise')
gc.set_threshold(50_000)  # at 700 objects tracing looks for garbage all along


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Of a test with the mark `fast_cases(n)`, all but n cases are slow."""
  cases = collections.defaultdict[str, list[pytest.Item]](list)
  for item in items:
    cases[item.nodeid.partition('[')[0]].append(item)
  for same in cases.values():
    mark = same[0].get_closest_marker('fast_cases')
    for place in slow_cases(mark.args[0], len(same)) if mark else ():
      same[place].add_marker('slow')


def pytest_unconfigure(config: pytest.Config) -> None:
  """The compiled programs that the workers shared go with the last of them."""
  if not hasattr(config, 'workerinput'):
    shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.fixture(autouse=True, scope='session')
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
  """Corpora are prepared in a folder of the tests' own."""
  os.environ['MEMJAX_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(autouse=True, scope='module')
def few_programs() -> Iterator[None]:
  """Programs of tests gone by are dropped while there is room for others.

  Each has dozens of memory maps, of which Linux gives a process 65,530; one
  more ends it without a word.
  """
  yield
  maps = Path('/proc/self/maps')
  if maps.exists() and maps.read_bytes().count(b'\n') > 15_000:
    jax.clear_caches()


@pytest.fixture(autouse=True)
def no_silent_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
  """No float type turns into another unasked; optax's own arithmetic does."""
  folders = {'config', 'training', 'faults', 'learning', 'experiments', 'modes'}
  with_optax = folders & set(request.path.parts)
  mode = 'standard' if with_optax else 'strict'
  with jax.numpy_dtype_promotion(mode):
    yield
