"""Named corpora of pairs: which files they are, and how pairs lie in them.

Addresses, sizes and SHA-256 are those of the lists that tensorflow-datasets
ships. A file is downloaded once, or placed by hand; see download.py.

tatoeba/deu-eng, tatoeba/eng-deu and others: sentences and their translations,
at most 1,000 of a pair of languages (Artetxe & Schwenk 2019,
https://arxiv.org/abs/1812.10464; CC BY 2.0 FR). Codes are ISO 639-3. Splits by
the source's hash.
ud_english_ewt: words and their part of speech, UPOS, as tags; Universal
Dependencies 2.10 (Silveira et al. 2014; CC BY-SA 4.0).
ag_news: title and description, and one of four classes (Zhang et al. 2015,
https://arxiv.org/abs/1509.01626). Its address needs a browser: place the file.
imdb: reviews, pos or neg (Maas et al. 2011, https://aclanthology.org/P11-1015).
aeslc: e-mails and their subjects (Zhang & Tetreault 2019,
https://arxiv.org/abs/1906.03497); the first subject that was given.
A corpus without validation gives 5 % of train for it, by the source's hash.
"""

from collections.abc import Callable, Iterator, Sequence
import csv
import functools
from importlib.util import find_spec
import io
from pathlib import Path, PurePosixPath
import tarfile
from typing import NamedTuple
import zipfile
import zlib

from memjax.data.cache import cache_folder, lock
from memjax.data.download import File, Setting, fetch_all
from memjax.data.pair_files import Pair, read_sentences, split_of_source
from memjax.errors import ConfigError, require

TATOEBA, ENGLISH = 'tatoeba', 'eng'
NEWS = ('World', 'Sports', 'Business', 'Sci/Tech')
DEV, VALIDATION = 'dev', 'validation'
BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)

Placed = Iterator[tuple[Pair, str]]  # pairs, and the split of each


class Release(NamedTuple):
  """A corpus as it was released.

  Attributes:
    listed: the list of tensorflow-datasets that has its files.
    files: their names in the list.
    read: the pairs in these files, in order.
  """

  listed: str
  files: tuple[str, ...]
  read: Callable[[Sequence[Path]], Placed]


@functools.cache
def listed_files(name: str) -> dict[str, File]:
  """{name: file} of a data set of tensorflow-datasets."""
  spec = find_spec('tensorflow_datasets')
  assert spec is not None, 'a requirement of memjax'
  assert spec.submodule_search_locations is not None, 'a package'
  folder = Path(spec.submodule_search_locations[0]) / 'datasets' / name
  files = {}
  lines = (folder / 'checksums.tsv').read_text(encoding='utf-8').splitlines()
  for line in lines:
    url, size, sha256, file = line.split('\t')
    files[file] = File(url, file, int(size), sha256)
  return files


@functools.cache
def archives() -> dict[str, Release]:
  """Every corpus, by name."""
  ewt = [f'en_ewt-ud-{part}.conllu' for part in ('train', DEV, 'test')]
  found = {
    'ud_english_ewt': Release('universal_dependencies', (*ewt,), _read_words),
    'ag_news': Release('ag_news_subset', ('ag_news_csv.tar.gz',), _read_news),
    'imdb': Release('imdb_reviews', ('aclImdb_v1.tar.gz',), _read_reviews),
    'aeslc': Release('aeslc', ('AESLC-master.zip',), _read_mails),
  }
  for file in listed_files(TATOEBA):
    _, languages, one = file.split('.')
    other = f'{TATOEBA}.{languages}.{ENGLISH}'
    if one != ENGLISH:
      ways = (
        (f'{one}-{ENGLISH}', (file, other)),
        (f'{ENGLISH}-{one}', (other, file)),
      )
      for name, files in ways:
        found[f'{TATOEBA}/{name}'] = Release(TATOEBA, files, _read_lines)
  return found


@functools.lru_cache(4)
def open_archive(name: str) -> dict[str, tuple[Pair, ...]]:
  """The pairs of a named corpus by split.

  Raises:
    ConfigError: a file cannot be downloaded, differs from the release, or is
      damaged.
  """
  release, setting = archives()[name], Setting('corpus', name)
  listed = listed_files(release.listed)
  with lock(cache_folder()):
    paths = fetch_all([listed[file] for file in release.files], setting)
  pairs: dict[str, list[Pair]] = {}
  try:
    for pair, split in release.read(paths):
      pairs.setdefault(split, []).append(pair)
  except BROKEN as error:
    rule = f'{paths[0]} cannot be read: {error}'
    raise ConfigError('corpus', name, rule) from None
  if VALIDATION not in pairs:
    whole, pairs['train'], pairs[VALIDATION] = pairs['train'], [], []
    for pair in whole:
      held_out = split_of_source(pair.source) == VALIDATION
      pairs[VALIDATION if held_out else 'train'].append(pair)
  return {split: tuple(found) for split, found in pairs.items()}


def _read_lines(paths: Sequence[Path]) -> Placed:
  """Two files whose lines are translations."""
  texts = [path.read_text(encoding='utf-8').splitlines() for path in paths]
  rule = f'{paths[0].name} and {paths[1].name} have other numbers of lines'
  require(len(texts[0]) == len(texts[1]), 'corpus', str(paths[0]), rule)
  for source, target in zip(*texts, strict=True):
    pair = Pair(source.strip(), target.strip())
    if all(pair):
      yield pair, split_of_source(pair.source)


def _read_words(paths: Sequence[Path]) -> Placed:
  """A CoNLL-U file for each split: forms and parts of speech."""
  for path, split in zip(paths, ('train', VALIDATION, 'test'), strict=True):
    for pair in read_sentences(path, '2', '4'):
      yield pair, split


def _members(path: Path, suffix: str) -> Iterator[tuple[PurePosixPath, str]]:
  """The texts of an archive's files with this ending, in order of the file."""
  if path.suffix == '.zip':
    with zipfile.ZipFile(path) as whole:
      for name in sorted(whole.namelist()):
        if name.endswith(suffix):
          yield PurePosixPath(name), whole.read(name).decode()
    return
  with tarfile.open(path, mode='r|gz') as archive:
    for member in archive:
      if member.isfile() and member.name.endswith(suffix):
        file = archive.extractfile(member)
        assert file is not None, 'a regular member has content'
        yield PurePosixPath(member.name), file.read().decode()


def _read_news(paths: Sequence[Path]) -> Placed:
  """`train.csv` and `test.csv`: class from 1, title, description."""
  for place, text in _members(paths[0], '.csv'):
    for number, title, description in csv.reader(io.StringIO(text)):
      pair = Pair(f'{title} {description}'.strip(), NEWS[int(number) - 1])
      yield pair, place.stem


def _read_reviews(paths: Sequence[Path]) -> Placed:
  """`aclImdb/SPLIT/LABEL/NUMBER.txt`; those without a label are left out."""
  for place, text in _members(paths[0], '.txt'):
    label = place.parent.name
    if label in ('pos', 'neg'):
      yield Pair(text.strip(), label), place.parent.parent.name


def _read_mails(paths: Sequence[Path]) -> Placed:
  """`.../SPLIT/NAME.subject`: the mail, `@subject`, the subject, others."""
  for place, text in _members(paths[0], '.subject'):
    mail, _, rest = text.partition('\n@subject\n')
    subject = rest.partition('\n\n')[0]
    split = place.parent.name
    pair = Pair(mail.strip(), ' '.join(subject.split()))
    if all(pair):
      yield pair, VALIDATION if split == DEV else split
