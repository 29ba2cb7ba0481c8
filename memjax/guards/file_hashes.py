"""SHA-256 of a file in parts, so that damage has a place.

A file of 3 MiB has three hashes, an empty one none. Nothing outside the folder
is read: a name that leads out of it, and a link, are faults.
"""

from collections.abc import Sequence
import hashlib
import os
from pathlib import Path

PART = 1 << 20  # bytes


def hash_parts(path: Path, sync: bool = False) -> list[str]:
  """The SHA-256 of each part of a file.

  Args:
    path: the file.
    sync: whether to write the file to the disk first.

  Raises:
    OSError: it cannot be read.
  """
  with path.open('rb') as file:
    if sync:
      os.fsync(file.fileno())
    parts = iter(lambda: file.read(PART), b'')
    return [hashlib.sha256(part).hexdigest() for part in parts]


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
    found, parts = path.stat().st_size, hash_parts(path)
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
