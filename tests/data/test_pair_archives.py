"""Named corpora: their addresses, and the pairs in files of their form."""

from collections.abc import Callable, Iterator
import hashlib
import io
from pathlib import Path
import re
import tarfile
import zipfile

import pytest

from memjax.data import pair_archives
from memjax.data.download import File
from memjax.data.pair_archives import archives, listed_files, open_archive
from memjax.data.pair_files import Pair
from memjax.errors import ConfigError
from memjax.tasks.language.pairs import Pairs
from tests.served import served


@pytest.fixture(autouse=True)
def downloads(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
  monkeypatch.setenv('MEMJAX_CACHE', str(tmp_path / 'cache'))
  open_archive.cache_clear()
  yield tmp_path / 'cache' / 'downloads'
  open_archive.cache_clear()


def tarred(files: dict[str, str]) -> bytes:
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode='w:gz') as archive:
    for name, text in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(text.encode())
      archive.addfile(member, io.BytesIO(text.encode()))
  return out.getvalue()


def zipped(files: dict[str, str]) -> bytes:
  out = io.BytesIO()
  with zipfile.ZipFile(out, 'w') as archive:
    for name, text in files.items():
      archive.writestr(name, text)
  return out.getvalue()


REVIEWS = {
  'aclImdb/README': 'no review',
  'aclImdb/train/pos/0_9.txt': 'Good.',
  'aclImdb/train/neg/0_1.txt': 'Bad\n',
  'aclImdb/train/unsup/0_0.txt': 'Unknown',
  'aclImdb/test/pos/1_8.txt': 'Fine',
}
NEWS = {
  'ag_news_csv/train.csv': '"3","Oil rises","Up, by ""two""."\n"1","A","B"\n',
  'ag_news_csv/test.csv': '"4","Chip","Small"\n',
  'ag_news_csv/classes.txt': 'World\n',
}
MAIL = 'Dear all,\n\nsee you.\n\n@subject\nThe meeting\n\n@ann0\nMeeting\n\n'
FOLDER = 'AESLC-master/enron_subject_line'
MAILS = {f'{FOLDER}/{s}/a.subject': f'{s}: {MAIL}' for s in ('train', 'dev')}
WORDS = "# text\n1-2\tdon't\t_\t_\n1\tdo\tdo\tAUX\n2\tn't\tnot\tPART\n\n"
CONTENTS: dict[str, dict[str, bytes]] = {
  'imdb': {'aclImdb_v1.tar.gz': tarred(REVIEWS)},
  'ag_news': {'ag_news_csv.tar.gz': tarred(NEWS)},
  'aeslc': {'AESLC-master.zip': zipped(MAILS)},
  'tatoeba/deu-eng': {
    'tatoeba.deu-eng.deu': 'Häuser\nJa \n\n'.encode(),
    'tatoeba.deu-eng.eng': b'Houses\nYes\nNothing\n',
  },
  'ud_english_ewt': {
    f'en_ewt-ud-{part}.conllu': WORDS.replace('do\t', f'{part}\t').encode()
    for part in ('train', 'dev', 'test')
  },
}
EXPECTED = {
  'imdb': {('Good.', 'pos'), ('Bad', 'neg'), ('Fine', 'pos')},
  'ag_news': {
    ('Oil rises Up, by "two".', 'Business'),
    ('A B', 'World'),
    ('Chip Small', 'Sci/Tech'),
  },
  'aeslc': {
    (f'{split}: Dear all,\n\nsee you.', 'The meeting')
    for split in ('train', 'dev')
  },
  'tatoeba/deu-eng': {('Häuser', 'Houses'), ('Ja', 'Yes')},
  'ud_english_ewt': {
    (f"{part} n't", 'AUX PART') for part in ('train', 'dev', 'test')
  },
}


