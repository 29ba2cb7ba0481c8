"""The server of the tests leaves nothing behind when it does not start."""

from pathlib import Path
import tempfile

import pytest

from tests.store.engines import Postgres


def test_a_server_that_does_not_start_leaves_no_folder(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  with pytest.raises((OSError, pytest.skip.Exception)):
    Postgres(tmp_path / 'no programs')
  assert not any(tmp_path.iterdir())
