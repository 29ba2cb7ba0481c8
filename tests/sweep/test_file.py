"""A sweep file is wandb's: its agent starts what is started here without it."""

from collections.abc import Mapping
import math
from pathlib import Path
import sys
from typing import Any

from absl import flags
import pytest
from wandb import wandb_agent
import yaml

from memjax.config import command_line
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError
from memjax.sweep.check import check, samples
from memjax.sweep.file import Hyperband, read_sweep
from memjax.sweep.parameters import Range, Scalar, Values
from tests.sweep.tiny import sweep

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / 'experiments' / 'sweeps').glob('*.yaml'))


@pytest.fixture(autouse=True)
def wandb_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
  """What wandb's agent changes is set back, and its files lie elsewhere."""
  monkeypatch.chdir(ROOT)
  monkeypatch.setenv('WANDB_DIR', str(tmp_path))
  for name in ('RUN_ID', 'SWEEP_ID', 'SWEEP_PARAM_PATH'):
    monkeypatch.setenv(f'WANDB_{name}', 'set back')


def started_by_wandb(
  file: Path, values: Mapping[str, Scalar], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Mapping[str, str]]:
  """Command and environment of a run that wandb's server hands out."""
  content = yaml.safe_load(file.read_text())
  seen: dict[str, Any] = {}

  class Process:
    def __init__(self, **given: Any):
      seen.update(given)

  monkeypatch.setattr(wandb_agent, 'AgentProcess', Process)
  agent = wandb_agent.Agent(api=None, queue=None, sweep_id='s1')
  agent._sweep_command = content['command']
  answer = agent._process_command(
    {
      'type': 'run',
      'run_id': 'r7',
      'program': content['program'],
      'args': {name: {'value': value} for name, value in values.items()},
    }
  )
  assert 'exception' not in answer, answer
  return seen['command'], seen['env']


def parsed(
  words: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], str]:
  """Config and name of a command line, with flags as of a new process."""
  new = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', new)
  flags.DEFINE_string('config', '', 'the config', flag_values=new)
  return command_line.parse(words)


@pytest.mark.fast_cases(1)
@pytest.mark.filterwarnings('ignore:.*load_module:DeprecationWarning')
@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_wandb_starts_what_is_started_here(
  file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  read_file = read_sweep(file)
  check(read_file, file)
  for values in samples(read_file):
    command, environment = started_by_wandb(file, values, monkeypatch)
    env, python, *words = command
    assert (env, python) == ('/usr/bin/env', 'python')
    assert read_file.command(values) == [env, sys.executable, *words]
    config, name = parsed(words, monkeypatch)
    assert name.endswith('-' + environment['WANDB_RUN_ID'])
    experiment = read_experiment(config)
    split, _, _ = read_file.metric.partition('/')
    assert split in experiment.evals
    for flag, value in values.items():
      field: Any = {'config': experiment.config}
      for part in flag.split('.'):
        field = field[part]
      assert field == value


def test_the_three_methods_have_an_example() -> None:
  assert {read_sweep(file).method for file in FILES} == {
    'grid',
    'random',
    'bayes',
  }


def read_one(tmp_path: Path, spec: Mapping[str, Any]) -> Values | Range:
  file = sweep(tmp_path, {'method': 'random', 'run_cap': 4}, clip=spec)
  return read_sweep(file).parameters['config.clip']


@pytest.mark.parametrize(
  ('spec', 'expected'),
  [
    ({'value': 'a'}, Values(('a',))),
    ({'values': [True, False]}, Values((True, False))),
    ({'distribution': 'categorical', 'values': [1]}, Values((1,))),
    ({'min': 1, 'max': 3}, Range(1, 3)),
    ({'min': 1, 'max': 3.0}, Range(1.0, 3.0)),
    ({'distribution': 'uniform', 'min': 1, 'max': 3}, Range(1.0, 3.0)),
    (
      {'distribution': 'log_uniform', 'min': 0, 'max': 2},
      Range(1.0, math.exp(2), log=True),
    ),
    (
      {'distribution': 'log_uniform_values', 'min': 1, 'max': 100},
      Range(1.0, 100.0, log=True),
    ),
    (
      {'distribution': 'q_uniform', 'min': 10, 'max': 95, 'q': 20},
      Range(20, 80, step=20),
    ),
  ],
)
def test_parameters_mean_what_wandb_means(
  tmp_path: Path, spec: Mapping[str, Any], expected: Values | Range
) -> None:
  assert read_one(tmp_path, spec) == expected
  assert list(map(type, read_one(tmp_path, spec))) == list(map(type, expected))


@pytest.mark.parametrize(
  ('spec', 'expected'),
  [
    ({'min_iter': 2}, Hyperband(2, 0, 3)),
    ({'max_iter': 27, 's': 2}, Hyperband(3, 27, 3)),
    ({'min_iter': 2, 'max_iter': 32, 'eta': 4}, Hyperband(2, 32, 4)),
  ],
)
def test_hyperband_means_what_wandb_means(
  tmp_path: Path, spec: Mapping[str, int], expected: Hyperband
) -> None:
  early = {'type': 'hyperband', **spec}
  assert (
    read_sweep(sweep(tmp_path, {'early_terminate': early})).hyperband
    == expected
  )


def test_nested_parameters_are_dotted_names(tmp_path: Path) -> None:
  inner = {'train': {'parameters': {'steps': {'values': [1, 2]}}}}
  nested = {'parameters': {'config': {'parameters': inner}}}
  file = sweep(tmp_path, nested)
  check(read_sweep(file), file)
  assert [*read_sweep(file).parameters] == ['config.train.steps']


def test_a_parameter_that_sets_no_field_is_named(tmp_path: Path) -> None:
  bare = {'parameters': {'learning_rate': {'values': [0.1, 0.2]}}}
  words = ['parameters.learning_rate', 'write config. before it']
  assert_named(sweep(tmp_path, bare), words)


def assert_named(file: Path, words: list[str]) -> None:
  """The file is refused in a line that has these words."""
  with pytest.raises(ConfigError) as error:
    check(read_sweep(file), file)
  line = str(error.value)
  assert line.startswith(f'{file}: ')
  assert '\n' not in line
  for word in words:
    assert word in line


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'program': 'lunch.py'}, ['program', 'lunch.py', 'does not exist']),
    ({'method': 'tpe'}, ['method', 'tpe', 'grid, random, bayes']),
    ({'method': 'random'}, ['run_cap', 'number of trials: random']),
    ({'run_cap': 0}, ['run_cap', '0', 'at least 1']),
    ({'metric': {'name': 'loss'}}, ['metric.name', 'loss', 'SET/METRIC']),
    ({'metric': {'name': 'held/loss'}}, ['held/loss', 'mean held_out?']),
    ({'metric': {'target': 1}}, ['metric.target', '1', 'not supported']),
    ({'methud': 'grid'}, ['methud', 'did you mean method?']),
    ({'command': ['${args_no_hyphens}']}, ['command', '${args_no_hyphens}']),
    ({'command': ['${program}']}, ['command', 'must contain ${args}']),
    ({'command': ['--workdir=a']}, ['command', '--workdir=a', 'its own']),
    ({'parameters': {}}, ['parameters', '{}']),
    ({'early_terminate': {'type': 'envelope'}}, ['envelope', 'hyperband']),
    ({'early_terminate': {'type': 'hyperband'}}, ['needs min_iter']),
  ],
)
def test_a_mistake_is_named(
  tmp_path: Path, changes: Mapping[str, Any], words: list[str]
) -> None:
  assert_named(sweep(tmp_path, changes), words)


