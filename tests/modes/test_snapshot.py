"""`--mode=snapshot`: a database in a store, trained on, until it is erased."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.modes.snapshot import snapshot
from memjax.runs.load import load
from memjax.store.crypto import VARIABLE
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Range, Record
from memjax.training.loop import train
from tests.small import small

for needed in ('apsw', 'cryptography'):
  pytest.importorskip(needed)

ADMIN = grant('admin', '*', 'read write forget admin')
WORDS = ('--mode=snapshot', '--config=with_neighbours', '--store=a b')


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
  monkeypatch.setenv(VARIABLE, bytes(range(32)).hex())
  letters = np.random.default_rng(0).integers(97, 101, 6000, np.uint8)
  (tmp_path / 'text.txt').write_bytes(letters.tobytes())
  return {
    'parallel.data': 1,
    'train.steps': 4,
    'checkpoint.every': 2,
    'task.share': 1.0,
    'task.task.corpus': 'files',
    'task.task.path': str(tmp_path / 'text.txt'),
  }


def taken(changes: dict[str, Any], folder: Path, space: str = 'text') -> None:
  config = small('with_neighbours', 'gru', changes).config
  config = {**config, 'task': {**config['task'], 'snapshot': str(folder)}}
  where = str(folder.parent / 'db')
  assert snapshot(config, where, space, WORDS) == 0


def test_flags_that_are_missing_are_refused(
  changes: dict[str, Any], tmp_path: Path
) -> None:
  config: dict[str, Any] = {'task': {'name': 'text.Text', 'snapshot': ''}}
  for words, where, space, folder in (
    ('store: .*--store=FILE', '', 'a', 'kept'),
    ('space: .*--space=NAME', 'db', '', 'kept'),
    (r'task\.snapshot=FOLDER', 'db', 'a', ''),
    (r'task\.snapshot: .*is not empty', 'db', 'a', str(tmp_path)),
  ):
    config['task']['snapshot'] = folder
    with pytest.raises(ConfigError, match=words):
      snapshot(config, where, space, WORDS)
  other = {'name': 'hidden_tags.HiddenTags', 'snapshot': str(tmp_path / 'a')}
  with pytest.raises(ConfigError, match=r'^task.snapshot: .*no such field'):
    snapshot({'task': other}, 'db', 'a', WORDS)


@pytest.mark.slow
def test_a_task_reads_a_snapshot_as_it_reads_the_text(
  changes: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
  """The same neighbours; only the fingerprint says where they are from."""
  taken(changes, tmp_path / 'kept')
  assert '337 chunks of space text, fingerprint' in capsys.readouterr().out
  from_text = small('with_neighbours', 'gru', changes)
  from_store = small(
    'with_neighbours',
    'gru',
    changes | {'task.snapshot': str(tmp_path / 'kept')},
  )
  stream, rows = from_text.evals['validation'].stream(0), np.arange(4)
  for step in range(2):
    one, other = (
      experiment.task.batch(experiment.task.rows(stream, step, rows))
      for experiment in (from_text, from_store)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
  other_chunk = changes | {
    'task.snapshot': str(tmp_path / 'kept'),
    'task.continuation': 4,
  }
  with pytest.raises(ConfigError, match=r"holds '8 tokens .* reads '4 tokens"):
    small('with_neighbours', 'gru', other_chunk)


@pytest.mark.slow
def test_a_run_goes_on_with_its_snapshot_and_with_no_other(
  changes: dict[str, Any], tmp_path: Path
) -> None:
  """A stopped run ends as one that was not; another snapshot is refused."""

  def run_of(folder: str, steps: int) -> Experiment:
    own = {'train.steps': steps, 'task.snapshot': str(tmp_path / folder)}
    return small('with_neighbours', 'gru', changes | own)

  def say(*run: Any) -> None:
    del run

  taken(changes, tmp_path / 'kept')
  for name, each in (('whole', (4,)), ('parts', (2, 4))):
    for steps in each:
      assert train(run_of('kept', steps), tmp_path / name, say)
  whole, parts = (load(tmp_path / name) for name in ('whole', 'parts'))
  jax.tree.map(np.testing.assert_array_equal, whole.params, parts.params)
  (tmp_path / 'kept').rename(tmp_path / 'first')
  with open_store(tmp_path / 'db', ADMIN) as opened:
    said = opened.read('text', Range(0, opened.end('text')))
    changed = [Record(np.ones(128), row.value) for row in said]
    seen = opened.write('other', changed)
    about = run_of('first', 4).task.about  # type: ignore[attr-defined]
    opened.save_snapshot('other', seen, tmp_path / 'kept', about)
  with pytest.raises(ConfigError, match='its data have changed since'):
    train(run_of('kept', 8), tmp_path / 'parts', say)
  with open_store(tmp_path / 'db', ADMIN) as opened:
    assert opened.erase('text') == 337
  rule = "records were removed .*: memjax --mode=snapshot .* '--store=a b'"
  with pytest.raises(ConfigError, match=rule):
    run_of('first', 4)
