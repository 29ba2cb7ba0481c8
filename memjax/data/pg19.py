"""PG-19: books of Project Gutenberg from before 1919, a document each.

Rae et al. 2019, https://arxiv.org/abs/1911.05507: 28,602 books to train on, 50
for validation and 100 for test, 11.5 GB, each a file on Google's storage. As
text, records and tokens they take three times that on the disk, and every start
reads them through. They are in the order of their file names. Perplexity per
word counts words alone, not the ends of lines, as there.

Which books there are, with the size and the SHA-256 of each, is read off the
file that huggingface/datasets recorded, at a fixed commit. For that file itself
no digest has been published: it is known by its commit, its size and the number
of books. Every book, fetched or in `downloads/manual/pg19/SPLIT/NUMBER.txt`, is
checked against it. Who has only some of the books reads them as corpus='files'.
"""

import json
from pathlib import Path

from memjax.data.download import Asked, File, fetched, fetched_all
from memjax.data.sources import SPLITS
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


def books(asked: Asked) -> dict[str, list[Path]]:
  """{split: its books}, each fetched unless it is there.

  Raises:
    ConfigError: one cannot be fetched, or is not what was released.
  """
  place = fetched(LIST, asked)
  listed = json.loads(place.read_bytes())['default']['download_checksums']
  files: dict[str, list[File]] = {split: [] for split in SPLITS}
  for address, known in sorted(listed.items()):
    inside = address.removeprefix(f'{LISTED_AS}/')
    split, _, name = inside.partition('/')
    if name:
      size, sha256 = known['num_bytes'], known['checksum']
      book = File(f'{BUCKET}/{inside}', f'{NAME}/{inside}', size, sha256)
      files[split].append(book)
  counts = {split: len(each) for split, each in files.items()}
  rule = f'{place} lists {counts} books, not {BOOKS}'
  require(counts == BOOKS, asked.field, asked.value, rule)
  paths = fetched_all(
    [file for split in SPLITS for file in files[split]], asked
  )
  start, end = BOOKS['train'], BOOKS['train'] + BOOKS['validation']
  cut = paths[:start], paths[start:end], paths[end:]
  return dict(zip(SPLITS, cut, strict=True))
