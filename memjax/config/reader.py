"""A config in, a checked Experiment out, before anything is compiled."""

from collections.abc import Mapping
import math
from typing import Any

from memjax.config import experiment, protocol
from memjax.config.build import build_model, build_task, construct
from memjax.config.sections import (
  Checkpoint,
  Log,
  Optim,
  Parallel,
  Train,
  flatten,
)
from memjax.errors import ConfigError, nearest, require
from memjax.models.base import Memory
from memjax.tasks.base import Task

SECTIONS = {
  'train': Train,
  'optim': Optim,
  'checkpoint': Checkpoint,
  'parallel': Parallel,
  'log': Log,
}


def read(config: Mapping[str, Any]) -> experiment.Experiment:
  """Builds every part a config names.

  Args:
    config: nested mappings with the sections seed, model, task, train, optim,
      evals, checkpoint, parallel and log.

  Raises:
    ConfigError: a field is unknown, missing, of the wrong type or breaks a
      rule; the message names it.
  """
  config = _plain(config)
  known = {'seed', 'model', 'task', 'evals', *SECTIONS}
  for name in config:
    require(
      name in known,
      name,
      config[name],
      f'no such section; {nearest(name, known)}',
    )
  for name in sorted(known):
    require(name in config, name, '', 'this section must be given')
  _check_numbers(config)
  seed = config['seed']
  require(
    isinstance(seed, int) and seed < 2**32,
    'seed',
    seed,
    'must be a whole number below 2^32: jax takes no more',
  )
  task = build_task(config['task'])
  model = build_model(config['model'], task.input_spec, task.output_spec)
  sections = {
    name: construct(cls, config[name], name) for name, cls in SECTIONS.items()
  }
  last = seed + sections['train'].replicas - 1
  rule = f'the last replica would have seed {last}, not below 2^32'
  require(last < 2**32, 'train.replicas', sections['train'].replicas, rule)
  return experiment.Experiment(
    config=config,
    seed=seed,
    task=task,
    model=model,
    evals={n: _evaluation(config, n, task, model) for n in config['evals']},
    **sections,
  )


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  return {
    key: _plain(value) if isinstance(value, Mapping) else value
    for key, value in config.items()
  }


def _check_numbers(config: Mapping[str, Any]) -> None:
  for field, value in flatten(config).items():
    if isinstance(value, int | float):
      require(math.isfinite(value), field, value, 'must be a finite number')
      require(value >= 0, field, value, 'must not be negative')


def _evaluation(
  config: dict[str, Any], name: str, trained: Task, trained_model: Memory
) -> experiment.Evaluation:
  """An evaluation set: the training task and model with its changes."""
  field = f'evals.{name}'
  require(name != 'train', field, name, 'is the name of the training metrics')
  spec = dict(config['evals'][name])
  changes = {key: spec.pop(key, {}) for key in ('task', 'model')}
  asked = {k: v for k, v in spec.items() if k in protocol.SWEPT and v}
  try:
    read = protocol.changes(asked, trained, trained_model)
    task_spec, model_spec = (
      _merge(_merge(config[key], changes[key]), read[key])
      for key in ('task', 'model')
    )
    task = build_task(task_spec)
    require(
      (task.input_spec, task.output_spec)
      == (trained.input_spec, trained.output_spec),
      'task',
      dict(changes['task']),
      f'reads {task.input_spec} and answers {task.output_spec}, the training '
      f'task {trained.input_spec} and {trained.output_spec}',
    )
    model = build_model(model_spec, task.input_spec, task.output_spec)
  except ConfigError as error:
    raise protocol.as_asked(error, asked).within(field) from None
  evaluated = flatten({'task': task_spec, 'model': model_spec})
  built = {'task': task, 'model': model, 'evaluated': evaluated}
  built['changes'] = flatten(changes)
  return construct(experiment.Evaluation, spec, field, built)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
  merged = dict(base)
  for key, value in over.items():
    if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
      value = _merge(merged[key], value)
    merged[key] = value
  return merged
