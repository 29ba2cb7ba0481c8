"""Pairs: read a source, then answer: a text, a class, or a tag for each word.

Translations, summaries, questions, sentiment, entities are files of pairs.

Papers: Sutskever et al. 2014, https://arxiv.org/abs/1409.3215, and Cho et al.
2014, https://arxiv.org/abs/1406.1078, for answer='tokens'.
Specification: with s_i the tokens of the source and t_j those of the target,
`|` the separator and `.` the end,

    answer    tokens                    label          tags
    inputs    s_1 s_2 |   t_1 t_2       s_1 s_2 |      s_1 s_2 s_3
    targets           t_1 t_2 .                 class  tag tag tag

The separator makes the carry the bottleneck: all that the target needs must be
in it, unless the memory keeps the source.
Memory is reset at the start of a pair, and for classes and tags at the start
of the padding, which a memory that reads both ways must not see. Rows of T
steps have as many pairs as fit, or one with packed=False. Pairs of more than T
steps are left out, and a line at the start says how many.
Split: see data/pairs.py. The rows of train are shuffled in each epoch by
seed and stream; the other splits keep their order. The last step of an epoch is
padded with rows of weight 0.
Labels: every label of the split exactly once per epoch.
Metrics: `loss`, nats per label, and `accuracy` over labels, the target so far
being given. The evaluation `overlap.Overlap`, with packed=False, measures
what a model writes on its own.
Baselines: `majority`, always answering the most frequent label of the train
split, for classes and tags.
Deviations: the papers read sources backwards, or encode them apart.
"""

from collections import Counter
from collections.abc import Iterator
import dataclasses
import functools
import hashlib
import itertools
import math

import numpy as np

