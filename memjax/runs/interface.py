"""`interface.json` of a workdir: what a model has to know of its task.

So a trained model loads without the task's data.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from memjax.data.tokenizers import Tokenizer, from_json
from memjax.runs.json_files import damaged, read_json, require_keys
from memjax.types import Spec, spec_from_json


class Interface(NamedTuple):
  """What a model has to know of its task."""

  input_spec: Spec
  output_spec: Spec
  tokenizer: Tokenizer | None


def read_interface(workdir: Path) -> Interface:
  """What the workdir's model reads and answers.

  Raises:
    ConfigError: the folder is not a workdir, or its interface is damaged.
  """
  path = workdir / 'interface.json'
  record = read_json(path)
  require_keys(path, record, Interface._fields)
  try:
    return interface_from_json(record)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise damaged(path, f'{type(error).__name__}: {error}') from None


def interface_from_json(record: Mapping[str, Any]) -> Interface:
  """The interface of a record that `interface_to_json` returned."""
  tokenizer = record['tokenizer']
  return Interface(
    spec_from_json(record['input_spec']),
    spec_from_json(record['output_spec']),
    tokenizer and from_json(tokenizer),
  )


def interface_to_json(
  input_spec: Spec, output_spec: Spec, tokenizer: Tokenizer | None
) -> dict[str, Any]:
  """The content of `interface.json`."""
  return {
    'input_spec': input_spec.to_json(),
    'output_spec': output_spec.to_json(),
    'tokenizer': tokenizer and tokenizer.to_json(),
  }
