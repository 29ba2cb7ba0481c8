"""Hashes of a file in parts, so that damage has a place.

A file of 3 MiB has three hashes, an empty one none. Nothing outside the folder
is read: a name that leads out of it, and a link, are faults.

The hash is XXH3 of 128 bits. It reads as fast as memory can be read, so a save
is hardly longer, and a change that it misses has a chance of 2^-128. It finds
damage, not forgery: someone who can write the file can write its hash too.
Hashes of 64 digits are SHA-256, as manifests had them until November 2026.
"""

from collections.abc import Iterator, Sequence
import hashlib
import os
from pathlib import Path

import xxhash

PART = 1 << 20  # bytes
SHA256 = 64  # digits


def hash_parts(
  path: Path, sync: bool = False, sha256: bool = False
) -> list[str]:
  """The hash of each part of a file.

  Args:
    path: the file.
    sync: whether to write the file to the disk first.
    sha256: whether the hashes are SHA-256.

  Raises:
    OSError: it cannot be read.
  """
  parts = _parts(path, sync)
  if sha256:
    return [hashlib.sha256(part).hexdigest() for part in parts]
  return [xxhash.xxh3_128_hexdigest(part) for part in parts]


def _parts(path: Path, sync: bool) -> Iterator[memoryview]:
  """The parts, one after another in the same memory."""
  with path.open('rb') as file:
    handle = file.fileno()
    if sync:
      os.fsync(handle)
    memory = memoryview(bytearray(min(PART, os.fstat(handle).st_size)))
    while size := file.readinto(memory):
      yield memory[:size]


def find_fault(
  folder: Path, name: str, size: int, hashes: Sequence[str]
) -> str:
  """What is wrong with a file; '' if it has this size and these hashes.

  Args:
    folder: where it lies.
    name: its path in the folder.
    size: in bytes.
    hashes: as `hash_parts` returned.
  """
  path = folder / name
  leads_out = Path(name).is_absolute()
  if leads_out or path.resolve() != folder.resolve() / name:
    return f'{name} leads out of the folder or is a link, and is not read'
  try:
    sha256 = len(''.join(hashes[:1])) == SHA256
    found, parts = path.stat().st_size, hash_parts(path, sha256=sha256)
  except FileNotFoundError:
    return f'{name} is missing'
  except OSError as error:
    return f'{name} cannot be read: {error.strerror}'
  if found != size:
    return f'{name} has {found} bytes instead of {size}'
  if parts == list(hashes):
    return ''
  pairs = zip(parts, hashes, strict=False)
  wrong = [i for i, (one, other) in enumerate(pairs) if one != other]
  return f'{name} differs from its hash in {describe(wrong, size)}'


def describe(parts: Sequence[int], size: int) -> str:
  """'bytes 0 to 1048575 and 3145728 to 3999999 of 4000000'."""
  ranges: list[list[int]] = []
  for part in parts:
    end = min((part + 1) * PART, size) - 1
    if ranges and ranges[-1][1] + 1 == part * PART:
      ranges[-1][1] = end
    else:
      ranges.append([part * PART, end])
  places = ' and '.join(f'{start} to {end}' for start, end in ranges)
  return f'bytes {places} of {size}'