from memjax.data import pair_rows
from memjax.data.file_tokenizer import FileTokenizer, read_tokenizer
from memjax.data.order import take_rows
from memjax.data.pair_archives import archives
from memjax.data.pair_rows import ANSWERS, PairRows, Steps
from memjax.data.pairs import (
  DOCSTRINGS,
  FILES,
  FUNCTIONS,
  Pair,
  PairsBySplit,
  open_pairs,
)
from memjax.data.splits import SPLITS, FileOptions
from memjax.data.tokenizers import (
  KINDS,
  Bytes,
  Marked,
  Tokenizer,
  Words,
  fit_tokenizer,
)
from memjax.errors import ConfigError, nearest, require
from memjax.tasks.base import Stream, Task, positive
from memjax.types import Batch, HostBatch, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs(Task):
  """Pairs of a source and a target.

  Attributes:
    corpus: 'docstrings' of Python's own library: what follows a docstring's
      first line, then the first line; 'functions' of it: the docstring's first
      line, then the code; 'files', the user's; or a released one, such as
      'imdb', see data/pair_archives.py.
    path: the file or folder of 'files'; docs/data.md lists the formats.
    validation_path, test_path: file or folder of a split of 'files'.
    split_names: False ignores file names that say a split.
    include: patterns of file names, such as '*.tsv'; empty: all.
    source: the field of a record that is read; a number is a column, from 1.
    target: the field that is answered.
    answer: 'tokens', 'label' (the target is a class) or 'tags' (the target has
      a tag for each word of the source, between white space).
    tokens: 'bytes', 'characters', 'words' or 'bpe'; 'words' for tags.
    vocab: vocabulary size for 'bpe' and 'words'; 0: unlimited ('words' only).
    tokenizer: a tokenizer.json file that replaces `tokens`, such as that of a
      pretrained model; not for tags.
    separator: the token of that file which ends a source, such as '[SEP]';
      empty: an id after all others, which a pretrained table does not have.
    end: the token of that file which ends a target; empty: the separator.
    length: T, number of steps of a row.
    split: 'train', 'validation' or 'test'.
    packed: whether a row has as many pairs as fit; else one.
    share: of the train pairs, the share that is used, from the first on.
  """

  corpus: str = DOCSTRINGS
  path: str = ''
  validation_path: str = ''
  test_path: str = ''
  split_names: bool = True
  include: str = ''
  source: str = 'source'
  target: str = 'target'
  answer: str = 'tokens'
  tokens: str = 'bytes'
  vocab: int = 0
  tokenizer: str = ''
  separator: str = ''
  end: str = ''
  length: int = 256
  split: str = 'train'
  packed: bool = True
  share: float = 1.0
  _tokenizer: Marked | None = None  # given by `with_tokenizer`
  score_axis = 'label_distance'
  measures_positions = True

  def __post_init__(self) -> None:
    positive(self, 'length')
    corpora = DOCSTRINGS, FUNCTIONS, FILES, *archives()
    rule = f'unknown; {nearest(self.corpus, corpora, "docs/data.md")}'
    require(self.corpus in corpora, 'corpus', self.corpus, rule)
    for field, known in (
      ('answer', ANSWERS),
      ('tokens', tuple(KINDS)),
      ('split', SPLITS),
    ):
      value = getattr(self, field)
      require(value in known, field, value, f'unknown; {nearest(value, known)}')
    files = self.corpus == FILES
    rule = 'must be given' if files else "belongs to corpus='files' only"
    require(bool(self.path) == files, 'path', self.path, rule)
    words = self.answer != 'tags' or self.tokens == Words.kind
    require(words, 'tokens', self.tokens, "must be 'words' for answer='tags'")
    rule = "must be 'bytes', the default, beside task.tokenizer"
    alone = not self.tokenizer or self.tokens == Bytes.kind
    require(alone, 'tokens', self.tokens, rule)
    for field, needed in (('separator', 'tokenizer'), ('end', 'separator')):
      value, rule = getattr(self, field), f'needs task.{needed}'
      require(not value or bool(getattr(self, needed)), field, value, rule)
    require(0 < self.share <= 1, 'share', self.share, 'must be in (0, 1]')

  def prepare(self) -> None:
    has = ', '.join(s for s in SPLITS if s in self._pairs)
    rule = f'no name or record says it; there is {has}'
    require(self.split in self._pairs, 'split', self.split, rule)
    rule = f'all {len(self._of(self.split))} pairs of {self.split} are longer'
    require(bool(self._steps), 'length', self.length, rule)

  @functools.cached_property
  def _pairs(self) -> PairsBySplit:
    options = FileOptions(
      validation_path=self.validation_path,
      test_path=self.test_path,
      include=self.include,
      split_names=self.split_names,
    )
    fields = self.source, self.target
    return open_pairs(self.corpus, self.path, options, *fields)

  def _of(self, split: str) -> tuple[Pair, ...]:
    pairs = self._pairs.get(split, ())
    used = self.share if split == 'train' else 1
    return pairs[: math.ceil(len(pairs) * used)]

  @functools.cached_property
  def text_tokenizer(self) -> Marked:
    """Fitted to the text of train; it knows marks and classes, too."""
    if self._tokenizer:
      return self._tokenizer
    if self.tokenizer:
      return self._marked(read_tokenizer(self.tokenizer))
    texts = (self._text(pair) for pair in self._of('train'))
    encoded = (text.encode() for text in texts)
    inner = fit_tokenizer(self.tokens, encoded, self.vocab)
    return Marked(inner, self._classes)

  def _marked(self, inner: FileTokenizer) -> Marked:
    """The tokenizer of a file, with its own marks if they are named."""
    if not self.separator:
      return Marked(inner, self._classes)
    separator = inner.id_of(self.separator, 'separator')
    end = inner.id_of(self.end, 'end') if self.end else separator
    return Marked(inner, self._classes, (separator, end))

  def _text(self, pair: Pair) -> str:
    parts = pair if self.answer == 'tokens' else pair[:1]
    return ''.join(f'{part}\n' for part in parts)

  def with_tokenizer(self, tokenizer: Tokenizer | None) -> 'Pairs':
    if not isinstance(tokenizer, Marked):
      name, rule = type(self).__name__, 'the model was not trained on pairs'
      raise ConfigError('name', name, rule)
    rule = f'the model was trained with tokens={tokenizer.inner.kind!r}'
    kind = FileTokenizer.kind if self.tokenizer else self.tokens
    require(kind == tokenizer.inner.kind, 'tokens', kind, rule)
    return dataclasses.replace(self, _tokenizer=tokenizer)

  @property
  def _classes(self) -> tuple[str, ...]:
    """The labels or tags of all splits, sorted; empty for tokens."""
    if self.answer == 'tokens':
      return ()
    answers = itertools.chain(*map(self._answers, SPLITS))
    return tuple(sorted(set(answers)))

  def _answers(self, split: str) -> Iterator[str]:
    """The class of each label of a split, where answers are classes."""
    for pair in self._of(split):
      yield from pair.target.split() if self.answer == 'tags' else [pair.target]

  @property
  def input_spec(self) -> Tokens:
    marks = self.text_tokenizer
    return Tokens(marks.vocab, 0 if self.answer == 'tags' else marks.separator)

  @property
  def output_spec(self) -> Tokens:
    classes = self.text_tokenizer.classes
    return Tokens(len(classes)) if classes else self.input_spec

  @property
  def labels(self) -> int:
    return int(self._rows.loss_weights_RT.sum(axis=1).max())

  @property
  def longest_source(self) -> int:
    sources = [] if self.answer == 'tags' else self._steps
    return max(map(pair_rows.source_length, sources), default=0)

  @property
  def labels_are_inputs(self) -> bool:
    return self.answer == 'tokens'

  @property
  def runs(self) -> int:
    return int(self._rows.reset_RT.sum(axis=1).max())

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    if self.answer == 'tokens':
      return {}
    trained, seen = (Counter(self._answers(s)) for s in ('train', self.split))
    (most, _), *_ = trained.most_common(1)
    return {'accuracy': {'majority': seen[most] / seen.total()}}

  def describe(self) -> list[str]:
    there, used = len(self._of(self.split)), len(self._steps)
    rows = len(self._rows.reset_RT)
    why = f'they have more than task.length={self.length} steps'
    left_out = f'{there - used:,} of {there:,} pairs left out: {why}'
    lines = [f'{self.split}: {used:,} pairs in {rows:,} rows', left_out]
    return lines if used < there else lines[:1]

  def fingerprint(self) -> str:
    digest = hashlib.sha256(repr((self.answer, self.share)).encode())
    digest.update(self.text_tokenizer.digest.encode())
    for pair in itertools.chain(*map(self._of, SPLITS)):
      digest.update(repr(pair).encode())
    return digest.hexdigest()

  def epoch_steps(self, batch_size: int) -> int:
    return -(-len(self._rows.reset_RT) // batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    seed = (stream.seed, stream.number) if self.split == 'train' else ()
    rows = take_rows(self._rows, stream.batch_size, step, row_ids, seed)
    batch = Batch(*rows)
    batch.reset_BT[:, 0] = True
    return batch

  def batch(self, host_batch: HostBatch) -> Batch:
    return host_batch

  @functools.cached_property
  def _rows(self) -> PairRows:
    apart = self.answer != 'tokens'
    return pair_rows.lay_out(self._steps, self.length, self.packed, apart)

  @functools.cached_property
  def fitting(self) -> list[tuple[Pair, Steps]]:
    """The pairs of the split that have at most `length` steps, in order."""
    pairs = (
      (pair, pair_rows.encode_pair(pair, self.answer, self.text_tokenizer))
      for pair in self._of(self.split)
    )
    return [
      (pair, steps)
      for pair, steps in pairs
      if len(steps.inputs_T) <= self.length
    ]

  @property
  def _steps(self) -> list[Steps]:
    return [steps for _, steps in self.fitting]
