"""PG-19: books of Project Gutenberg from before 1919; each is a document.

Rae et al. 2019, https://arxiv.org/abs/1911.05507: 28,602 books to train on, 50
for validation and 100 for test, 11.5 GB, each a file on Google's storage. Text,
records and tokens together take three times that on disk, and every start reads
all of it. Books are sorted by file name. As in the paper, perplexity per word
counts words only, not ends of lines.

The list of books comes from a file that huggingface/datasets recorded, at a
fixed commit. It gives the size and the SHA-256 of each book. No digest of the
list itself has been published, so the list is identified by its commit, its
size and its number of books. Every book is checked against the list, whether it
was downloaded or lies in `downloads/manual/pg19/SPLIT/NUMBER.txt`. To read only
some of the books, use corpus='files'.
"""

import json
from pathlib import Path

from memjax.data.download import File, Setting, fetch, fetch_all
from memjax.data.splits import SPLITS
from memjax.errors import require

NAME = 'pg19'
BOOKS = {'train': 28_602, 'validation': 50, 'test': 100}
BUCKET = 'https://storage.googleapis.com/deepmind-gutenberg'
LISTED_AS = 'gs://deepmind-gutenberg'
_COMMIT = '6ce73f6263f9fc3df0db84ae7f937d27a5c208f7'
LIST = File(
  'https://raw.githubusercontent.com/huggingface/datasets/'
  f'{_COMMIT}/datasets/pg19/dataset_infos.json',
  f'{NAME}/dataset_infos.json',
  4_190_146,
  '',
)


def fetch_books(setting: Setting) -> dict[str, list[Path]]:
  """{split: paths of its books}; downloads each missing book.

  Raises:
    ConfigError: a book cannot be downloaded, or differs from the release.
  """
  list_path = fetch(LIST, setting)
  listed = json.loads(list_path.read_bytes())['default']['download_checksums']
  files: dict[str, list[File]] = {split: [] for split in SPLITS}
  for address, entry in sorted(listed.items()):
    path = address.removeprefix(f'{LISTED_AS}/')
    split, _, name = path.partition('/')
    if name:
      size, sha256 = entry['num_bytes'], entry['checksum']
      book = File(f'{BUCKET}/{path}', f'{NAME}/{path}', size, sha256)
      files[split].append(book)
  counts = {split: len(books) for split, books in files.items()}
  rule = f'{list_path} lists {counts} books, not {BOOKS}'
  require(counts == BOOKS, setting.field, setting.value, rule)
  paths = fetch_all(
    [file for split in SPLITS for file in files[split]], setting
  )
  start, end = BOOKS['train'], BOOKS['train'] + BOOKS['validation']
  parts = paths[:start], paths[start:end], paths[end:]
  return dict(zip(SPLITS, parts, strict=True))
