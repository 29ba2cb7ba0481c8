"""`--mode=eval --store`: a set's labels with what was told before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.generation.neighbours import (
  Mixing,
  Neighbours,
  hidden_states,
  mixed,
  mixed_outputs,
)
from memjax.logs import metrics_file
from memjax.models.base import Model, apply_readout
from memjax.modes.evaluate import evaluate
from memjax.modes.read_log import Label, ReadLog
from memjax.modes.recall import Recall
from memjax.modes.store_space import Reading
from memjax.report.write import write
from memjax.runs.load import load
from memjax.store.crypto import VARIABLE
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Range, Record, pack_tokens
from memjax.training.loop import train
from tests.small import small

for needed in ('apsw', 'cryptography'):
  pytest.importorskip(needed)

MASTER = bytes(range(32))
ADMIN = grant('admin', '*', 'read write forget admin')
TEXT = 'the code of the door is 7391 and the cat is called minka\n' * 40


def test_many_states_are_mixed_as_one_is() -> None:
  rng = np.random.default_rng(0)
  y_BTV = rng.normal(size=(2, 3, 7)).astype(np.float32)
  token_BTK = rng.integers(0, 7, (2, 3, 4))
  score_BTK = np.sort(rng.uniform(0.8, 1.0, (2, 3, 4)))[..., ::-1].copy()
  score_BTK[0, 1, 2:] = -np.inf  # fewer records than asked for
  score_BTK[1, 2] = -np.inf
  for mixing in (Mixing(), Mixing(0.25, 0.05, np.inf)):
    log_BTV, a_BT = mixed_outputs(
      jnp.asarray(y_BTV),
      jnp.asarray(token_BTK),
      jnp.asarray(score_BTK, jnp.float32),
      mixing,
    )
    for place in np.ndindex(2, 3):
      there = np.isfinite(score_BTK[place])
      found = Neighbours(token_BTK[place][there], score_BTK[place][there])
      log_V, a = mixed(y_BTV[place], found, mixing)
      np.testing.assert_allclose(log_BTV[place], log_V, atol=2e-5)
      assert a_BT[place] == pytest.approx(a, abs=1e-6)
  assert a_BT[1, 2] == 0
  assert a_BT[0, 0] == pytest.approx(0.25)


def test_labels_count_at_the_age_of_what_they_read() -> None:
  log = ReadLog()
  gains = np.array([3.0, -1.0, 0.5, 0.25])
  ages = np.array([3, 4, 15, 16])

  def label(i: int) -> Label:
    return Label((1, 2), i, 100 - int(ages[i]))

  at = np.array([5.0, 4.0, 3.0, 2.0])
  for _ in range(2):
    log.add(ages, at, np.full(4, 0.5), gains, label)
  young, middle, old = log.bands()
  assert (young['youngest'], young['oldest'], young['labels']) == (1, 3, 2)
  assert (middle['youngest'], middle['oldest']) == (4, 15)
  assert middle['labels'] == 4
  assert middle['gain'] == pytest.approx(-0.25)
  assert middle['helped'] == 0.5
  assert (middle['first_written'], middle['last_written']) == (3.0, 4.0)
  assert old['youngest'] == 16
  shown = log.shown(str)
  assert [x['gain'] for x in shown[:2] + shown[-2:]] == [3.0, 3.0, -1.0, -1.0]
  assert shown[0] | {'before': '(1, 2)', 'age': 3, 'record': 97} == shown[0]
  log.clear()
  assert log.bands() == log.shown(str) == []


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ({'space': 'a'}, r'^space: .*--store=FILE'),
    ({'store': 'db'}, r'^space: .*--space=NAME'),
    ({'store': 'db', 'space': 'a', 'store_count': 0}, r'^store_count: 0'),
    ({'store': 'db', 'space': 'a', 'store_share': 1.0}, r'^store_share: 1.0'),
    ({'store': 'db', 'space': 'a', 'store_reach': 0.0}, r'^store_reach: 0.0'),
    ({'store': 'db', 'space': 'a', 'store_temperature': -1.0}, r'^store_temp'),
  ],
)
def test_a_bad_flag_is_refused_before_anything_is_loaded(
  flags: dict[str, Any], words: str, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError, match=words):
    evaluate({}, tmp_path, **flags)


def test_who_logs_in_is_not_written_down() -> None:
  class Space:
    records, fingerprint = 3, 'f' * 64

  reading = Reading('postgresql://bob:secret@host/db', 'a', store_reach=np.inf)
  said = reading.describe(Space())  # type: ignore[arg-type]
  assert said['store'] == 'host/db'
  assert (said['store_reach'], said['store_fingerprint']) == ('inf', 'f' * 12)


Score = Callable[..., metrics_file.Row]


@pytest.fixture(scope='module')
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
  folder = tmp_path_factory.mktemp('trained')
  (folder / 'text.txt').write_text(TEXT * 3)
  changes = {
    'parallel.data': 1,
    'train.steps': 2,
    'task.corpus': 'files',
    'task.path': str(folder / 'text.txt'),
  }
  assert train(small('text', 'gru', changes), folder / 'run', lambda *run: None)
  return folder / 'run'


@pytest.fixture
def score(
  workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Score:
  monkeypatch.setenv(VARIABLE, MASTER.hex())

  def scored(**flags: Any) -> metrics_file.Row:
    if 'space' in flags:
      flags['store'] = str(tmp_path / 'db')
    assert evaluate({}, workdir, set_name='validation', **flags) == 0
    return metrics_file.load_evaluation_rows(workdir / 'metrics.jsonl')[-1]

  return scored


def tell(workdir: Path, folder: Path, text: str, space: str) -> Range:
  run = load(workdir, carry=False)
  with open_store(folder / 'db', ADMIN, master=MASTER) as opened:
    return Recall(run, opened, space).tell(text)


@pytest.mark.slow
def test_a_set_is_scored_with_what_was_told(
  workdir: Path, tmp_path: Path, score: Score, capsys: Any
) -> None:
  alone = score()
  assert 'reads' not in alone
  told = tell(workdir, tmp_path, TEXT[:500], 'alice')
  with_store = score(space='alice')
  assert 'space alice' in ' '.join(capsys.readouterr().out.split())
  metrics = with_store['metrics']
  assert metrics['loss_without_store'] == pytest.approx(
    alone['metrics']['loss'], abs=1e-5
  )
  assert metrics['loss'] < alone['metrics']['loss'] - 0.5
  protocol = with_store['protocol']
  assert protocol['store_records'] == len(range(*told))
  assert (
    with_store['overrides']['store_fingerprint']
    == (protocol['store_fingerprint'])
  )
  bands = with_store['reads']['bands']
  labels = sum(band['labels'] for band in bands)
  gain = sum(band['gain'] * band['labels'] for band in bands) / labels
  assert gain == pytest.approx(
    metrics['loss_without_store'] - metrics['loss'], abs=1e-4
  )
  assert bands[-1]['youngest'] == 256
  path = write([workdir], ['store_reads'])
  page = path.read_text('utf-8')
  assert f'fingerprint {protocol["store_fingerprint"]}' in page
  assert 'labels by the age of what they read' in page
  best = with_store['reads']['examples'][0]
  assert best['gain'] > 1
  assert best['age'] == told.end - best['record']
  with open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened:
    key_ND = opened.snapshot('alice', told).key_ND
    of_another = [
      Record(key, pack_tokens(0), tags=('model-another',)) for key in key_ND
    ]
    opened.write('alice', of_another)
  again = score(space='alice')
  assert again['metrics'] == metrics
  with (
    open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened,
    opened._engine.transaction(writes=False),
  ):
    assert not opened._engine.usage('alice').reads_N.any()
  none = score(space='alice', store_share=0.0)
  assert none['metrics']['loss'] == pytest.approx(
    none['metrics']['loss_without_store']
  )
  tell(workdir, tmp_path, 'something else', 'alice')
  other = score(space='alice')['protocol']
  assert other['store_fingerprint'] != protocol['store_fingerprint']


@pytest.mark.slow
def test_the_loss_is_that_of_one_state_after_another(
  workdir: Path, tmp_path: Path, score: Score
) -> None:
  """Against `hidden_states`, `look_up` and `mixed`, label by label."""
  tell(workdir, tmp_path, TEXT[:400], 'alice')
  run = load(workdir, carry=False)
  assert isinstance(run.model, Model)
  evaluation = run.experiment.evals['validation']
  task, rows = evaluation.task, np.arange(evaluation.batch_size)
  steps, nats, count = evaluation.number_of_steps, 0.0, 0.0
  batches = [task.rows(evaluation.stream(0), i, rows) for i in range(steps)]
  joined = jax.tree.map(lambda *x: np.concatenate(x, 1), *batches)
  inputs_BT, targets_BT, weight_BT, reset_BT = joined[:4]
  assert (reset_BT.sum(1) == 1).all()  # the second batch goes on
  with open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened:
    recall = Recall(run, opened, 'alice')
    for row in rows:
      ends = np.flatnonzero(reset_BT[row])[1:]
      parts = np.split(inputs_BT[row], ends)
      fresh = run.model.initial_carry(1)
      h_TD = np.concatenate(
        [hidden_states(run.model, run.params, fresh, part) for part in parts]
      )
      y_TV = np.asarray(apply_readout(run.model, run.params, jnp.asarray(h_TD)))
      for t in np.flatnonzero(weight_BT[row]):
        log_V, _ = mixed(y_TV[t], recall.look_up(h_TD[t]), Mixing())
        nats, count = nats - log_V[targets_BT[row, t]], count + 1
  loss = score(space='alice')['metrics']['loss']
  assert loss == pytest.approx(nats / count, abs=1e-4)


@pytest.mark.slow
def test_what_cannot_be_scored_is_refused(
  workdir: Path, tmp_path: Path, score: Score
) -> None:
  with pytest.raises(ConfigError, match=r"store: .*db': no such file"):
    score(space='alice')
  assert not (tmp_path / 'db').exists()
  tell(workdir, tmp_path, TEXT[:50], 'alice')
  with pytest.raises(ConfigError, match=r"space: 'bob': holds no record"):
    score(space='bob')
  with pytest.raises(ConfigError, match='is not an evaluation set'):
    evaluate({}, workdir, set_name='nothing', store=str(tmp_path), space='a')
  with pytest.raises(ConfigError, match='1 replica'):
    score(space='alice', replica=1)
