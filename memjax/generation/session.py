"""Text that a trained model continues, and the file that saves its memory.

    session = prefill(run, 'def ')
    for piece, session in stream(run, session, 200):
      print(piece, end='')

A `Session` is a value: what follows depends on nothing else. A text that is
saved and continued equals the uninterrupted one bit for bit.
"""

from collections.abc import Iterator
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from memjax.data.tokenizers import Characters, Tokenizer
from memjax.errors import ConfigError, require
from memjax.generation import decode
from memjax.generation.decode import State
from memjax.generation.sampler import UNFILTERED, SamplerConfig
from memjax.runs.load import Run
from memjax.runs.workdir import differences

CHARACTER_BYTES = 4  # at most, so a character has at most this many tokens

log = logging.getLogger(__name__)


class Session(NamedTuple):
  """A text in progress.

  Attributes:
    state: all that the tokens to come depend on.
    tail: the last tokens, which include those of an unfinished character.
  """

  state: State
  tail: tuple[int, ...]


def prefill(run: Run, prompt: str | bytes, seed: int = 0) -> Session:
  """The session after a prompt.

  Raises:
    ConfigError: the run's task is not text, its model is not causal, the prompt
      is empty or cannot be encoded, or the seed is out of range.
  """
  ids = _encode(run, prompt)
  state = decode.prefill(run.model, run.params, ids, seed)
  return Session(state, _tail(ids))


def extend(run: Run, session: Session, text: str | bytes) -> Session:
  """The session after this text is appended.

  Raises:
    ConfigError: the text cannot be encoded.
  """
  ids = _encode(run, text)
  state = decode.extend(run.model, run.params, session.state, ids)
  return Session(state, _tail([*session.tail, *ids]))


def with_seed(session: Session, seed: int) -> Session:
  """The session with another seed for the tokens to come.

  Raises:
    ConfigError: the seed is negative or too large.
  """
  state = session.state._replace(key=decode.key_of(seed))
  return session._replace(state=state)


def stream(
  run: Run,
  session: Session,
  length: int,
  config: SamplerConfig = UNFILTERED,
) -> Iterator[tuple[str, Session]]:
  """Generates `length` tokens, as pieces of text.

  A character is in the piece of its last byte, so a piece may be empty.

  Returns:
    For each piece, the session after it.

  Raises:
    ConfigError: the length is below 1.
  """
  blocks = decode.generate(run.model, run.params, session.state, length, config)
  return _decode_blocks(_tokenizer(run), session.tail, blocks)


def sample(
  run: Run, prompt: str, length: int, temperature: float, seed: int
) -> Iterator[str]:
  """Pieces of text that follow the prompt, `length` tokens together."""
  session = prefill(run, prompt, seed)
  for piece, _ in stream(run, session, length, SamplerConfig(temperature)):
    yield piece


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
  symbols = json.dumps(_tokenizer(run).to_json()).encode()
  return {
    'model': run.config['model'],
    'step': run.step,
    'parameters': digest.hexdigest()[:16],
    'tokenizer': hashlib.sha256(symbols).hexdigest()[:16],
  }


def _decode_blocks(
  tokenizer: Tokenizer,
  tail: tuple[int, ...],
  blocks: Iterator[tuple[np.ndarray, State]],
) -> Iterator[tuple[str, Session]]:
  decode_token = tokenizer.decoder()
  for token in tail:  # shown before; the last ones may start a character
    decode_token(token)
  for tokens, state in blocks:
    ids = tokens.tolist()
    tail = _tail([*tail, *ids])
    yield ''.join(map(decode_token, ids)), Session(state, tail)


def _tail(ids: Any) -> tuple[int, ...]:
  return tuple(int(i) for i in ids[-CHARACTER_BYTES:])


def _tokenizer(run: Run) -> Tokenizer:
  if run.tokenizer is None:
    name = run.config['task']['name']
    rule = 'is not a text task; only text can be sampled'
    raise ConfigError('task.name', name, rule)
  return run.tokenizer


def _encode(run: Run, text: str | bytes) -> np.ndarray:
  """The text's tokens; characters outside the vocabulary are logged."""
  tokenizer = _tokenizer(run)
  try:  # a terminal hands undecodable bytes over as surrogates
    if isinstance(text, str):
      text = text.encode(errors='surrogateescape')
    ids = tokenizer.encode(text)
    if isinstance(tokenizer, Characters) and tokenizer.unknown in ids:
      unknown = ''.join(sorted({*text.decode()} - {*tokenizer.symbols}))
      log.warning('prompt: %r: characters not in the vocabulary', unknown)
    return ids
  except (UnicodeEncodeError, UnicodeDecodeError) as error:
    invalid = error.object[error.start : error.end]
    rule = f'is not UTF-8, at byte {error.start}'
    raise ConfigError('prompt', invalid, rule) from None
