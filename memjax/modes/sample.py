"""Streams generated text to the terminal."""

import os
from pathlib import Path
import sys

from memjax.errors import ConfigError, require
from memjax.generation import saved, session
from memjax.generation.neighbours import Mixing
from memjax.generation.sampler import SamplerConfig
from memjax.generation.session import Session
from memjax.modes.recall import open_recall
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.load import Run, load
from memjax.store.base import Store


def sample(
  workdir: Path,
  *,
  prompt: str | None,
  prompt_file: str | None,
  length: int,
  temperature: float,
  top_k: int,
  top_p: float,
  beams: int,
  seed: int | None,
  replica: int,
  save_carry: str | None,
  carry: str | None,
  store: str = '',
  space: str = '',
  store_share: float = Mixing().share,
  mask: bool = False,
  step: int | str = 'latest',
) -> int:
  """Streams text to the terminal, up to its length or Ctrl-C.

  The prompt comes first, as the model reads it, on a terminal in another
  colour. The text continues a prompt, nothing, a saved carry, or a saved carry
  and then a prompt. With a carry, a seed samples another continuation. With
  several beams, the text is the likeliest one that a beam search finds. With a
  store, records of earlier prompts in this space help, and the prompt is added.
  """
  sampler = SamplerConfig(temperature, top_k, top_p)
  mixing = Mixing(store_share)
  check(length, beams, save_carry)
  check_store(store, space, mask, mixing, alone=not carry and beams == 1)
  text = read_prompt(prompt, prompt_file)
  enable_compilation_cache()
  run = load(workdir, step, replica)
  opened, memory = open_recall(run, store, space, mask)
  text = masked(opened, text)
  current = begin(run, text, carry, seed)
  sys.stdout.write(coloured(session.as_read(run, text or b'')))
  try:
    pieces = session.stream(run, current, length, sampler)
    if beams > 1:
      pieces = session.search(run, current, length, beams)
    elif memory:
      pieces = memory.stream(current, length, sampler, mixing)
    for piece, after in pieces:
      sys.stdout.write(piece)
      sys.stdout.flush()
      current = after
  except KeyboardInterrupt:  # what was generated is kept
    pass
  sys.stdout.write('\n')
  if opened and memory:
    with opened:
      memory.tell(text or b'')
      print(memory.describe(), file=sys.stderr)
  if save_carry:
    saved.save(save_carry, run, current)
  return exit_codes.FINISHED


def check(length: int, beams: int, save_carry: str | None) -> None:
  """Requires values that work, before anything is loaded."""
  for field, value in (('length', length), ('beams', beams)):
    require(value >= 1, field, value, 'must be at least 1')
  if save_carry:
    exists = Path(save_carry).absolute().parent.is_dir()
    require(exists, 'save_carry', save_carry, 'its folder does not exist')
    is_file = not Path(save_carry).is_dir()
    require(is_file, 'save_carry', save_carry, 'is a folder: name a file in it')


def check_store(
  store: str, space: str, mask: bool, mixing: Mixing, alone: bool
) -> None:
  """Requires flags of a store that go together."""
  rule = 'cannot be used together with a carry or with beams'
  require(not store or alone, 'store', store, rule)
  rule = 'is for a store: name one with --store=FILE'
  require(bool(store) or not (space or mask), 'space', space, rule)
  mixing.check()


def begin(
  run: Run, text: bytes | None, carry: str | None, seed: int | None
) -> Session:
  """The session before the first token, of a prompt, nothing or a carry."""
  if carry:
    current = saved.load(carry, run)
    if seed is not None:
      current = session.with_seed(current, seed)
    return session.extend(run, current, text or b'')
  if text is None:
    return session.begin(run, seed or 0)
  return session.prefill(run, text, seed or 0)


def masked(store: Store | None, text: bytes | None) -> bytes | None:
  """The text with pseudonyms, if a store replaces personal data."""
  if text is None or store is None or store.mask is None:
    return text
  shown = text.decode(errors='surrogateescape')
  return store.mask(shown).encode(errors='surrogateescape')


def coloured(prompt: str) -> str:
  """The prompt in cyan on a terminal, unless NO_COLOR is set."""
  shows = sys.stdout.isatty() and 'NO_COLOR' not in os.environ
  return f'\x1b[36m{prompt}\x1b[0m' if shows and prompt else prompt


def read_prompt(prompt: str | None, file: str | None) -> bytes | None:
  """The bytes of the prompt; None if neither flag is set.

  Raises:
    ConfigError: both flags are set, or the file cannot be read.
  """
  if file is None:
    return None if prompt is None else os.fsencode(prompt)
  require(
    prompt is None, 'prompt_file', file, 'cannot be used together with --prompt'
  )
  try:
    if file != '-':
      return Path(file).read_bytes()
    with open(0, 'rb', closefd=False) as standard_input:
      return standard_input.read()
  except OSError as error:
    rule = f'cannot be read: {error.strerror}'
    raise ConfigError('prompt_file', file, rule) from None
