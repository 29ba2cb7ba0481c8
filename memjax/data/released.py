"""Named public corpora: their addresses, digests and splits.

tiny_shakespeare: 1,115,394 bytes, https://github.com/karpathy/char-rnn; cut at
  90 and 95 %, as in TFDS.
enwik8, text8: the first 10^8 bytes of Wikipedia in 2006, and of its cleaned
  text, http://mattmahoney.net/dc/textdata.html; 90, 5 and 5 million bytes, as
  in https://arxiv.org/abs/1808.04444. Papers report bits per character of these
  corpora; memjax calls the same figure bits per byte. Transformer-XL's own code
  leaves the newlines of enwik8 out of text and count: docs/evaluating.md.
wikitext-2, wikitext-103: Merity et al. 2016, https://arxiv.org/abs/1609.07843,
  in tokens, with rare words replaced by `<unk>`. The names ending in -raw give
  the original text. The three files are the splits. An end of line is the word
  `<eos>`.
pg19: see pg19.py.

The SHA-256s of the WikiText archives and of enwik8.zip were recorded by
huggingface/datasets (datasets/NAME/dataset_infos.json). The SHA-256 of tiny
Shakespeare was recorded by TFDS (url_checksums/tiny_shakespeare.txt). Mahoney
publishes no SHA-256. Several public projects check text8.zip and the two texts
with the values below. The MD5 of enwik8, published by Mahoney, is
a1fa5ffddb56f4953e226637dabbb36a; that of text8 is
3bea1919949baf155f99411df5fada7e. WikiText's original address is closed; its
author serves the address below.
"""

import dataclasses
from pathlib import Path
import shutil
import zipfile

from memjax.data import pg19
from memjax.data.cache import cache_folder, fill_folder, lock, read_filled
from memjax.data.download import File, Setting, fetch, find_placed
from memjax.data.scan import CUT, scan_files
from memjax.data.sources import Source
from memjax.data.splits import SPLITS, Placed
from memjax.errors import ConfigError

MAHONEY = 'http://mattmahoney.net/dc'
SMERITY = 'https://wikitext.smerity.com'
CHAR_RNN = 'https://raw.githubusercontent.com/karpathy/char-rnn/master/data'


@dataclasses.dataclass(frozen=True)
class Released:
  """A corpus released in one file.

  Attributes:
    file: the file to download, a zip archive or the text itself.
    members: files in the archive: one text, or train, validation and test.
    text: the archive's only member, if users may have it without the archive.
    cuts: the bytes where validation and test begin; empty if each split is a
      member of its own.
  """

  file: File
  members: tuple[str, ...] = ()
  text: File | None = None
  cuts: tuple[int, ...] = ()


def _mahoney(name: str, size: int, archive: str, text: str) -> Released:
  url = f'{MAHONEY}/{name}.zip'
  return Released(
    File(url, f'{name}.zip', size, archive),
    (name,),
    File(url, name, 100_000_000, text, (f'{name}.txt',)),
    (90_000_000, 95_000_000),
  )


def _wikitext(name: str, kind: str, size: int, sha256: str) -> Released:
  file = f'{name}-v1.zip'
  splits = ('train', 'valid', 'test')
  return Released(
    File(f'{SMERITY}/{file}', file, size, sha256),
    tuple(f'{name}/wiki.{split}.{kind}' for split in splits),
  )


RELEASED = {
  'tiny_shakespeare': Released(
    File(
      f'{CHAR_RNN}/tinyshakespeare/input.txt',
      'tinyshakespeare.txt',
      1_115_394,
      '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
      ('tiny_shakespeare.txt', 'input.txt'),
    ),
    cuts=(1_003_854, 1_059_624),
  ),
  'enwik8': _mahoney(
    'enwik8',
    36_445_475,
    '547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc',
    '2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8',
  ),
  'text8': _mahoney(
    'text8',
    31_344_016,
    'a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232',
    '6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7',
  ),
  'wikitext-2': _wikitext(
    'wikitext-2',
    'tokens',
    4_475_746,
    '92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c',
  ),
  'wikitext-2-raw': _wikitext(
    'wikitext-2-raw',
    'raw',
    4_721_645,
    'ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11',
  ),
  'wikitext-103': _wikitext(
    'wikitext-103',
    'tokens',
    190_229_076,
    '242ba0f20b329cfdf1ccc61e9e9e5b59becf189db7f7a81cd2a0e2fc31539590',
  ),
  'wikitext-103-raw': _wikitext(
    'wikitext-103-raw',
    'raw',
    191_984_949,
    '91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794',
  ),
}
NAMES = (*RELEASED, pg19.NAME)


def open_released(name: str) -> Source:
  """The source of a named corpus; downloads the corpus if it is missing.

  Raises:
    ConfigError: the corpus is not in `downloads/manual` and cannot be
      downloaded, or a file differs from the release, or the cache folder
      cannot be used.
  """
  setting = Setting('corpus', name)
  with lock(cache_folder()):
    if name == pg19.NAME:
      texts, cuts = pg19.fetch_books(setting), tuple[int, ...]()
    else:
      texts, cuts = _fetch_texts(RELEASED[name], setting), RELEASED[name].cuts
  placed = [
    Placed(path, CUT if cuts else split)
    for split, paths in texts.items()
    for path in paths
  ]
  return Source(
    'released',
    f'{name} in {texts["train"][0].parent}',
    scan_files(placed),
    cuts=cuts,
    line_ends=name != pg19.NAME,
  )


def _fetch_texts(entry: Released, setting: Setting) -> dict[str, list[Path]]:
  """The files of each split; a file that all splits share is under train."""
  if not entry.members:
    return {'train': [fetch(entry.file, setting)]}
  if entry.text is not None:
    text = find_placed(entry.text, setting)
    if text is not None:
      return {'train': [text]}
  place = cache_folder() / 'unpacked' / entry.file.sha256
  if read_filled(place) is None:
    archive = fetch(entry.file, setting)
    with fill_folder(place) as (folder, _):
      _unpack(archive, entry.members, folder, setting)
  names = [Path(member).name for member in entry.members]
  return {
    split: [place / name] for split, name in zip(SPLITS, names, strict=False)
  }


def _unpack(
  archive: Path, members: tuple[str, ...], folder: Path, setting: Setting
) -> None:
  """Unpacks only the members, into `folder`, under their base names."""
  try:
    with zipfile.ZipFile(archive) as content:
      for member in members:
        target = folder / Path(member).name
        with content.open(member) as text, target.open('wb') as out:
          shutil.copyfileobj(text, out)
  except (KeyError, zipfile.BadZipFile) as error:
    rule = f'{archive} cannot be unpacked: {error.args[0]}'
    raise ConfigError(setting.field, setting.value, rule) from None
