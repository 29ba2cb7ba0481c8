"""Keeps compiled programs on disk between starts.

A resumed run, a sweep and a notebook compile the same programs again. With this
cache jax finds them in `xla/` of the cache folder. The name of the folder
depends on the processor's features: a program compiled for one processor may
not run on another that shares the home folder.

jax writes a program in place. A process that is killed meanwhile, or a disk
that is full, leaves half of it; jax would warn of that half at every start, and
never write it anew. So it is deleted when jax first warns.
"""

import functools
import hashlib
import json
import logging
import os
from pathlib import Path
import re
from typing import TextIO
import warnings

import jax

from memjax.data.cache import cache_folder
from memjax.runs.environment import processor

WARNING = re.compile(
  r"Error (reading|writing) persistent compilation cache entry for '(.+?)': "
  r'(.*)',
  re.DOTALL,
)

log = logging.getLogger(__name__)
_show = warnings.showwarning


def enable_compilation_cache() -> None:
  """Switches the cache on, unless JAX_COMPILATION_CACHE_DIR already has."""
  if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    features = json.dumps(processor()).encode()
    name = hashlib.sha256(features).hexdigest()[:16]
    folder = cache_folder() / 'xla' / name
    jax.config.update('jax_compilation_cache_dir', str(folder))
  warnings.showwarning = forget_or_show


def forget_or_show(
  message: Warning | str,
  category: type[Warning],
  filename: str,
  lineno: int,
  file: TextIO | None = None,
  line: str | None = None,
) -> None:
  """What warnings.showwarning is, but for jax's warnings about this cache."""
  if found := WARNING.match(str(message)):
    forget(*found.groups())
  else:
    _show(message, category, filename, lineno, file, line)


def forget(action: str, program: str, reason: str) -> None:
  """Deletes what is kept of a program; says so if it could not be written."""
  folder = Path(jax.config.values['jax_compilation_cache_dir'])
  for path in folder.glob(f'{program}-*-cache'):
    path.unlink(missing_ok=True)
  if action == 'writing':
    say_once(folder, reason.strip().partition('\n')[0])


@functools.cache
def say_once(folder: Path, reason: str) -> None:
  log.warning('%s: compiled programs are not kept: %s', folder, reason)
