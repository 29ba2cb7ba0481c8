"""Evaluation sets, written out in full.

A config file writes a set as changes of the run: `{'task': {'length': 64}}` is
the run's task with another length. Here a set becomes a whole description. The
reader, `config.json` and every report see only that.
"""

from collections.abc import Mapping
from typing import Any

from memjax.config.sections import flatten
from memjax.errors import require

PARTS = ('task', 'model')
DEFAULTS = {'name': 'stream.Loss', 'steps': 0}


def merge_sets(config: Mapping[str, Any]) -> dict[str, Any]:
  """The config with every evaluation set in full.

  A set in full is its own result, so the config in `config.json` stays as it
  is.

  Raises:
    ConfigError: a set or a part of it is not a section.
  """
  sets = {
    name: _merge_set(config, f'evals.{name}', changes)
    for name, changes in config['evals'].items()
  }
  return {**config, 'evals': sets}


def reduce_sets(config: Mapping[str, Any]) -> dict[str, Any]:
  """The config with every evaluation set as changes of the run again.

  So a change of the config's task or model, made afterwards, reaches the sets.
  `merge_sets` gives back the sets in full.
  """
  sets = {
    name: {
      **whole,
      **{part: _reduce(config[part], whole[part]) for part in PARTS},
    }
    for name, whole in merge_sets(config)['evals'].items()
  }
  return {**config, 'evals': sets}


def changed_fields(config: Mapping[str, Any], name: str) -> dict[str, Any]:
  """A set's fields of task and model that differ from training, by path."""
  trained = flatten({part: config[part] for part in PARTS})
  evaluated = flatten({part: config['evals'][name][part] for part in PARTS})
  return {
    field: value
    for field, value in evaluated.items()
    if field not in trained or trained[field] != value
  }


def _merge_set(
  config: Mapping[str, Any], field: str, changes: Any
) -> dict[str, Any]:
  rule = 'must be a section with fields'
  require(isinstance(changes, Mapping), field, changes, rule)
  whole = {**DEFAULTS, **changes}
  for part in PARTS:
    of_part = whole.get(part, {})
    require(isinstance(of_part, Mapping), f'{field}.{part}', of_part, rule)
    whole[part] = _merge(config[part], of_part)
  return whole


def _merge(
  base: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
  """The base with the changes; another class takes no field of the base."""
  another = 'name' in changes and changes['name'] != base.get('name')
  merged = {} if another else dict(base)
  for key, value in changes.items():
    below = merged.get(key)
    if isinstance(value, Mapping):
      value = _merge(below if isinstance(below, Mapping) else {}, value)
    merged[key] = value
  return merged


def _reduce(
  base: Mapping[str, Any], whole: Mapping[str, Any]
) -> dict[str, Any]:
  """The changes that `_merge` makes the whole from."""
  if whole.get('name') != base.get('name'):
    return dict(whole)
  changes: dict[str, Any] = {}
  for key, value in whole.items():
    below = base.get(key)
    if isinstance(value, Mapping) and isinstance(below, Mapping):
      value = _reduce(below, value)
      if not value:
        continue
    elif key in base and below == value:
      continue
    changes[key] = value
  return changes
