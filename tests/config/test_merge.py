"""A set is written as changes and read as a whole description, once."""

from pathlib import Path
from typing import Any

from absl import flags
import pytest

from memjax.config.command_line import parse
from memjax.config.merge import changed_fields, merge_sets
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError
from memjax.runs.workdir import read_config
from memjax.training.loop import train
from tests.small import small

LSTM = {'name': 'lstm.LSTM', 'width': 8}
CONFIG: dict[str, Any] = {
  'task': {'name': 'mqar.MQAR', 'length': 64, 'pairs': 4},
  'model': {'name': 'stack.Stack', 'layer': LSTM, 'depth': 2},
  'evals': {
    'same': {'every': 5},
    'longer': {
      'steps': 3,
      'task': {'length': 128},
      'model': {'layer': {'width': 9}},
    },
    'other': {
      'name': 'generation.ExactMatch',
      'task': {'name': 'adding.Adding', 'length': 7},
      'model': {'layer': {'name': 'gru.GRU'}},
    },
  },
}


def test_a_set_becomes_the_run_with_its_changes() -> None:
  sets = merge_sets(CONFIG)['evals']
  same, longer, other = sets['same'], sets['longer'], sets['other']
  assert same == {
    'name': 'stream.Loss',
    'every': 5,
    'steps': 0,
    'task': CONFIG['task'],
    'model': CONFIG['model'],
  }
  assert longer['steps'] == 3
  assert longer['task'] == CONFIG['task'] | {'length': 128}
  assert longer['model'] == CONFIG['model'] | {'layer': LSTM | {'width': 9}}
  assert other['name'] == 'generation.ExactMatch'
  assert other['task'] == {'name': 'adding.Adding', 'length': 7}
  assert other['model'] == CONFIG['model'] | {'layer': {'name': 'gru.GRU'}}


def test_merging_changes_neither_its_input_nor_a_merged_config() -> None:
  before = repr(CONFIG)
  merged = merge_sets(CONFIG)
  assert repr(CONFIG) == before
  assert merge_sets(merged) == merged


def test_the_fields_that_differ_from_training_are_found() -> None:
  merged = merge_sets(CONFIG)
  assert changed_fields(merged, 'same') == {}
  assert changed_fields(merged, 'longer') == {
    'task.length': 128,
    'model.layer.width': 9,
  }
  assert changed_fields(merged, 'other') == {
    'task.name': 'adding.Adding',
    'task.length': 7,
    'model.layer.name': 'gru.GRU',
  }


@pytest.mark.parametrize('part', ['task', 'model'])
def test_a_value_that_is_not_a_section_is_one_line(part: str) -> None:
  for field, sets in (
    ('evals.same', {'same': 3}),
    (f'evals.same.{part}', {'same': {part: 3}}),
  ):
    with pytest.raises(ConfigError) as error:
      merge_sets(CONFIG | {'evals': sets})
    assert str(error.value) == f'{field}: 3: must be a section with fields'


@pytest.mark.slow
def test_config_json_holds_whole_sets_and_reads_as_the_same_run(
  tmp_path: Path,
) -> None:
  options = {'train.steps': 1, 'parallel.data': 1, 'evals.twice.steps': 1}
  experiment = small('adding', 'rnn', options)
  assert train(experiment, tmp_path, lambda *run: None)
  config = read_config(tmp_path)
  twice = config['evals']['twice']
  assert twice['task'] == config['task'] | {'length': 24}
  assert twice['model'] == config['model']
  assert twice['name'] == 'stream.Loss'
  assert read_experiment(config) == experiment


def test_any_field_of_a_set_can_be_set_on_the_command_line(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  own = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', own)
  flags.DEFINE_string('config', '', 'the config', flag_values=own)
  config, _ = parse(
    [
      *('launch.py', '--config=configs/adding.py:lstm,quick'),
      *('--config.task.length=20', '--config.evals.twice.model.depth=2'),
      '--config.evals.held_out.name=generation.ExactMatch',
    ]
  )
  sets = merge_sets(config)['evals']
  assert config['task']['length'] == 20
  assert sets['held_out']['name'] == 'generation.ExactMatch'
  assert sets['held_out']['task']['length'] == 20
  assert sets['twice']['task']['length'] == 40
  assert sets['held_out']['model'] == config['model']
  assert sets['twice']['model'] == config['model'] | {'depth': 2}


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    ('evals.longer.model.depht=3', "evals.longer.model.depht: '3': no such"),
    ('evals.longer.task=3', "evals.longer.task: '3': replaces a whole section"),
    ('evals.shorter.task.length=3', 'evals.shorter: '),
  ],
)
def test_a_wrong_field_of_a_set_is_one_line(given: str, words: str) -> None:
  with pytest.raises(ConfigError) as error:
    override(CONFIG, [f'--config.{given}'])
  assert str(error.value).startswith(words)
