"""The variants of a config, without every pair of a task and a model."""

from collections.abc import Iterable, Mapping
import json
from typing import Any


def covering(variants: Iterable[str]) -> list[str]:
  """A variant for each task and one for each model, the first of each.

  A config of T tasks and L models has T L variants, `task-model`. Another
  variant of a task changes the model only; `test_families.py` holds that.
  """
  seen: set[tuple[str, str]] = set()
  found = []
  for variant in variants:
    task, _, model = variant.rpartition('-')
    parts = {('task', task), ('model', model)}
    if parts - seen:
      found.append(variant)
    seen |= parts
  return found


def kind(spec: Mapping[str, Any]) -> str:
  """A model's spec with each number replaced by whether it is 0."""
  return json.dumps(_without_numbers(spec), sort_keys=True)


def _without_numbers(spec: Mapping[str, Any]) -> dict[str, Any]:
  return {
    key: _without_numbers(value)
    if isinstance(value, Mapping)
    else (value if isinstance(value, str | bool) else bool(value))
    for key, value in spec.items()
  }
