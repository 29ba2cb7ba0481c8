"""`--config.a.b=value` sets any documented field, as the type of its class."""

from typing import Any

from ml_collections import FieldReference
import pytest

from memjax.config.config_file import FOLDER, find_config_file, load_config
from memjax.config.merge import PARTS
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.config.sections import flatten
from memjax.errors import ConfigError


def config_of(name: str, variant: str) -> dict[str, Any]:
  return load_config(find_config_file(name), variant)


def changes(name: str, variant: str, *given: str) -> dict[str, Any]:
  """What the overrides change in the config, by path."""
  config = config_of(name, variant)
  before = flatten(override(config, []))
  after = flatten(override(config, [f'--config.{one}' for one in given]))
  assert flatten(override(config, [])) == before
  return {
    field: value
    for field, value in after.items()
    if field not in before or before[field] != value
  }


@pytest.mark.parametrize(
  ('given', 'field', 'value'),
  [
    ('task.power=1', 'task.power', 1.0),
    ('model.layer.forget_bias=2', 'model.layer.forget_bias', 2.0),
    ('model.tie', 'model.tie', True),
    ('model.pattern=layer', 'model.pattern', 'layer'),
    ('optim.options.b2=0.95', 'optim.options.b2', 0.95),
    ('optim.options.nesterov=True', 'optim.options.nesterov', True),
    ('optim.options.mu_dtype=bfloat16', 'optim.options.mu_dtype', 'bfloat16'),
    ('optim.groups.slow.match=enc', 'optim.groups.slow.match', 'enc'),
    ('optim.groups.slow.frozen=1', 'optim.groups.slow.frozen', True),
    ('evals.twice.task.power=2', 'evals.twice.task.power', 2.0),
    ('evals.twice.model.mlp=4', 'evals.twice.model.mlp', 4.0),
    ('train.steps=30', 'train.steps', 30),
    ('train.init_from=7', 'train.init_from', '7'),
  ],
)
def test_a_field_is_set_as_the_type_of_its_class(
  given: str, field: str, value: Any
) -> None:
  found = changes('mqar', 'lstm', given)
  assert found == {field: value}
  assert type(found[field]) is type(value)


def test_false_is_written_in_two_ways() -> None:
  config = config_of('mqar', 'lstm')
  for given in ('--noconfig.model.share', '--config.model.share=false'):
    assert override(config, [given])['model']['share'] is False


def test_names_are_set_before_the_fields_they_bring() -> None:
  assert changes(
    'mqar',
    'lstm',
    'model.others.a.forget_bias=2',
    'model.others.a.name=lstm.LSTM',
    'optim.schedule_options.halve_every=10',
    'optim.schedule=halving',
  ) == {
    'model.others.a.forget_bias': 2.0,
    'model.others.a.name': 'lstm.LSTM',
    'optim.schedule_options.halve_every': 10,
    'optim.schedule': 'halving',
  }


def test_fields_that_refer_to_another_one_follow_it() -> None:
  variant = 'copy-transformer_xl'
  given = 'task.segments=9'
  assert changes('segments', variant, given) == {
    'task.segments': 9,
    'train.segment_length': 8,
    'train.bptt_segments': 9,
    'model.layer.window': 8,
  }
  assert changes('segments', variant, given, 'train.bptt_segments=3') == {
    'task.segments': 9,
    'train.segment_length': 8,
    'train.bptt_segments': 3,
    'model.layer.window': 8,
  }
  assert changes('lookahead', 'gru-2', 'task.steps=3') == {
    'task.steps': 3,
    'model.layer.steps': 3,
  }
  assert changes('text', 'transformer_xl', 'model.width=64') == {
    'model.width': 64,
    'model.embedding_scale': 8.0,
  }


# One of a series of sets has what training has.
SERIES = {('babilong', 'segments_8'), ('mqar_mixture', 'pairs_64')}


def test_no_set_repeats_what_training_has() -> None:
  """It would keep that value where the command line changes the training's."""
  found = set()
  for file in sorted(FOLDER.glob('*.py')):
    source = file.read_text()
    if 'def get_config(' not in source or 'config.evals' not in source:
      continue
    config = load_config(file, '')
    trained = flatten({part: config[part] for part in PARTS})
    for name, changes in config['evals'].items():
      own = flatten({part: changes.get(part, {}) for part in PARTS})
      values = {k: v for k, v in own.items() if type(v) is not FieldReference}
      if any(trained.get(k, changes) == v for k, v in values.items()):
        found.add((file.stem, name))
  assert found == SERIES


def test_a_whole_number_of_the_config_may_become_a_fraction() -> None:
  config = config_of('mqar', 'lstm')
  config['task']['power'] = 1
  changed = override(config, ['--config.task.power=0.5'])
  assert changed['task']['power'] == 0.5


def test_what_was_set_is_what_is_built() -> None:
  config = override(
    config_of('mqar', 'transformer_xl,quick'),
    [
      *('--config.task.power=1', '--config.model.layer.clamp=3'),
      *('--config.optim.options.b2=0.95', '--config.evals.twice.task.power=2'),
    ],
  )
  experiment: Any = read_experiment(config)
  assert experiment.task.power == experiment.evals['held_out'].task.power == 1
  assert experiment.evals['twice'].task.power == 2
  assert experiment.model.layer.clamp == 3
  assert experiment.optim.options == {'b2': 0.95}


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    ('task.pwer=1', "task.pwer: '1': no such field; did you mean power?"),
    (
      'optim.options.b22=1',
      "options.b22: '1': no such field; did you mean b2?",
    ),
    ('optim.options.mask=1', "optim.options.mask: '1': no such field"),
    ('optim.groups.slow.freeze=1', 'did you mean frozen?'),
    ('optim.schedule_options.x=1', "optim.schedule_options.x: '1': no such"),
    ('model.layer.clamp=3', "model.layer.clamp: '3': no such field"),
    ('model.layer.x.y=3', "model.layer.x: '3': no such field"),
    ('model.input_spec=3', "model.input_spec: '3': no such field"),
    ('task.length.x=3', "task.length.x: '3': task.length is not a section"),
    ('task.power.x=3', "task.power.x: '3': task.power is not a section"),
    ('evals.shorter.steps=2', "evals.shorter: '2': no such field"),
    ('evals.twice.stps=2', "evals.twice.stps: '2': no such field"),
    ('log.wandb.nam=x', "log.wandb.nam: 'x': no such field; did you mean name"),
    ('sed=3', "sed: '3': no such field; did you mean seed?"),
    ('model.layer=3', "model.layer: '3': replaces a whole section"),
    ('model.others.a=3', "model.others.a: '3': replaces a whole section"),
    ('optim.options=3', "optim.options: '3': replaces a whole section"),
    ('train.steps=1e3', "train.steps: '1e3': must be a whole number: 1000"),
    ('train.steps=5.5', "train.steps: '5.5': must be a whole number"),
    ('train.steps=inf', "train.steps: 'inf': must be a whole number"),
    ('train.steps=', "train.steps: '': must be a whole number"),
    ('model.tie=yes', "model.tie: 'yes': must be true or false"),
    ('model.tie=2', "model.tie: '2': must be true or false"),
    ('task.power=x', "task.power: 'x': must be a number, such as 0.1 or 1e-3"),
    ('optim.learning_rate=1e', "optim.learning_rate: '1e': must be a number"),
  ],
)
def test_a_wrong_override_is_one_line(given: str, words: str) -> None:
  with pytest.raises(ConfigError) as error:
    changes('mqar', 'lstm', given)
  assert words in str(error.value)
  assert '\n' not in str(error.value)
