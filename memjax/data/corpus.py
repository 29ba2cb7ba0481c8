"""Prepared corpora: recorded once, tokenised once, then memory-mapped.

The cache folder contains:
  records/FINGERPRINT/         the documents, a TFDS data set; not of text that
                               is large or lies in this folder already
  tokenizers/FINGERPRINT-KIND-N.json
                               the tokenizer of a training text, with at most N
                               symbols
  tokens/FINGERPRINT-DIGEST/   the tokens of each split with the tokenizer of
                               that digest, the positions where its documents
                               start, and meta.json: sizes, times, SHA-256s
  downloads/, unpacked/        downloaded files
  known.sqlite                 digests of files that are read only once
The fingerprint depends on the text, so a changed file is another corpus. Files
that have changed in size or time, and have another SHA-256, are prepared again.
One lock protects the folder, so several processes may prepare the same corpus
at once.
"""

from collections.abc import Sequence
import dataclasses
import functools
import logging
import lzma
from pathlib import Path

from memjax.data.cache import (
  cache_folder,
  lock,
  read_filled,
  read_record,
  write_record,
)
from memjax.data.ids import id_files, scan_ids
from memjax.data.local_sources import standard_library, text_files
from memjax.data.records import Reader, open_records, regroup_words
from memjax.data.released import NAMES, open_released
from memjax.data.scan import scan
from memjax.data.sources import Source, digest
from memjax.data.splits import DEFAULTS, FileOptions
from memjax.data.token_files import Split, not_utf8, open_split, write_tokens
from memjax.data.tokenizer import Tokenizer
from memjax.data.tokenizers import Bytes, fit_tokenizer, from_json

CORPORA = ('standard_library', 'files', *NAMES)
XZ_LIMIT = 16 << 20  # bytes; compressing them takes about 20 seconds
RECORDED = 256 << 20  # bytes of text that are at most recorded

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
  """A prepared corpus.

  Attributes:
    source: the documents, their splits and their fingerprint.
    tokenizer: the tokenizer of all splits; None for token ids without one.
    utf8: whether the whole text is UTF-8.
    splits: train, validation and, if the corpus has one, test.
    folder: the cache folder.
  """

  source: Source
  tokenizer: Tokenizer | None
  utf8: bool
  splits: dict[str, Split]
  folder: Path

  def document_names(self, split: str) -> list[str]:
    """The paths of a split's documents below the corpus's place, in order.

    A record has its number behind the path, from 1. A document that a cut
    divides is in both splits.
    """
    return self.source.document_names(split)

  def xz_bytes(self, split: str) -> int | None:
    """The size of a split's text compressed by `xz -9`; None above 16 MB,
    and for token ids.

    The first call takes seconds. The result is kept in the cache folder.
    """
    size = self.splits[split].bytes
    if not 0 < size <= XZ_LIMIT:
      return None
    path = self.folder / 'xz' / f'{self.source.fingerprint}-{split}.json'
    record = read_record(path)
    if record is None:
      with lock(self.folder):
        pieces = _pieces(self.source, self.folder)
        text = b''.join(piece.text for piece in pieces(split))
        record = {'bytes': len(lzma.compress(text, preset=9))}
        path.parent.mkdir(exist_ok=True)
        write_record(path, record)
    return record['bytes']


def open_corpus(
  name: str,
  path: str,
  tokens: str,
  vocab: int = 0,
  tokenizer: Tokenizer | None = None,
  options: FileOptions = DEFAULTS,
) -> Corpus:
  """A corpus by name, prepared if needed; the same object for equal text.

  Args:
    name: 'standard_library', 'files' or a name in released.py.
    path: the file or folder, for 'files' only.
    tokens: 'bytes', 'characters', 'words' or 'bpe'.
    vocab: vocabulary size for 'bpe' and 'words'; 0 means unlimited ('words'
      only).
    tokenizer: encodes the text; None: the one that is fitted to the training
      split, by `tokens` and `vocab`.
    options: which files are read, and how, for 'files' only.

  Raises:
    ConfigError: the text cannot be read or downloaded, or is too short, or is
      not UTF-8 although the tokenizer needs it, or the cache folder cannot be
      used.
  """
  source = open_source(name, path, options)
  text = source.place, source.fingerprint
  fitted = f'{tokens}-{vocab}' if tokenizer is None else tokenizer.digest
  if (*text, fitted) not in _opened:
    corpus = _open(source, tokens, vocab, tokenizer)
    assert corpus.tokenizer is not None
    _opened[*text, fitted] = _opened[*text, corpus.tokenizer.digest] = corpus
  return _opened[*text, fitted]


