"""`--mode=eval` needs the workdir alone, takes overrides and keeps its rows."""

import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import pytest

from memjax.data.corpus import close_corpora
from memjax.errors import ConfigError
from memjax.logs import metrics_file
from memjax.modes.evaluate import evaluate
from memjax.runs.lock import lock
from memjax.runs.workdir import read_config
from memjax.training.loop import train
from tests.small import small

SMALL: dict[str, Any] = {
  'parallel.data': 1,
  'train.steps': 4,
  'checkpoint.every': 2,
  'checkpoint.best': 'held_out/loss',
  'checkpoint.best_is': 'max',
  'optim.learning_rate': 0.01,
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
  workdir = tmp_path_factory.mktemp('trained') / 'run'
  assert train(small('adding', 'gru', SMALL), workdir, lambda *run: None)
  return workdir


@pytest.fixture
def workdir(trained: Path, tmp_path: Path) -> Path:
  shutil.copytree(trained, tmp_path / 'run')
  return tmp_path / 'run'


def kept(workdir: Path) -> list[metrics_file.Row]:
  return metrics_file.load_evaluation_rows(workdir / 'metrics.jsonl')


def test_the_workdir_is_enough_and_its_figures_are_those_of_training(
  workdir: Path, capsys: Any
) -> None:
  path = workdir / 'metrics.jsonl'
  before = metrics_file.load_rows(path)
  assert evaluate({}, workdir) == 0
  assert f'kept in {path}' in capsys.readouterr().out
  assert metrics_file.load_rows(path) == before, 'no row of the run changed'
  last = {row['split']: row for row in before}
  rows = kept(workdir)
  assert [row['split'] for row in rows] == ['held_out', 'twice']
  for row in rows:
    assert row['step'] == 4
    assert row['overrides'] == {}
    assert row['metrics'] == last[row['split']]['metrics']
    assert row['protocol'] == last[row['split']]['protocol']
    assert 'time' in row


def test_an_override_of_the_task_reaches_the_sets_and_is_kept(
  workdir: Path, capsys: Any
) -> None:
  config = read_config(workdir)
  assert evaluate({}, workdir, overrides=['--config.task.length=16']) == 0
  printed, _, of_twice = capsys.readouterr().out.partition('twice at step')
  assert 'task.length 16)' in printed, 'what differs from the run is shown'
  assert 'task.length 24' in of_twice
  held_out, twice = kept(workdir)
  assert held_out['overrides'] == {'task.length': 16}
  assert held_out['protocol']['task.length'] == 16
  assert twice['overrides'] == {}
  assert twice['protocol']['task.length'] == 24, 'the set has its own length'
  assert read_config(workdir) == config


def test_one_set_one_step_and_a_field_of_the_set(workdir: Path) -> None:
  overrides = ['--config.evals.twice.task.length=20', '--config.seed=3']
  assert (
    evaluate({}, workdir, overrides=overrides, set_name='twice', step='best')
    == 0
  )
  [row] = kept(workdir)
  assert row['split'] == 'twice'
  assert row['step'] == 2
  assert row['overrides'] == {'seed': 3, 'task.length': 20}
  with pytest.raises(ConfigError, match=r"set: 'twise': .*did you mean twice"):
    evaluate({}, workdir, set_name='twise')
  with pytest.raises(ConfigError, match=r"task.lenght: '3': no such field"):
    evaluate({}, workdir, overrides=['--config.task.lenght=3'])
  with pytest.raises(ConfigError, match=r'model.width was 16, is 8'):
    evaluate({}, workdir, overrides=['--config.model.width=8'])


@pytest.mark.slow
def test_a_set_that_training_leaves_out_is_measured_when_named(
  tmp_path: Path, capsys: Any
) -> None:
  left_out = SMALL | {'train.steps': 2, 'evals.twice.every': 0}
  workdir = tmp_path / 'run'
  assert train(small('adding', 'gru', left_out), workdir, lambda *run: None)
  assert evaluate({}, workdir) == 0
  assert [row['split'] for row in kept(workdir)] == ['held_out']
  assert evaluate({}, workdir, set_name='twice') == 0
  assert kept(workdir)[-1]['split'] == 'twice'
  assert kept(workdir)[-1]['overrides'] == {}


@pytest.mark.slow
def test_another_text_is_read_with_the_trained_tokenizer(
  tmp_path: Path,
) -> None:
  rng, texts = np.random.default_rng(0), {}
  for name, letters in (('own', 'abcd'), ('other', 'cdef')):
    texts[name] = tmp_path / f'{name}.txt'
    texts[name].write_text(''.join(rng.choice([*letters], 4000)))
  options = {
    'parallel.data': 1,
    'task.corpus': 'files',
    'task.path': str(texts['own']),
    'task.tokens': 'characters',
  }
  workdir = tmp_path / 'run'
  assert train(small('text', 'lstm', options), workdir, lambda *run: None)
  assert evaluate({}, workdir, set_name='validation') == 0
  other = [f'--config.task.path={texts["other"]}']
  assert evaluate({}, workdir, overrides=other, set_name='validation') == 0
  own_row, row = kept(workdir)
  assert row['overrides'] == {'task.path': str(texts['other'])}
  assert row['protocol']['data'] != own_row['protocol']['data']
  # e and f are unknown, and each costs the bits to tell it from all others.
  assert own_row['metrics']['bits_per_byte'] < 3
  assert row['metrics']['bits_per_byte'] > 10


@pytest.mark.slow
def test_a_set_with_its_own_text_needs_no_training_text(
  tmp_path: Path,
) -> None:
  own, other = tmp_path / 'own.txt', tmp_path / 'other.txt'
  own.write_text('abcd' * 1000)
  other.write_text('dcba' * 500)
  options = {
    'parallel.data': 1,
    'task.corpus': 'files',
    'task.path': str(own),
    'task.tokens': 'characters',
  }
  workdir = tmp_path / 'run'
  assert train(small('text', 'lstm', options), workdir, lambda *run: None)
  own.unlink()
  close_corpora()
  with pytest.raises(ConfigError, match=r'evals.validation.task.path: .*own'):
    evaluate({}, workdir, set_name='validation')
  path = [f'--config.evals.validation.task.path={other}']
  assert evaluate({}, workdir, overrides=path, set_name='validation') == 0
  [row] = kept(workdir)
  assert row['overrides'] == {'task.path': str(other)}


def test_a_config_file_works_as_well(workdir: Path) -> None:
  other = small('adding', 'gru', SMALL | {'evals.twice.task': {'length': 18}})
  assert evaluate(other.config, workdir, set_name='twice') == 0
  [row] = kept(workdir)
  assert row['overrides'] == {'task.length': 18}


def test_a_resumed_run_does_not_take_the_rows_for_its_own(
  workdir: Path,
) -> None:
  whole = metrics_file.load_rows(workdir / 'metrics.jsonl')
  evaluate({}, workdir, overrides=['--config.task.length=16'])
  assert train(small('adding', 'gru', SMALL), workdir, lambda *run: None)
  assert metrics_file.load_rows(workdir / 'metrics.jsonl') == whole
  assert len(kept(workdir)) == 2


@pytest.mark.parametrize('running', [True, False])
def test_an_unfinished_line_is_cut_unless_a_run_is_writing_it(
  workdir: Path, running: bool, capsys: Any
) -> None:
  path = workdir / 'metrics.jsonl'
  if running:
    with lock(workdir):
      evaluate({}, workdir, set_name='twice')
  else:
    with path.open('a') as file:
      file.write('{"step": 4, "spl')
    evaluate({}, workdir, set_name='twice')
  assert 'kept in' in capsys.readouterr().out
  assert len(kept(workdir)) == 1
  lines = path.read_text().splitlines()
  assert all(json.loads(line) for line in lines)


@pytest.mark.parametrize('name', ['.lock', 'metrics.jsonl'])
def test_a_workdir_that_cannot_be_written_still_prints(
  workdir: Path, name: str, capsys: Any
) -> None:
  (workdir / name).unlink()
  (workdir / name).mkdir()  # root may write to a read-only folder
  assert evaluate({}, workdir, set_name='twice') == 0
  output = capsys.readouterr().out
  assert 'twice at step 4' in output
  assert f'not kept: {workdir / "metrics.jsonl"}: ' in output
