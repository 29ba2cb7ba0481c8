"""Files of pretrained models: what may be read, and what is written.

    a folder      config.json, tokenizer.json, and the weights as
                  model.safetensors, as several such files with their
                  model.safetensors.index.json, or as one .npz
    FILE.safetensors, FILE.npz
                  with config.json and tokenizer.json beside it
    FILE.gguf     holds all of them (`gguf_file.py`)

A pickle runs what its author wrote when it is opened, so it is never opened:
the error says how to convert it, on a machine that one would trust with it.
"""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple
import zipfile

import numpy as np

from memjax.errors import ConfigError, require
from memjax.interop.names import Arrays
from memjax.interop.tokenizer_files import read_content

INDEX = 'model.safetensors.index.json'
WEIGHTS = 'model.safetensors'
PICKLES = ('.bin', '.pth', '.pt', '.ckpt', '.pkl', '.pickle')
CHUNK = 1 << 24  # bytes that are hashed at once


class Pretrained(NamedTuple):
  """A model as its files have it.

  Attributes:
    config: the content of config.json.
    tensors: by name.
    tokenizer: the content of tokenizer.json; '' if there is none.
    files: {name: SHA-256} of the files of weights.
  """

  config: dict[str, Any]
  tensors: dict[str, np.ndarray]
  tokenizer: str
  files: dict[str, str]


def read_pretrained(path: Path) -> Pretrained:
  """The model in a folder or a file.

  Raises:
    ConfigError: there is none, or its files cannot be read.
  """
  files = weight_files(path)
  if files[0].suffix == '.gguf':
    from memjax.interop.gguf_file import read_gguf

    config, tensors, tokenizer = read_gguf(files[0])
  else:
    tensors = {}
    for file in files:
      part = read_tensors(file)
      twice = sorted(tensors.keys() & part.keys())
      rule = f'holds {twice[:1]}, which another file holds too'
      require(not twice, 'from', str(file), rule)
      tensors |= part
    folder = files[0].parent
    config, tokenizer = read_config(folder), read_content(folder)
  hashes = {file.name: digest(file) for file in files}
  return Pretrained(config, tensors, tokenizer, hashes)


def weight_files(path: Path) -> list[Path]:
  """The files that hold the tensors.

  Raises:
    ConfigError: there are none, or they are pickles.
  """
  require(path.exists(), 'from', str(path), 'does not exist')
  if path.is_file():
    refuse_pickle(path)
    known = path.suffix in ('.safetensors', '.npz', '.gguf')
    rule = 'must be a folder, or a .safetensors, .npz or .gguf file'
    require(known, 'from', str(path), rule)
    return [path]
  if (path / INDEX).is_file():
    return [path / name for name in sorted(parts_of(path / INDEX))]
  for pattern in (WEIGHTS, '*.safetensors', '*.npz', '*.gguf'):
    found = sorted(path.glob(pattern))
    rule = f'has several {pattern} files, and no {INDEX}: name one of them'
    require(len(found) <= 1, 'from', str(path), rule)
    if found:
      return found
  for file in sorted(path.iterdir()):
    refuse_pickle(file)
  rule = 'has no .safetensors, .npz or .gguf file'
  raise ConfigError('from', str(path), rule)


def parts_of(index: Path) -> set[str]:
  """The names of the files that an index lists."""
  content = read_json_file(index)
  names = set(content['weight_map'].values())
  rule = 'must name files of its own folder'
  inside = all(name == os.path.basename(name) for name in names)
  require(inside, 'from', str(index), rule)
  return names


def refuse_pickle(path: Path) -> None:
  """Refuses a file that could run code when it is opened.

  Raises:
    ConfigError: it is one; the message has a command that converts it.
  """
  source, target = path.name, path.with_suffix('.safetensors').name
  code = 'import torch, safetensors.torch as s; '
  code += f"w = torch.load('{source}', weights_only=True); "
  code += 's.save_file({k: v.clone().contiguous() for k, v in w.items()}, '
  code += f"'{target}')"
  rule = f'is a pickle, which may run code: convert it, python -c "{code}"'
  require(path.suffix not in PICKLES, 'from', str(path), rule)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
  """The tensors of a .safetensors or .npz file.

  Raises:
    ConfigError: it cannot be read, is damaged, or holds pickled objects.
  """
  from safetensors import SafetensorError, safe_open

  try:
    if path.suffix == '.npz':
      with np.load(path, allow_pickle=False) as file:
        return dict(file)
    with safe_open(path, 'numpy') as file:
      return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except OSError as error:
    rule = f'cannot be read: {error.strerror or error}'
    raise ConfigError('from', str(path), rule) from None
  except (SafetensorError, zipfile.BadZipFile, ValueError) as error:
    line = str(error).splitlines()[0]
    raise ConfigError('from', str(path), f'is damaged: {line}') from None


def read_config(folder: Path) -> dict[str, Any]:
  """The content of config.json beside the weights.

  Raises:
    ConfigError: there is none.
  """
  path = folder / 'config.json'
  rule = 'has no config.json, which says how the tensors are used'
  require(path.is_file(), 'from', str(folder), rule)
  return read_json_file(path)


def read_json_file(path: Path) -> Any:
  """The content of a JSON file.

  Raises:
    ConfigError: it cannot be read.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    line = str(error).splitlines()[0]
    raise ConfigError('from', str(path), f'cannot be read: {line}') from None


def write_pretrained(
  folder: Path, config: Mapping[str, Any], tensors: Arrays, tokenizer: str
) -> None:
  """Writes config.json, model.safetensors and, if any, tokenizer.json.

  Raises:
    ConfigError: the folder cannot be written.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / 'config.json').write_text(f'{text}\n', encoding='utf-8')
    write_tensors(folder / WEIGHTS, tensors)
    if tokenizer:
      (folder / 'tokenizer.json').write_text(tokenizer, encoding='utf-8')
  except OSError as error:
    rule = f'cannot be written: {error.strerror}'
    raise ConfigError('output', str(folder), rule) from None


def write_tensors(path: Path, tensors: Arrays) -> None:
  """Writes a .safetensors file whole, or not at all.

  Raises:
    OSError: it cannot be written.
  """
  from safetensors.numpy import save

  partial = path.with_name(f'{path.name}.partial')
  partial.write_bytes(save(dict(tensors), {'format': 'pt'}))
  partial.replace(path)


def digest(path: Path) -> str:
  """The SHA-256 of a file."""
  total = hashlib.sha256()
  with path.open('rb') as file:
    while part := file.read(CHUNK):
      total.update(part)
  return total.hexdigest()
