"""Language modelling: predict the next token of a text, in parallel streams.

Specification: a split of n tokens has n - 1 labels: every token but the first.
With carry_over, row b of B reads stream b of the split, labels b k to
(b + 1) k - 1 with k = ceil((n - 1) / B), T labels per step. So row b of a step
continues row b of the step before. After ceil(k / T) steps the epoch ends and
each stream starts again. Without carry_over, rows are windows of T tokens that
start `stride` tokens apart; only the last `stride` labels of a window have a
weight, and all of the first window's. Positions after the end of a stream read
token 0 and have weight 0.
Order: the text's own. With order='shuffled', training reads the documents (then
cut into streams) or the windows in an order that seed and epoch determine.
Labels: every label of the split exactly once per epoch, for any B and T.
Reset: at the start of a stream or window, at the start of a document if
`reset_at_documents`, and after each `reset_every` tokens of a stream. A newline
is between two documents.
Metrics: `loss`, nats per token, and `accuracy`. The nats of all labels are
divided by the amount of text in the labels (contents.py): `bits_per_byte`;
`bits_per_character` if the corpus is UTF-8; and, if tokens are words or pieces
of words, `perplexity_per_word`, the exponential of nats per word. A word
belongs to the label in which it begins, after white space. An end of line is a
word too, except in pg19.
  characters: a character that the training text does not contain costs the nats
    of the unknown symbol and ln(1,112,064 - known symbols) more, to identify
    it, so that the bits are those of a decodable code. Its number of bytes is
    the mean over the split, which is exact over an epoch.
  words: only perplexity, and the unknown word is one word, as in the
    literature. Compare figures with the same vocabulary only.
Baseline: `xz -9` on the split, for splits of at most 16 MB.
"""

import dataclasses
import functools
import math

import jax
import numpy as np

from memjax.data.corpora import Corpora, Place, open_corpora, places_of_mix
from memjax.data.corpus import CORPORA, open_ids
from memjax.data.file_tokenizer import FileTokenizer, read_tokenizer
from memjax.data.mixture import Mixture, parse_mix
from memjax.data.order import ORDERS
from memjax.data.splits import SPLITS, FileOptions
from memjax.data.text_metrics import text_metrics
from memjax.data.text_rows import TextRows
from memjax.data.token_files import Split
from memjax.data.tokenizers import (
  BPE,
  KINDS,
  Bytes,
  Tokenizer,
  Words,
)
from memjax.errors import ConfigError, nearest, require
from memjax.tasks.base import (
  TRAINING,
  Stream,
  Task,
  class_metrics,
  class_scores,
  positive,
)
from memjax.tasks.stages import parse_parts, rows_of_step
from memjax.types import Batch, HostBatch, Metrics, Tokens

