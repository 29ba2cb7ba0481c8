"""Text that a trained model continues.

    session = prefill(run, 'ROMEO:')
    for piece, session in stream(run, session, 200, SamplerConfig(0.8)):
      print(piece, end='')

A `Session` is a value: what follows depends on nothing else. A text that is
saved and continued equals the uninterrupted one bit for bit.
"""

from collections.abc import Iterator
import logging
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from memjax.data.tokenizers import Marked, Tokenizer
from memjax.errors import ConfigError
from memjax.generation import beam, decode
from memjax.generation.decode import State
from memjax.generation.sampler import TEMPERATURE, UNFILTERED, SamplerConfig
from memjax.runs.load import Run

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


def begin(run: Run, seed: int = 0) -> Session:
  """The session of no prompt.

  A model always reads a token before it answers. Here that is a newline, or the
  first token of a vocabulary without newlines.

  Raises:
    ConfigError: the run's task is not text, its model is not causal, or the
      seed is out of range.
  """
  tokenizer = tokenizer_of(run)
  ids = tokenizer.encode(b'\n')
  if not ids.size or tokenizer.unknown in ids:
    ids = np.zeros(1, ids.dtype)
  state = decode.prefill(run.model, run.params, ids, seed)
  return Session(state, _tail(ids))


def as_read(run: Run, text: str | bytes) -> str:
  """The text as the model reads it: unknown words are `<unk>`, for example.

  Raises:
    ConfigError: the text cannot be encoded.
  """
  return tokenizer_of(run).decode(_ids(run, text))


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
  return decode_blocks(tokenizer_of(run), session.tail, blocks)


def search(
  run: Run, session: Session, length: int, beams: int
) -> Iterator[tuple[str, Session]]:
  """Generates the likeliest text that a beam search finds, as one piece.

  It has `length` tokens, or fewer if the mark of an answer's end comes before.
  """
  tokenizer, (carry, token, key) = tokenizer_of(run), session.state
  end = tokenizer.end if isinstance(tokenizer, Marked) else beam.NO_END
  row = run.model, run.params, carry, token
  carry, tokens = beam.extend(*row, length, beams, end)
  state = State(carry, jnp.asarray(tokens[-1]), key)
  return decode_blocks(tokenizer, session.tail, iter([(tokens, state)]))


def sample(
  run: Run,
  prompt: str,
  length: int,
  temperature: float = TEMPERATURE,
  seed: int = 0,
) -> Iterator[str]:
  """Pieces of text that follow the prompt, `length` tokens together.

  An empty prompt is none.
  """
  session = prefill(run, prompt, seed) if prompt else begin(run, seed)
  for piece, _ in stream(run, session, length, SamplerConfig(temperature)):
    yield piece


def decode_blocks(
  tokenizer: Tokenizer,
  tail: tuple[int, ...],
  blocks: Iterator[tuple[np.ndarray, State]],
) -> Iterator[tuple[str, Session]]:
  """Pieces of text from blocks of tokens, after the tokens of `tail`."""
  decode_token = tokenizer.decoder()
  for token in tail:  # shown before; the last ones may start a character
    decode_token(token)
  for tokens, state in blocks:
    ids = tokens.tolist()
    tail = _tail([*tail, *ids])
    yield ''.join(map(decode_token, ids)), Session(state, tail)


def _tail(ids: Any) -> tuple[int, ...]:
  return tuple(int(i) for i in ids[-CHARACTER_BYTES:])


def tokenizer_of(run: Run) -> Tokenizer:
  if run.tokenizer is None:
    name = run.config['task']['name']
    rule = 'is not a text task; only text can be sampled'
    raise ConfigError('task.name', name, rule)
  return run.tokenizer


def _encode(run: Run, text: str | bytes) -> np.ndarray:
  """The text's tokens; symbols outside the vocabulary are logged."""
  tokenizer, ids = tokenizer_of(run), _ids(run, text)
  if count := int((ids == tokenizer.unknown).sum()):
    symbols = ', '.join(map(repr, tokenizer.unknown_symbols(written(text))))
    line = 'prompt: %d of %d tokens are not in the vocabulary: %s'
    log.warning(line, count, len(ids), symbols)
  return ids


def _ids(run: Run, text: str | bytes) -> np.ndarray:
  try:
    return tokenizer_of(run).encode(written(text))
  except (UnicodeEncodeError, UnicodeDecodeError) as error:
    invalid = error.object[error.start : error.end]
    rule = f'is not UTF-8, at byte {error.start}'
    raise ConfigError('prompt', invalid, rule) from None


def written(text: str | bytes) -> bytes:
  """A terminal hands undecodable bytes over as surrogates."""
  return (
    text if isinstance(text, bytes) else text.encode(errors='surrogateescape')
  )
