"""Sources on this machine: a user's files, and Python's standard library."""

import hashlib
import os
from pathlib import Path
import sysconfig

from memjax.data.scan import CUT, scan_files
from memjax.data.sources import Source
from memjax.data.splits import (
  DEFAULTS,
  FileOptions,
  Placed,
  place_files,
  unreadable,
)
from memjax.errors import require

_EXCLUDED_FOLDERS = {
  'site-packages',
  'dist-packages',
  'test',
  'tests',
  'idle_test',
  '__pycache__',
}


def standard_library() -> Source:
  """The modules of this machine's Python standard library, without its tests.

  The documents are sorted by the SHA-256 of their relative path. In
  alphabetical order, a whole package would be in one split only, and the
  packages at the end would be a poor sample of the rest.

  Raises:
    ConfigError: the library is not installed as files, or cannot be read.
  """
  folder = Path(sysconfig.get_paths()['stdlib'])

  def sort_key(path: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return hashlib.sha256(name.encode()).hexdigest()

  def refuse(error: OSError) -> None:
    raise error

  modules = []
  try:
    for parent, folders, names in os.walk(folder, onerror=refuse):
      folders[:] = [
        f for f in folders if f not in _EXCLUDED_FOLDERS and f[0] != '.'
      ]
      modules += [
        Path(parent, name)
        for name in names
        if name.endswith('.py') and name[0] != '.'
      ]
  except OSError as error:
    raise unreadable(folder, error) from None
  modules = [path for path in modules if path.is_file()]
  files = scan_files(Placed(p, CUT) for p in sorted(modules, key=sort_key))
  rule = f'has no module in {folder}'
  require(bool(files), 'corpus', 'standard_library', rule)
  return Source('standard_library', str(folder), files)


def text_files(path: str, options: FileOptions = DEFAULTS) -> Source:
  """A user's file, or the files of a folder, sorted by path.

  Raises:
    ConfigError: a path is missing, empty or cannot be read, or a file is not
      text, or only some names or records say a split.
  """
  files = scan_files(place_files(path, options), options.field)
  require(bool(files), 'path', path, 'is empty; it must contain text')
  return Source('text_files', path, files, options.field)
