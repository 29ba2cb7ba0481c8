"""A config in, a checked Experiment out, before anything is compiled."""

from collections.abc import Collection, Mapping
import math
from typing import Any

from memjax.config import merge
from memjax.config.build import (
  build_evaluation,
  build_model,
  build_task,
  construct,
)
from memjax.config.experiment import Experiment
from memjax.config.parallel import Parallel
from memjax.config.sections import SECTIONS, flatten
from memjax.data.tokenizer import Tokenizer
from memjax.errors import ConfigError, nearest, require
from memjax.evaluation.base import Evaluation
from memjax.models.base import Model
from memjax.tasks.base import Task


def read_experiment(
  config: Mapping[str, Any],
  tokenizer: Tokenizer | None = None,
  sets: Collection[str] | None = None,
) -> Experiment:
  """Builds every part a config names.

  The text of every evaluation set is encoded with the training task's
  tokenizer.

  Args:
    config: nested mappings with the sections seed, model, task, train, optim,
      adapt, evals, checkpoint, parallel and log.
    tokenizer: that of a trained model, from its `interface.json`. It encodes
      the text of the training task too. None: the training task fits its own,
      or has no text.
    sets: evaluation sets whose data are read; the training data and those of
      other sets need not exist. None: all data are read.

  Raises:
    ConfigError: a field is unknown, missing, of the wrong type or breaks a
      rule; the message names it.
  """
  config = _plain(config)
  known = {'seed', 'model', 'task', 'evals', *SECTIONS}
  for name in config:
    rule = f'no such section; {nearest(name, known)}'
    require(name in known, name, config[name], rule)
  for name in sorted(known):
    require(name in config, name, '', 'this section must be given')
  config = merge.merge_sets(config)
  _check_numbers(config)
  seed = config['seed']
  require(
    isinstance(seed, int) and seed < 2**32,
    'seed',
    seed,
    'must be a whole number below 2^32: jax takes no more',
  )
  task = prepare_task(config['task'], tokenizer, read=sets is None)
  sections = {
    name: construct(cls, config[name], name) for name, cls in SECTIONS.items()
  }
  last = seed + sections['train'].replicas - 1
  rule = f'the last replica would have seed {last}, not below 2^32'
  require(last < 2**32, 'train.replicas', sections['train'].replicas, rule)
  return Experiment(
    config=config,
    seed=seed,
    task=task,
    model=_model(config, config['model'], task, read=sets is None),
    evals={
      name: _evaluation(config, name, task, sets is None or name in sets)
      for name, spec in config['evals'].items()
      if not ('every' in spec and spec['every'] == 0)
    },
    **sections,
  )


def read_parallel(config: Mapping[str, Any]) -> Parallel:
  """The parallel section alone: the processes of a run join before all else.

  Raises:
    ConfigError: a field is unknown, missing, of the wrong type or breaks a
      rule; the message names it.
  """
  rule = 'this section must be given'
  require('parallel' in config, 'parallel', '', rule)
  section = _plain(config)['parallel']
  _check_numbers({'parallel': section})
  return construct(Parallel, section, 'parallel')


def prepare_task(
  spec: Mapping[str, Any],
  tokenizer: Tokenizer | None = None,
  *,
  read: bool = True,
) -> Task:
  """The task that a config's `task` section names, its data read and checked.

  Args:
    spec: the section.
    tokenizer: encodes the task's text; None: the task fits its own.
    read: False leaves the data until they are needed.

  Raises:
    ConfigError: a field is wrong, or the data do not fit it.
  """
  task = build_task(spec)
  try:
    if tokenizer is not None:
      task = task.with_tokenizer(tokenizer)
    if read:
      task.prepare()
  except ConfigError as error:
    raise error.within('task') from None
  return task


def _model(
  config: Mapping[str, Any], spec: Mapping[str, Any], task: Task, *, read: bool
) -> Model:
  """The model of a spec for a task, as `train.remat` wants it.

  Where the task's data are `read`, its sources must fit the model.
  """
  model = build_model(spec, task.input_spec, task.output_spec)
  if read and (most := model.longest_source):
    rule = f'the task has a source of {task.longest_source} steps, and the '
    rule += 'model reads no longer one than this'
    fits = task.longest_source <= most
    require(fits, 'model.source_length', most, rule)
  rule = f'reads later inputs, and those of {config["task"]["name"]} may be '
  rule += 'the answers: use a causal memory'
  hidden = model.causal or not task.labels_are_inputs
  require(hidden, 'model', spec['name'], rule)
  late, due = model.answer_delay, task.label_delay
  rule = f'answers {late} steps late, and the labels of the task come {due} '
  rule += f'steps late: wrap the task in delayed.Delayed with steps={late}'
  require(late == due, 'model', spec['name'], rule)
  try:
    return model.with_remat(config['train']['remat'])
  except ConfigError as error:
    raise error.within('train') from None


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  return {
    key: _plain(value) if isinstance(value, Mapping) else value
    for key, value in config.items()
  }


def _check_numbers(config: Mapping[str, Any]) -> None:
  numbers = flatten(config).items()
  for field, value in sorted(numbers, key=lambda one: 'evals.' in one[0]):
    if isinstance(value, int):
      require(value < 2**63, field, value, 'must be below 2^63')
    if isinstance(value, int | float):
      require(math.isfinite(value), field, value, 'must be a finite number')
      require(value >= 0, field, value, 'must not be negative')


def _evaluation(
  config: dict[str, Any], name: str, trained: Task, read: bool
) -> Evaluation:
  """An evaluation set, whose description is whole; `read`: with its data."""
  field = f'evals.{name}'
  require(name != 'train', field, name, 'is the name of the training metrics')
  spec = dict(config['evals'][name])
  parts = {part: spec.pop(part) for part in merge.PARTS}
  try:
    task = prepare_task(parts['task'], trained.text_tokenizer, read=read)
    known = task.text_tokenizer in (None, trained.text_tokenizer)
    rule = 'has text of another tokenizer than the training task'
    require(known, 'task', parts['task']['name'], rule)
    require(
      (task.input_spec, task.output_spec)
      == (trained.input_spec, trained.output_spec),
      'task',
      parts['task']['name'],
      f'reads {task.input_spec} and answers {task.output_spec}, the training '
      f'task {trained.input_spec} and {trained.output_spec}',
    )
    model = _model(config, parts['model'], task, read=read)
  except ConfigError as error:
    raise error.within(field) from None
  given = {
    'task': task,
    'model': model,
    'set_name': name,
    'fields': flatten(parts),
    'changes': merge.changed_fields(config, name),
  }
  return build_evaluation(spec, field, given)
