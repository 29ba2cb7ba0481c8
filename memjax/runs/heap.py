"""Freed memory is kept by the process instead of given back to the system.

On a CPU, XLA allocates the temporary buffer of a program anew in every call.
The C library of Linux maps large buffers and unmaps them when they are freed,
so the kernel clears every page again in every step. Three settings of malloc
stop that: one heap for all threads, no mapped buffers, and no trimming of the
heap's end.

Price: the process keeps the most memory that it ever used. On other systems and
with other C libraries nothing happens, nor if the environment variable
MEMJAX_MALLOC is 'system'. Memory of GPUs and TPUs is not concerned.
"""

import ctypes
import os
import platform

VARIABLE = 'MEMJAX_MALLOC'
# From glibc's malloc.h.
M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD = -8, -4, -1


def keep_freed_memory() -> bool:
  """Sets malloc for this process; returns whether it is set.

  It must run before the first large allocation: `memjax` calls it first of all.
  A notebook calls it in its first cell, before it imports jax.
  """
  if platform.libc_ver()[0] != 'glibc' or os.environ.get(VARIABLE) == 'system':
    return False
  mallopt = ctypes.CDLL('libc.so.6').mallopt
  settings = {
    M_ARENA_MAX: 1,
    M_MMAP_MAX: 0,
    M_TRIM_THRESHOLD: 2**31 - 1,
  }
  return all(mallopt(name, value) for name, value in settings.items())
