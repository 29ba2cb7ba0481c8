"""One corpus, or several in a mix, under one tokenizer."""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from memjax.data.cache import read_filled
from memjax.data.corpus import CORPORA, Corpus, fit_to, open_corpus, open_source
from memjax.data.describe import describe_corpus
from memjax.data.mixture import parse_mix
from memjax.data.sources import digest
from memjax.data.splits import DEFAULTS, FileOptions
from memjax.data.token_files import Split
from memjax.data.tokenizer import Tokenizer
from memjax.errors import ConfigError


@dataclasses.dataclass(frozen=True, eq=False)
class Corpora:
  """Corpora with one tokenizer, and the share of each.

  Attributes:
    corpora: {name: corpus}, in the order of the mix.
    shares: an integer for each.
  """

  corpora: dict[str, Corpus]
  shares: tuple[int, ...]

  @property
  def alone(self) -> Corpus | None:
    """The only corpus; None if there are several."""
    several = len(self.corpora) > 1
    return None if several else next(iter(self.corpora.values()))

  @property
  def tokenizer(self) -> Tokenizer | None:
    """The tokenizer of all of them; None for token ids without one."""
    return next(iter(self.corpora.values())).tokenizer

  @property
  def utf8(self) -> bool:
    """Whether all text is UTF-8."""
    return all(corpus.utf8 for corpus in self.corpora.values())

  @property
  def line_ends(self) -> bool:
    """Whether an end of line counts as a word in all of them."""
    return all(c.source.line_ends for c in self.corpora.values())

  @property
  def fingerprint(self) -> str:
    """Identifies the text of all of them, and the tokenizer."""
    parts = [corpus.source.fingerprint for corpus in self.corpora.values()]
    if self.tokenizer is not None:
      parts.append(self.tokenizer.digest)
    return digest([part.encode() for part in parts])

  def splits(self, split: str) -> list[Split]:
    """That split of each corpus."""
    return [corpus.splits[split] for corpus in self.corpora.values()]

  def amounts(self, split: str) -> Split:
    """That split's amounts of text, added over the corpora.

    With several corpora, only the number of tokens and documents is right.
    """
    parts = self.splits(split)
    if self.alone:
      return parts[0]

    def nothing(lengths: list[int]) -> np.ndarray:
      return np.broadcast_to(np.uint8(0), sum(lengths))

    counts = {
      field.name: sum(getattr(part, field.name) for part in parts)
      for field in dataclasses.fields(Split)
      if field.name not in ('tokens', 'starts')
    }
    return Split(
      nothing([len(part.tokens) for part in parts]),
      nothing([len(part.starts) for part in parts]),
      **counts,
    )

  def describe(self) -> list[str]:
    """Lines for the start of a run."""
    lines = []
    for corpus, share in zip(self.corpora.values(), self.shares, strict=True):
      first, *others = describe_corpus(corpus)
      if not self.alone:
        first += f', {share / sum(self.shares):.1%} of training'
      lines += [first, *others]
    return lines

  def faults(self) -> list[str]:
    """What differs from the files as they were prepared, a line each.

    It reads and hashes every file, where a start trusts sizes and times.
    """
    lines = []
    for corpus in self.corpora.values():
      source, tokens = corpus.source, corpus.folder / 'tokens'
      lines += [
        f'{place} is damaged; the next start prepares it again'
        for place in sorted(tokens.glob(f'{source.fingerprint}-*'))
        if read_filled(place, hashed=True) is None
      ]
      lines += [
        f'{file.path} has changed since it was prepared'
        for file in source.files
        if not source.is_unchanged(file)
      ]
    return lines

  def document_names(self, split: str) -> list[str]:
    """The names of the split's documents, corpus by corpus."""
    if self.alone:
      return self.alone.document_names(split)
    return [
      f'{name}/{document}'
      for name, corpus in self.corpora.items()
      for document in corpus.document_names(split)
    ]


class Place(NamedTuple):
  """Where a corpus is, and its share; see `open_corpus`."""

  corpus: str
  path: str
  share: int = 1


def places_of_mix(mix: str) -> list[Place]:
  """The corpora of `task.mix`; a name that is no corpus is a path.

  Raises:
    ConfigError: see `parse_mix`.
  """
  named = {name for name in CORPORA if name != 'files'}
  return [
    Place(name, '', share) if name in named else Place('files', name, share)
    for name, share in parse_mix(mix).items()
  ]


def open_corpora(
  places: Sequence[Place],
  tokens: str,
  vocab: int,
  tokenizer: Tokenizer | None = None,
  options: FileOptions = DEFAULTS,
) -> Corpora:
  """One corpus, or several.

  Args:
    places: where they are.
    tokens, vocab: of the tokenizer that is fitted to all training texts.
    tokenizer: encodes the text; None: the fitted one.
    options: which files of a path are read, and how.

  Raises:
    ConfigError: see `open_corpus`. With several corpora the field of a path is
      'mix'.
  """
  try:
    if tokenizer is None:
      sources = [open_source(p.corpus, p.path, options) for p in places]
      tokenizer = fit_to(sources, tokens, vocab)
    corpora = {
      p.path or p.corpus: open_corpus(
        p.corpus, p.path, tokens, vocab, tokenizer, options
      )
      for p in places
    }
  except ConfigError as error:
    if error.field != 'path' or len(places) == 1:
      raise
    raise ConfigError('mix', error.value, error.rule) from None
  return Corpora(corpora, tuple(place.share for place in places))
