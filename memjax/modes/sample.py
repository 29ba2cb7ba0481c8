"""Streams generated text to the terminal."""

import os
from pathlib import Path
import sys

from memjax.errors import ConfigError, require
from memjax.generation import session
from memjax.generation.sampler import SamplerConfig
from memjax.runs import exit_codes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.load import load


def sample(
  workdir: Path,
  *,
  prompt: str | None,
  prompt_file: str | None,
  length: int,
  temperature: float,
  top_k: int,
  top_p: float,
  seed: int | None,
  replica: int,
  save_carry: str | None,
  carry: str | None,
) -> int:
  """Streams text to the terminal, up to its length or Ctrl-C.

  The text continues a prompt, a saved carry, or a saved carry and then a
  prompt. With a carry, a seed samples another continuation.
  """
  sampler = SamplerConfig(temperature, top_k, top_p)
  require(length >= 1, 'length', length, 'must be at least 1')
  text = read_prompt(prompt, prompt_file)
  if save_carry:
    exists = Path(save_carry).absolute().parent.is_dir()
    require(exists, 'save_carry', save_carry, 'its folder does not exist')
  enable_compilation_cache()
  run = load(workdir, replica=replica)
  if carry:
    current = session.load(carry, run)
    if seed is not None:
      current = session.with_seed(current, seed)
    current = session.extend(run, current, text or b'')
  else:
    first = b'\n' if text is None else text
    current = session.prefill(run, first, seed or 0)
  try:
    for piece, after in session.stream(run, current, length, sampler):
      sys.stdout.write(piece)
      sys.stdout.flush()
      current = after
  except KeyboardInterrupt:  # what was generated is kept
    pass
  sys.stdout.write('\n')
  if save_carry:
    session.save(save_carry, run, current)
  return exit_codes.FINISHED


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
