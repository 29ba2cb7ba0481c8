"""A trained model in one file, `weights.safetensors`.

The format is that of https://huggingface.co/docs/safetensors: names, shapes and
arrays, which many programs read. An array's name is its path in the parameters,
`layer_0.memory.kernel`. The file's metadata hold what memjax needs to build the
model again, as JSON:

    memjax     the version that wrote the file
    config     the config of the run
    interface  what the model reads and answers, and its tokenizer
    step       the number of optimiser steps taken
    metrics    the figures measured at this step
    sha256     over all arrays, in the order of their names
"""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from memjax import __version__
from memjax.errors import ConfigError, require
from memjax.types import Params

SUFFIX = '.safetensors'
FIELDS = ('config', 'interface', 'step', 'metrics')


class Export(NamedTuple):
  """What a file holds.

  Attributes:
    params: the parameters, as nested dicts of numpy arrays.
    config: the config of the run.
    interface: the content of `interface.json`.
    step: number of optimiser steps taken.
    metrics: figures measured at this step.
  """

  params: Params
  config: dict[str, Any]
  interface: dict[str, Any]
  step: int
  metrics: dict[str, Any]


def write_export(path: Path, export: Export) -> None:
  """Writes the file whole, or not at all.

  Raises:
    ConfigError: the file cannot be written.
  """
  from safetensors.numpy import save

  leaves = jax.tree_util.tree_leaves_with_path(export.params)
  arrays = {
    jax.tree_util.keystr(place, simple=True, separator='.'): np.asarray(leaf)
    for place, leaf in leaves
  }
  fields = {name: json.dumps(getattr(export, name)) for name in FIELDS}
  fields |= {'memjax': __version__, 'sha256': digest(arrays)}
  partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
  try:
    with partial.open('wb') as file:
      file.write(save(arrays, fields))
      file.flush()
      os.fsync(file.fileno())
    partial.replace(path)
  except OSError as error:
    partial.unlink(missing_ok=True)
    rule = f'cannot be written: {error.strerror}'
    raise ConfigError('output', str(path), rule) from None


def read_export(path: Path) -> Export:
  """The content of a file of `write_export`.

  Raises:
    ConfigError: the file cannot be read, is damaged, or was not written by
      memjax.
  """
  from safetensors import SafetensorError, safe_open

  try:
    with safe_open(path, 'numpy') as file:
      fields = file.metadata() or {}
      names = file.keys()
      arrays = {name: file.get_tensor(name) for name in names}
  except OSError as error:
    raise ConfigError('weights', str(path), str(error)) from None
  except SafetensorError as error:
    raise ConfigError('weights', str(path), f'is damaged: {error}') from None
  rule = 'was not written by memjax: its metadata hold no config'
  require('sha256' in fields, 'weights', str(path), rule)
  same = digest(arrays) == fields['sha256']
  require(same, 'weights', str(path), 'is damaged: it differs from its hash')
  params: dict[str, Any] = {}
  for name, array in arrays.items():
    *parents, leaf = name.split('.')
    here = params
    for parent in parents:
      here = here.setdefault(parent, {})
    here[leaf] = array
  return Export(params, *(json.loads(fields[name]) for name in FIELDS))


def digest(arrays: Mapping[str, np.ndarray]) -> str:
  """SHA-256 over the arrays' bytes, in the order of their names."""
  total = hashlib.sha256()
  for name in sorted(arrays):
    total.update(arrays[name].tobytes())
  return total.hexdigest()
