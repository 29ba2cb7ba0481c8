"""The engine of a test, and the end of the server that some of them need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from memjax.store.engine import Engine
from tests.store import engines


@pytest.fixture(params=engines.ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
  made = engines.engine(request.param, tmp_path)
  yield made
  made.close()


@pytest.fixture(scope='session', autouse=True)
def server_ends() -> Iterator[None]:
  yield
  while engines.RUNNING:
    engines.RUNNING.pop().stop()