def listing(address: str, contents: dict[str, bytes]) -> Callable:
  """What stands in for the lists of tensorflow-datasets."""
  files = {
    name: File(
      f'{address}/{name}', name, len(text), hashlib.sha256(text).hexdigest()
    )
    for name, text in contents.items()
  }
  return lambda listed: files


@pytest.mark.parametrize('name', CONTENTS)
def test_pairs_are_read_from_a_download(
  name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  archives()  # with the real lists
  with served(monkeypatch, CONTENTS[name]) as (address, requests):
    files = listing(address, CONTENTS[name])
    monkeypatch.setattr(pair_archives, 'listed_files', files)
    pairs = open_archive(name)
    assert sorted(requests) == sorted(CONTENTS[name])
    open_archive.cache_clear()
    assert open_archive(name) == pairs
    assert sorted(requests) == sorted(CONTENTS[name]), 'downloaded once'
  found = [pair for split in pairs.values() for pair in split]
  assert {*found} == {Pair(*pair) for pair in EXPECTED[name]}
  assert len(found) == len(EXPECTED[name])
  if name == 'aeslc':
    assert pairs['validation'][0].source.startswith('dev:')
  if name in ('imdb', 'ag_news'):
    assert len(pairs['test']) == 1
  if name == 'ud_english_ewt':
    assert pairs['validation'][0].source == "dev n't"


def test_a_file_that_was_placed_by_hand_is_checked_and_read(
  downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  archives()
  files = listing('http://127.0.0.1:9', CONTENTS['imdb'])
  monkeypatch.setattr(pair_archives, 'listed_files', files)
  ((name, text),) = CONTENTS['imdb'].items()
  (downloads / 'manual').mkdir(parents=True)
  placed = downloads / 'manual' / name
  placed.write_bytes(text)
  assert open_archive('imdb')['test'] == (Pair('Fine', 'pos'),)
  open_archive.cache_clear()
  placed.write_bytes(text[:-1])
  with pytest.raises(ConfigError, match=r'^corpus: .*the released file has'):
    open_archive('imdb')


def test_five_percent_of_train_are_validation_where_there_is_none(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  archives()
  mails = {f'aclImdb/train/pos/{n}_9.txt': f'Review {n}' for n in range(1000)}
  contents = {'aclImdb_v1.tar.gz': tarred(mails)}
  with served(monkeypatch, contents) as (address, _):
    files = listing(address, contents)
    monkeypatch.setattr(pair_archives, 'listed_files', files)
    pairs = open_archive('imdb')
  assert 30 < len(pairs['validation']) < 70
  assert len(pairs['validation']) + len(pairs['train']) == 1000


def test_every_corpus_has_files_with_a_digest() -> None:
  assert {'imdb', 'ag_news', 'aeslc', 'ud_english_ewt'} < archives().keys()
  assert len([name for name in archives() if 'tatoeba' in name]) == 72
  for name, release in archives().items():
    for file in release.files:
      entry = listed_files(release.listed)[file]
      assert re.fullmatch('[0-9a-f]{64}', entry.sha256), name
      assert entry.url.startswith('http'), name
  german = listed_files('tatoeba')['tatoeba.deu-eng.deu']
  assert german.url.endswith('/LASER/main/data/tatoeba/v1/tatoeba.deu-eng.deu')
  assert german.size == 57_121


def test_a_task_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
  archives()
  contents = CONTENTS['ud_english_ewt']
  with served(monkeypatch, contents) as (address, _):
    files = listing(address, contents)
    monkeypatch.setattr(pair_archives, 'listed_files', files)
    task = Pairs(
      corpus='ud_english_ewt', answer='tags', tokens='words', length=8
    )
    task.prepare()
  assert task.describe() == ['train: 1 pairs in 1 rows']
  assert task.text_tokenizer.classes == ('AUX', 'PART')
  with pytest.raises(ConfigError) as error:
    Pairs(corpus='tatoeba/de-en')
  assert 'corpus' in str(error.value)
  assert 'tatoeba/deu-eng' in str(error.value)
