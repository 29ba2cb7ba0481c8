"""Text that a run goes on with, and the file that its memory is kept in.

    thread = begin(run, 'def ')
    for piece, thread in follow(run, thread, 200):
      print(piece, end='')

A `Thread` is a value: what follows it depends on nothing else, and a text that
is kept in a file and gone on from equals the unbroken one bit for bit.
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
from memjax.generation.sampler import ANY, Choice
from memjax.runs.load import Run
from memjax.runs.workdir import differences

LONGEST = 4  # bytes of a character, so at most as many tokens

log = logging.getLogger(__name__)


class Thread(NamedTuple):
  """A text under way.

  Attributes:
    state: what its tokens to come depend on.
    tail: its last tokens, among them those of an unfinished character.
  """

  state: State
  tail: tuple[int, ...]


def begin(run: Run, prompt: str | bytes, seed: int = 0) -> Thread:
  """A text that begins with the prompt.

  Raises:
    ConfigError: the run's task is not text, the prompt is empty or cannot be
      read, or the seed is out of its range.
  """
  ids = _encode(run, prompt)
  state = decode.begin(run.model, run.params, ids, seed)
  return Thread(state, _tail(ids))


def read(run: Run, thread: Thread, text: str | bytes) -> Thread:
  """The thread with this text added to it.

  Raises:
    ConfigError: the text cannot be read.
  """
  ids = _encode(run, text)
  state = decode.read(run.model, run.params, thread.state, ids)
  return Thread(state, _tail([*thread.tail, *ids]))


def with_seed(thread: Thread, seed: int) -> Thread:
  """The thread with other draws to come.

  Raises:
    ConfigError: the seed is negative or too large.
  """
  state = thread.state._replace(key=decode.key_of(seed))
  return thread._replace(state=state)


def follow(
  run: Run, thread: Thread, length: int, choice: Choice = ANY
) -> Iterator[tuple[str, Thread]]:
  """Pieces of the text that follows, `length` tokens in all, as they come.

  A character comes with its last byte.

  Returns:
    For each piece, which may be empty, the thread after it.

  Raises:
    ConfigError: the length is below 1.
  """
  blocks = decode.generate(run.model, run.params, thread.state, length, choice)
  return _decoded(_tokenizer(run), thread.tail, blocks)


def sample(
  run: Run, prompt: str, length: int, temperature: float, seed: int
) -> Iterator[str]:
  """Pieces of text that follow the prompt, `length` tokens in all."""
  thread = begin(run, prompt, seed)
  for piece, _ in follow(run, thread, length, Choice(temperature)):
    yield piece


def save(path: str | Path, run: Run, thread: Thread) -> None:
  """Keeps a thread of this run in a file, whole or not at all.

  Raises:
    ConfigError: the file cannot be written.
  """
  path, (carry, token, key) = Path(path), thread.state
  arrays: dict[str, Any] = {
    'of': np.array(json.dumps(_of(run))),
    'tail': np.array(thread.tail, np.int32),
    'token': np.asarray(token),
    'key': np.asarray(jax.random.key_data(key)),
  }
  for i, leaf in enumerate(jax.tree.leaves(carry)):
    arrays[f'carry{i}'] = np.asarray(leaf)
  partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
  try:
    with partial.open('wb') as file:
      np.savez(file, **arrays)
    partial.replace(path)
  except OSError as error:
    partial.unlink(missing_ok=True)
    rule = f'cannot be written: {error.strerror}'
    raise ConfigError('carry', str(path), rule) from None


def load(path: str | Path, run: Run) -> Thread:
  """What `save` kept of a thread of this run.

  Raises:
    ConfigError: the file cannot be read, is damaged, or is of a run with
      another model, tokenizer or other parameters.
  """
  fresh, made_of = jax.tree.flatten(run.model.initial_carry(1))
  try:
    with Path(path).open('rb') as file:
      require(zipfile.is_zipfile(file), 'carry', str(path), 'holds no carry')
      kept = dict(np.load(file, allow_pickle=False))
    there, tail = json.loads(str(kept['of'])), kept['tail'].tolist()
    token, key = jnp.asarray(kept['token']), kept['key']
    leaves = [kept[f'carry{i}'] for i in range(len(kept) - 4)]
  except ConfigError:
    raise
  except OSError as error:
    raise ConfigError('carry', str(path), f'{error.strerror}') from None
  except Exception as error:  # of zipfile's and NumPy's many kinds
    said = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('carry', str(path), f'is damaged: {said}') from None
  differing = differences(there, _of(run))
  rule = f'is of another run: {"; ".join(differing)}'
  require(not differing, 'carry', str(path), rule)
  shapes = [(x.shape, x.dtype) for x in leaves]
  fits = shapes == [(x.shape, x.dtype) for x in fresh]
  require(fits, 'carry', str(path), f'holds other arrays: {shapes}')
  carry = jax.tree.unflatten(made_of, map(jnp.asarray, leaves))
  state = State(carry, token, jax.random.wrap_key_data(key))
  return Thread(state, tuple(tail))


def _decoded(
  tokenizer: Tokenizer,
  tail: tuple[int, ...],
  blocks: Iterator[tuple[np.ndarray, State]],
) -> Iterator[tuple[str, Thread]]:
  decode = tokenizer.decoder()
  for token in tail:  # said before; they may leave a character unfinished
    decode(token)
  for tokens, state in blocks:
    ids = tokens.tolist()
    tail = _tail([*tail, *ids])
    yield ''.join(map(decode, ids)), Thread(state, tail)


def _tail(ids: Any) -> tuple[int, ...]:
  return tuple(int(i) for i in ids[-LONGEST:])


def _tokenizer(run: Run) -> Tokenizer:
  if run.tokenizer is None:
    name = run.config['task']['name']
    raise ConfigError('task.name', name, 'is not text: it cannot be sampled')
  return run.tokenizer


def _encode(run: Run, text: str | bytes) -> np.ndarray:
  """The text's tokens; a line in the log where the model knows no such."""
  tokenizer = _tokenizer(run)
  try:  # what no terminal could decode is the bytes it was
    if isinstance(text, str):
      text = text.encode(errors='surrogateescape')
    ids = tokenizer.encode(text)
    if isinstance(tokenizer, Characters) and tokenizer.unknown in ids:
      new = ''.join(sorted({*text.decode()} - {*tokenizer.symbols}))
      log.warning('prompt: %r: characters that no training text had', new)
    return ids
  except (UnicodeEncodeError, UnicodeDecodeError) as error:
    wrong = error.object[error.start : error.end]
    rule = f'is not UTF-8, at {error.start}'
    raise ConfigError('prompt', wrong, rule) from None


def _of(run: Run) -> dict[str, Any]:
  """Whose memory it is: to any other run it would say something else."""
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
