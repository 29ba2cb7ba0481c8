"""What a run prints at its end, and that a failed figure does not stop it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError
from memjax.logs import metrics_file
from memjax.logs.writers import NullWriter
from memjax.modes.evaluate import evaluate
from memjax.report import summary
from memjax.runs.workdir import open_run
from memjax.training import replicas
from memjax.training.loop import train
from tests.small import small

ROW = {
  'step': 4,
  'split': 'held_out',
  'metrics': {'accuracy': 0.5, 'loss': 1.23456, 'recall': 0.0},
  'protocol': {
    'segment_length': 32,
    'horizon': 0,
    'carry_over': False,
    'task.delay': 9,
  },
}
SMALL = {'parallel.data': 1}


@pytest.fixture(scope='module')
def experiment() -> Experiment:
  return small('copy_memory', 'lstm', SMALL)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
  """The workdir of a run after two evaluations."""
  rows = [
    ROW | {'step': 2},
    ROW | {'split': 'train'},
    ROW,
  ]
  text = ''.join(map(metrics_file.encode_row, rows))
  (tmp_path / 'metrics.jsonl').write_text(text)
  return tmp_path


def test_a_figure_is_beside_its_baseline_and_protocol(
  experiment: Experiment, capsys: Any
) -> None:
  summary.print_evaluation(experiment, ROW)
  title, *metrics, protocol = capsys.readouterr().out.strip().split('\n')
  assert title == 'held_out at step 4'
  words = [line.split() for line in metrics]
  assert words == [
    ['loss', '1.235', 'memoryless', '0.6498'],  # 10 ln 8 / 32
    ['accuracy', '0.5000'],
    ['recall', '0.000', 'chance', '0.1250'],
  ]
  ends = {
    line.index(figure) + len(figure)
    for line, figure in zip(metrics, ['1.235', '0.5000', '0.000'], strict=True)
  }
  assert len(ends) == 1, 'figures are in a column'
  assert protocol.strip() == '(segment_length 32; carry_over False)'


def test_replicas_are_a_median_with_least_most_and_number_solved(
  experiment: Experiment, capsys: Any
) -> None:
  recall, loss = np.array([0.0, 0.5, 1.0]), np.ones(3)
  figures = replicas.summary({'recall': recall, 'loss': loss})
  summary.print_evaluation(experiment, ROW | figures)
  line = capsys.readouterr().out.splitlines()[3]
  seeds = 'median of 3 seeds (0.000 to 1.000, 1 solved)'
  assert ' '.join(line.split()) == f'recall 0.5000 {seeds}, chance 0.1250'
  figures = replicas.summary(
    {'recall': recall, 'loss': np.array([1, np.nan, 1])}
  )
  summary.print_evaluation(experiment, ROW | figures)
  assert 'median of 2 of 3 seeds (1.000 to 1.000)' in capsys.readouterr().out


def test_a_summary_is_80_columns_wide(
  experiment: Experiment, capsys: Any
) -> None:
  three = np.array([0.0, 0.5, 1.0])
  names = ('recall', 'loss', 'a_metric_with_a_long_name')
  figures = replicas.summary(dict.fromkeys(names, three))
  summary.print_evaluation(experiment, ROW | figures)
  lines = capsys.readouterr().out.splitlines()
  assert max(map(len, lines)) <= 80
  assert any(line.startswith(' ' * 40 + 'memoryless') for line in lines)


def test_the_summary_has_the_last_figures_and_the_files(
  experiment: Experiment, workdir: Path, capsys: Any
) -> None:
  summary.summarise(experiment, workdir)
  output = capsys.readouterr().out
  assert output.count('held_out at step 4') == 1
  assert 'step 2' not in output
  assert 'train' not in output
  end = f'Everything is in {workdir}: metrics.jsonl'
  assert ' '.join(output.split()).endswith(end)
  summary.draw(experiment, workdir, NullWriter())
  summary.summarise(experiment, workdir)
  output = capsys.readouterr().out
  end += ', figures/learning_curve.png'
  assert ' '.join(output.split()).endswith(end)
  assert output.endswith('.png\n')


def test_a_figure_that_cannot_be_drawn_is_one_line(
  experiment: Experiment,
  workdir: Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  def fail(*args: Any) -> None:
    raise ValueError('no such font\nin a long traceback')

  monkeypatch.setattr(summary, 'learning_curve', fail)
  summary.draw(experiment, workdir, NullWriter())
  output = capsys.readouterr().err
  path = workdir / 'figures/learning_curve.png'
  assert output == f'{path}: not drawn: no such font\n'


@pytest.mark.slow
def test_a_run_ends_without_its_figure_and_evaluates_as_before(
  experiment: Experiment, tmp_path: Path, capsys: Any
) -> None:
  (tmp_path / 'figures').write_text('in the way')
  assert train(experiment, tmp_path, summary.draw)
  assert 'figures' in capsys.readouterr().err
  summary.summarise(experiment, tmp_path)
  output, _, files = capsys.readouterr().out.partition('\nEverything is in')
  assert 'checkpoints' in files
  assert 'learning_curve' not in files

  assert evaluate(experiment.config, tmp_path) == 0
  kept = f'  kept in {tmp_path / "metrics.jsonl"}\n'
  assert capsys.readouterr().out == output + kept

  other = small('copy_memory', 'lstm', SMALL | {'model.width': 8})
  with pytest.raises(ConfigError, match=r'model\.width was 16, is 8'):
    evaluate(other.config, tmp_path)
  path = tmp_path / 'interface.json'
  interface = json.loads(path.read_text())
  path.write_text(json.dumps(interface | {'tokenizer': {'kind': 'bytes'}}))
  with pytest.raises(ConfigError, match='has another input, output or tok'):
    evaluate(experiment.config, tmp_path)


def test_evaluating_on_nothing_is_refused(tmp_path: Path) -> None:
  empty = SMALL | {'evals': {}, 'checkpoint.best': ''}
  experiment = small('copy_memory', 'lstm', empty)
  with open_run(experiment, tmp_path):
    pass
  for config in (experiment.config, {}):
    with pytest.raises(ConfigError, match=r'^evals: '):
      evaluate(config, tmp_path)


def test_a_sample_of_a_task_without_text_is_refused_before_training() -> None:
  with pytest.raises(ConfigError, match=r'^log\.sample: 9: no tokenizer'):
    small('copy_memory', 'lstm', {'log.sample': 9, 'log.prompt': 'a'})


def test_a_sample_is_kept_and_reaches_the_writers(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  texts = {}

  class Texts(NullWriter):
    def text(self, name: str, text: str) -> None:
      texts[name] = text

  log = SimpleNamespace(prompt='To', sample=2)
  experiment: Any = SimpleNamespace(log=log, evals={})
  monkeypatch.setattr(summary, 'load', lambda workdir: None)
  monkeypatch.setattr(
    summary, 'sample', lambda run, prompt, tokens: [' be'] * tokens
  )
  summary.draw(experiment, tmp_path, Texts())
  assert texts == {'sample': 'To be be'}
  assert (tmp_path / 'sample.txt').read_text() == 'To be be'