IDS = 'ids'
SMALLEST_VOCAB = {Words.kind: 3, BPE.kind: Bytes.vocab + 1, IDS: 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Task):
  """The next token of a corpus.

  Attributes:
    corpus: 'standard_library', Python's own source on this machine; 'files',
      the user's; or a released corpus: 'tiny_shakespeare', 'enwik8', 'text8',
      'wikitext-2', 'wikitext-103', both also with '-raw', or 'pg19'.
    path: the file or folder of 'files', else empty. Names such as train.txt,
      wiki.valid.tokens and test/ say a split; see docs/data.md.
    validation_path, test_path: file or folder of a split of 'files'; `path` is
      then the training text alone.
    split_names: False cuts all files of `path` 90/5/5, whatever their names.
    include: which files of a folder are read: patterns of their names, such as
      '*.md,*.txt'; empty: all.
    field: the field of a JSON, CSV, parquet or arrow record with its text.
    tokens: 'bytes', 'characters', 'words' or 'bpe'; 'ids': the files are token
      ids, uint16 or uint32 in .bin or any integers in .npy.
    vocab: vocabulary size for 'bpe' and 'words'; 0: unlimited ('words' only).
      For 'ids' it is needed, if no tokenizer is given.
    tokenizer: a tokenizer.json file that replaces `tokens`, or decodes 'ids'.
    length: T, number of tokens that a row reads in a step.
    split: 'train', 'validation' or 'test': as released, or 90, 5 and 5 % of
      the bytes.
    reset_at_documents: whether memory is also reset where a document starts.
    carry_over: whether row b of a step continues row b of the step before;
      else every row starts with an empty memory.
    stride: S, tokens between the starts of windows; 0: T. With carry_over
      the stride must be T.
    order: 'as_is' or 'shuffled': training reads the documents with carry_over,
      the windows without, in another order in each epoch. Evaluation sets
      always read a text as it is.
    mix: several corpora and the share of each in every batch of training, such
      as 'tiny_shakespeare:0.7,notes:0.3', in place of `corpus` and `path`; a
      name that is no corpus is a path. Evaluation sets read one corpus after
      another, each label once.
    reset_every: number of tokens of a stream after which memory is also reset;
      0: never. With carry_over only.
    curriculum: shorter windows in training, by the step at which each begins,
      as in '0 length=64; 2000 length=128; 5000'. With carry_over, resets that
      become rare, as in '0 reset_every=128; 2000 reset_every=512; 5000'.
  """

  corpus: str = 'standard_library'
  path: str = ''
  validation_path: str = ''
  test_path: str = ''
  split_names: bool = True
  include: str = ''
  field: str = 'text'
  tokens: str = 'bytes'
  vocab: int = 0
  tokenizer: str = ''
  length: int = 128
  split: str = 'train'
  reset_at_documents: bool = False
  carry_over: bool = True
  stride: int = 0
  order: str = 'as_is'
  mix: str = ''
  reset_every: int = 0
  curriculum: str = ''
  _tokenizer: Tokenizer | None = None  # given by `with_tokenizer`
  measures_positions = True
  measures_classes = True

  def __post_init__(self) -> None:
    positive(self, 'length')
    for field, known in (
      ('corpus', CORPORA),
      ('tokens', (*KINDS, IDS)),
      ('split', SPLITS),
      ('order', ORDERS),
    ):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    rule = f'must be from 0 to length, {self.length}'
    require(0 <= self.stride <= self.length, 'stride', self.stride, rule)
    rule = 'needs carry_over=false: windows that overlap are independent rows'
    whole = self.stride in (0, self.length)
    require(whole or not self.carry_over, 'stride', self.stride, rule)
    every, rule = self.reset_every, 'must be at least 0; needs carry_over=true'
    fits = every == 0 or (every > 0 and self.carry_over)
    require(fits, 'reset_every', every, rule)
    if self.mix:
      parse_mix(self.mix)
      rule = 'must stay as it is where mix names the corpora'
      for field, unset in (('corpus', Text.corpus), ('path', '')):
        value = getattr(self, field)
        require(value == unset, field, value, rule)
    files = self.corpus == 'files'
    rule = 'must be given' if files else "belongs to corpus='files' only"
    require(bool(self.path) == files, 'path', self.path, rule)
    rule = "belongs to corpus='files' only"
    for field in ('validation_path', 'test_path', 'include'):
      value = getattr(self, field)
      belongs = files or (bool(self.mix) and field == 'include')
      require(belongs or not value, field, value, rule)
    rule = "'ids' belongs to corpus='files' only"
    require(files or self.tokens != IDS, 'tokens', self.tokens, rule)
    rule = "must be 'bytes', the default, or 'ids' beside task.tokenizer"
    alone = not self.tokenizer or self.tokens in (Bytes.kind, IDS)
    require(alone, 'tokens', self.tokens, rule)
    self._check_vocab()

  def _check_vocab(self) -> None:
    least = SMALLEST_VOCAB.get(self.tokens, math.inf)
    rule = f'must be at least {least} for tokens={self.tokens!r}'
    if self.tokens not in SMALLEST_VOCAB:
      rule = "belongs to tokens='words', 'bpe' and 'ids' only"
    needed = self.tokens in (BPE.kind, IDS) and not self.tokenizer
    default = self.vocab == 0 and not needed
    require(default or self.vocab >= least, 'vocab', self.vocab, rule)

  def prepare(self) -> None:
    rule = 'needs carry_over=false: streams would jump where a part begins; '
    rule += 'a part of a stream sets reset_every'
    parts = parse_parts(self, 'curriculum')
    for part in parts if self.carry_over else ():
      same = {'reset_every': self.reset_every, 'curriculum': self.curriculum}
      stays = dataclasses.replace(part.task, **same) == self
      require(stays, 'curriculum', self.curriculum, rule)
    for corpus in self._corpora.corpora.values():
      place, has = corpus.source.place, ', '.join(corpus.splits)
      rule = f'no name in {place} says it; there is {has}. An evaluation set '
      rule += 'with every=0 is left out'
      require(self.split in corpus.splits, 'split', self.split, rule)
      split, need = corpus.splits[self.split], self.length + 1
      rule = f'has {len(split.tokens)} tokens in {place}; a row of length '
      rule += f'{self.length} needs {need}'
      require(len(split.tokens) >= need, 'split', self.split, rule)
      rule = f'needs several documents, {place} is one; carry_over=false '
      rule += 'shuffles windows'
      shuffled = self.order == 'shuffled' and self.split == 'train'
      several = len(split.starts) > 1 or not self.carry_over
      require(several or not shuffled, 'order', self.order, rule)

  @functools.cached_property
  def _corpora(self) -> Corpora:
    options = FileOptions(
      validation_path=self.validation_path,
      test_path=self.test_path,
      include=self.include,
      field=self.field,
      split_names=self.split_names,
    )
    tokenizer = self._given_tokenizer
    if self.tokens == IDS:
      vocab = self.vocab or (tokenizer.vocab if tokenizer else 0)
      corpus = open_ids(self.path, vocab, tokenizer, options)
      return Corpora({self.path: corpus}, (1,))
    places = [Place(self.corpus, self.path)]
    if self.mix:
      places = places_of_mix(self.mix)
    return open_corpora(places, self.tokens, self.vocab, tokenizer, options)

  @functools.cached_property
  def _file_tokenizer(self) -> Tokenizer | None:
    return read_tokenizer(self.tokenizer) if self.tokenizer else None

  @property
  def _given_tokenizer(self) -> Tokenizer | None:
    return self._tokenizer or self._file_tokenizer

  @property
  def _splits(self) -> list[Split]:
    return self._corpora.splits(self.split)

  @property
  def text_tokenizer(self) -> Tokenizer | None:
    """Between text and tokens; None for 'ids' without a tokenizer."""
    return self._given_tokenizer or self._corpora.tokenizer

  def tokens_of(self, split: str) -> list[np.ndarray]:
    """The tokens of a split, of each corpus."""
    return [part.tokens for part in self._corpora.splits(split)]

  def describe(self) -> list[str]:
    return self._corpora.describe()

  def data_faults(self) -> list[str]:
    return self._corpora.faults()

  def with_tokenizer(self, tokenizer: Tokenizer | None) -> 'Text':
    if self.tokens == IDS:
      rule = 'the model was trained with another tokenizer than task.tokenizer'
      same = self._file_tokenizer == tokenizer
      require(same, 'tokens', self.tokens, rule)
      return self
    if tokenizer is None:
      raise ConfigError(
        'name',
        type(self).__name__,
        'is text; the model was not trained on text',
      )
    rule = f'the model was trained with tokens={tokenizer.kind!r}'
    kind = FileTokenizer.kind if self.tokenizer else self.tokens
    require(kind == tokenizer.kind, 'tokens', kind, rule)
    return dataclasses.replace(self, _tokenizer=tokenizer)

  @property
  def input_spec(self) -> Tokens:
    tokenizer = self.text_tokenizer
    if tokenizer is None or (self.tokens == IDS and self.vocab):
      return Tokens(self.vocab)
    return Tokens(tokenizer.vocab)

  output_spec = input_spec

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    if self.tokens == Words.kind:
      return {}
    corpus = self._corpora.alone
    if corpus is None or (xz := corpus.xz_bytes(self.split)) is None:
      return {}
    split = corpus.splits[self.split]
    figures = {'bits_per_byte': {'xz -9': 8 * xz / split.bytes}}
    if corpus.utf8:
      per_character = 8 * xz / split.characters
      figures['bits_per_character'] = {'xz -9': per_character}
    return figures

  def fingerprint(self) -> str:
    return self._corpora.fingerprint

  def epoch_steps(self, batch_size: int) -> int:
    return self._mixture.epoch_steps(batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    if self.curriculum and stream.number == TRAINING:
      return rows_of_step(self, stream, step, row_ids)
    mixture, size = self._mixture, stream.batch_size
    row_R = row_ids.astype(np.int64)
    if stream.number != TRAINING:
      return mixture.read_in_turn(size, step, row_R)
    seed = (stream.seed, TRAINING) if self.order == 'shuffled' else ()
    return mixture.read_mixed(size, step, row_R, seed)

  @property
  def documents(self) -> list[str]:
    return self._corpora.document_names(self.split)

  def label_documents(
    self, stream: Stream, step: int, row_ids: np.ndarray
  ) -> np.ndarray:
    row_R = row_ids.astype(np.int64)
    return self._mixture.label_documents(stream.batch_size, step, row_R)

  @functools.cached_property
  def _mixture(self) -> Mixture:
    """How the splits are cut into rows."""
    texts = [
      TextRows(
        tokens=split.tokens,
        starts=split.starts,
        length=self.length,
        stride=self.row_stride,
        carry_over=self.carry_over,
        reset_at_documents=self.reset_at_documents,
        reset_every=self.reset_every,
      )
      for split in self._splits
    ]
    return Mixture(texts, self._corpora.shares)

  def batch(self, host_batch: HostBatch) -> Batch:
    return host_batch

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return self.measure_classes(*class_scores(y, batch.targets), batch)

  def measure_classes(
    self, nats_BT: jax.Array, right_BT: jax.Array, batch: Batch
  ) -> Metrics:
    metrics = class_metrics(nats_BT, right_BT, batch)
    corpora = self._corpora
    return metrics | text_metrics(
      metrics['loss'].sum,
      batch,
      corpora.tokenizer,
      corpora.amounts(self.split),
      utf8=corpora.utf8,
      line_ends=corpora.line_ends,
    )

  @property
  def row_stride(self) -> int:
    return self.stride or self.length