@pytest.mark.parametrize(
  ('name', 'spec', 'words'),
  [
    ('model__layer', {'parameters': {}}, ['config.model.layer', 'a.b']),
    ('model__heads', {'value': 3}, ['model.heads', 'no such field']),
    ('model__layer', {'value': 3}, ['replaces a whole section']),
    ('seed', {'values': [1, 1]}, ['seed.values', 'duplicates']),
    ('seed', {'values': [[1]]}, ['seed.values', '[1]', 'number']),
    ('seed', {'min': 1, 'max': 3}, ['seed', 'grid takes no ranges']),
    ('seed', {'min': 3, 'max': 1}, ['seed.max', '1', 'above min 3']),
    ('seed', {'min': '1e-4', 'max': 1}, ['seed.min', '1e-4', '1.0e-4']),
    ('seed', {'min': 1}, ['seed', 'both min and max']),
    ('seed', {}, ['seed', '{}', 'exactly one of: value']),
    (
      'seed',
      {'value': 1, 'min': 1, 'max': 2},
      ['seed', 'exactly one of: value'],
    ),
    (
      'seed',
      {'distribution': 'beta', 'min': 1, 'max': 2},
      ['beta', 'is not supported; use uniform, '],
    ),
    ('seed', {'distribution': 'uniform', 'value': 2}, ['uniform']),
    ('seed', {'min': 1, 'max': 4, 'q': 2}, ['seed.q', 'q_uniform only']),
    (
      'seed',
      {'distribution': 'log_uniform_values', 'min': 0, 'max': 1},
      ['seed.min', 'above 0'],
    ),
    (
      'seed',
      {'distribution': 'q_uniform', 'min': 1, 'max': 3, 'q': 2},
      ['seed.q', '2', 'two multiples'],
    ),
  ],
)
def test_a_mistake_in_a_parameter_is_named(
  tmp_path: Path, name: str, spec: Mapping[str, Any], words: list[str]
) -> None:
  assert_named(sweep(tmp_path, {}, **{name: spec}), words)


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('a: [', 'is not valid YAML'),
    ('', 'must be a YAML mapping'),
    ('- a', 'must be a YAML mapping'),
  ],
)
def test_a_file_that_is_none_is_named(
  tmp_path: Path, text: str, words: str
) -> None:
  file = tmp_path / 'a.yaml'
  with pytest.raises(ConfigError, match='No such file'):
    read_sweep(file)
  file.write_text(text)
  with pytest.raises(ConfigError, match=words):
    read_sweep(file)
