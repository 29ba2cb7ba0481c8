"""The file that saves a session: the memory after a text, and what follows.

A text that is saved and continued equals the uninterrupted one bit for bit.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import ConfigError, require
from memjax.generation.decode import State
from memjax.generation.session import Session, tokenizer_of
from memjax.runs.load import Run
from memjax.runs.workdir import differences


def save(path: str | Path, run: Run, session: Session) -> None:
  """Saves a session of this run in a file, whole or not at all.

  Raises:
    ConfigError: the file cannot be written.
  """
  path, (carry, token, key) = Path(path), session.state
  arrays: dict[str, Any] = {
    'identity': np.array(json.dumps(identity(run))),
    'tail': np.array(session.tail, np.int32),
    'token': np.asarray(token),
    'key': np.asarray(jax.random.key_data(key)),
  }
  for i, leaf in enumerate(jax.tree.leaves(carry)):
    arrays[f'carry{i}'] = np.asarray(leaf)
  partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
  try:
    with partial.open('wb') as file:
      np.savez(file, **arrays)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(path)
  except OSError as error:
    partial.unlink(missing_ok=True)
    rule = f'cannot be written: {error.strerror}'
    raise ConfigError('carry', str(path), rule) from None


def load(path: str | Path, run: Run) -> Session:
  """The session of this run that `save` wrote.

  Raises:
    ConfigError: the file cannot be read, is damaged, or belongs to a run with
      another model, tokenizer, step or other parameters.
  """
  fresh, structure = jax.tree.flatten(run.model.initial_carry(1))
  try:
    with Path(path).open('rb') as file:
      is_zip = zipfile.is_zipfile(file)
      require(is_zip, 'carry', str(path), 'is not a file of --save_carry')
      arrays = dict(np.load(file, allow_pickle=False))
    saved, tail = json.loads(str(arrays['identity'])), arrays['tail'].tolist()
    token, key = jnp.asarray(arrays['token']), arrays['key']
    leaves = [arrays[f'carry{i}'] for i in range(len(arrays) - 4)]
  except ConfigError:
    raise
  except OSError as error:
    raise ConfigError('carry', str(path), f'{error.strerror}') from None
  except Exception as error:  # zipfile and NumPy raise many kinds
    line = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('carry', str(path), f'is damaged: {line}') from None
  differing = differences(saved, identity(run))
  rule = f'belongs to another run: {"; ".join(differing)}'
  require(not differing, 'carry', str(path), rule)
  shapes = [(x.shape, x.dtype) for x in leaves]
  fits = shapes == [(x.shape, x.dtype) for x in fresh]
  require(fits, 'carry', str(path), f'holds other arrays: {shapes}')
  carry = jax.tree.unflatten(structure, map(jnp.asarray, leaves))
  state = State(carry, token, jax.random.wrap_key_data(key))
  return Session(state, tuple(tail))


def identity(run: Run) -> dict[str, Any]:
  """What must be equal for a carry to mean the same to a run."""
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(run.params):
    digest.update(np.asarray(leaf).tobytes())
  symbols = json.dumps(tokenizer_of(run).to_json()).encode()
  return {
    'model': run.config['model'],
    'step': run.step,
    'parameters': digest.hexdigest()[:16],
    'tokenizer': hashlib.sha256(symbols).hexdigest()[:16],
  }
