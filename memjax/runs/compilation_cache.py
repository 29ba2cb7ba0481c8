"""Keeps compiled programs on disk between starts.

A resumed run, a sweep and a notebook compile the same programs again. With this
cache jax finds them in `xla/` of the cache folder. The name of the folder
depends on the processor's features: a program compiled for one processor may
not run on another that shares the home folder.
"""

import hashlib
import json
import os

import jax

from memjax.data.cache import cache_folder
from memjax.runs.environment import processor


def enable_compilation_cache() -> None:
  """Switches the cache on, unless JAX_COMPILATION_CACHE_DIR already has."""
  if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    features = json.dumps(processor()).encode()
    name = hashlib.sha256(features).hexdigest()[:16]
    folder = cache_folder() / 'xla' / name
    jax.config.update('jax_compilation_cache_dir', str(folder))