def open_ids(
  path: str, vocab: int, tokenizer: Tokenizer | None, options: FileOptions
) -> Corpus:
  """A corpus of files of token ids; nothing is encoded.

  Args:
    path: the file or folder.
    vocab: V, every id is below it.
    tokenizer: decodes the ids; None: nothing does.
    options: which files are read.

  Raises:
    ConfigError: a file does not hold ids, or an id is outside the vocabulary.
  """
  known = min(vocab, tokenizer.vocab) if tokenizer else vocab
  source = id_files(path, known, options)
  exact = tokenizer is not None and tokenizer.exact
  splits = source.open_splits()
  return Corpus(source, tokenizer, exact, splits, cache_folder())


def open_source(
  name: str, path: str, options: FileOptions = DEFAULTS
) -> Source:
  """The source of a corpus; see `open_corpus`."""
  if name == 'files':
    return text_files(path, options)
  return standard_library() if name == 'standard_library' else _released(name)


def fit_to(sources: Sequence[Source], tokens: str, vocab: int) -> Tokenizer:
  """The tokenizer of the training texts of all sources, fitted once."""
  folder = cache_folder()
  with lock(folder):
    return _fitted(sources, tokens, vocab, folder)


_opened: dict[tuple[str, ...], Corpus] = {}
_released = functools.cache(open_released)  # a release does not change


def close_corpora() -> None:
  """Forgets every open corpus, so that the next use reads all files anew."""
  _opened.clear()
  _released.cache_clear()
  scan.cache_clear()
  scan_ids.cache_clear()


def _open(
  source: Source, tokens: str, vocab: int, tokenizer: Tokenizer | None
) -> Corpus:
  folder = cache_folder()
  with lock(folder):
    if tokenizer is None:
      tokenizer = _fitted([source], tokens, vocab, folder)
    place = folder / 'tokens' / f'{source.fingerprint}-{tokenizer.digest}'
    meta = read_filled(place)
    if meta is None:
      log.info(
        'preparing %s: %s documents, %.1f MB',
        source.place,
        f'{len(source.sizes_D):,}',
        source.size / 1e6,
      )
      pieces = regroup_words(_pieces(source, folder))
      write_tokens(place, source, tokenizer, pieces)
      meta = read_filled(place)
    if meta is None:
      raise OSError(f'the files of {place} differ from what was written')
    splits = {
      split: open_split(place, split, **meta['splits'][split])
      for split in source.spans
    }
  return Corpus(source, tokenizer, meta['utf8'], splits, folder)


def _pieces(source: Source, folder: Path) -> Reader:
  """The text of a source.

  Text that lies in the cache folder anyway is not recorded a second time, nor
  is text that TFDS, which sorts it in memory, may have no room for.
  """
  own = all(file.path.is_relative_to(folder) for file in source.files)
  if own or source.size > RECORDED:
    return source.pieces
  return open_records(source, folder / 'records')


def _fitted(
  sources: Sequence[Source], tokens: str, vocab: int, folder: Path
) -> Tokenizer:
  if tokens == Bytes.kind:
    return Bytes()
  texts = [source.fingerprint for source in sources]
  key = texts[0] if len(texts) == 1 else digest([','.join(texts).encode()])
  path = folder / 'tokenizers' / f'{key}-{tokens}-{vocab}.json'
  record = read_record(path)
  if record is None:
    readers = [regroup_words(_pieces(source, folder)) for source in sources]
    for source, pieces in zip(sources, readers, strict=True):
      if (fault := not_utf8(source, pieces)) is not None:
        raise fault
    train = (text for pieces in readers for _, _, text in pieces('train'))
    record = fit_tokenizer(tokens, train, vocab).to_json()
    path.parent.mkdir(exist_ok=True)
    write_record(path, record)
  return from_json(record)
