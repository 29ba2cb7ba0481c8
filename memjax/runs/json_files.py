"""JSON files that a resume needs: written whole, read with one-line errors."""

import json
import os
from pathlib import Path
from typing import Any

from memjax.errors import ConfigError, require


def write_json(path: Path, content: Any) -> None:
  """Replaces the file in one step; a power cut leaves the old or the new one.

  Raises:
    OSError: the disk is full, or the folder cannot be written.
  """
  write_whole(path, json.dumps(content, indent=2) + '\n')


def write_whole(path: Path, text: str) -> None:
  """Writes a text file beside the path, then moves it there."""
  partial = path.with_name(f'{path.name}.partial')
  with partial.open('w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  partial.replace(path)
  sync_folder(path.parent)


def read_json(path: Path) -> Any:
  """The content of a JSON file of a workdir.

  Raises:
    ConfigError: the file is missing or damaged; the message names it.
  """
  folder = str(path.parent)
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, NotADirectoryError):
    raise ConfigError('workdir', folder, f'has no {path.name}') from None
  except OSError as error:
    raise ConfigError('workdir', str(path), str(error.strerror)) from None
  except ValueError as error:
    raise damaged(path, str(error)) from None


def require_keys(path: Path, content: Any, keys: tuple[str, ...]) -> None:
  """Requires an object with these fields.

  Raises:
    ConfigError: another content; the message names the file.
  """
  is_object = isinstance(content, dict)
  require(is_object, 'workdir', str(path), 'must hold a JSON object')
  for key in keys:
    if key not in content:
      raise damaged(path, f'the field {key} is missing')


def damaged(path: Path, reason: str) -> ConfigError:
  """The error of a file that was changed after it was written."""
  rule = f'is damaged: {reason}; restore the file, or use a new workdir'
  return ConfigError('workdir', str(path), rule)


def sync_folder(folder: Path) -> None:
  """Makes the names in a folder survive a power cut."""
  handle = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)
