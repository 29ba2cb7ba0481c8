"""What a corpus consists of, in lines for the start of a run."""

from collections.abc import Sequence

from memjax.data.corpus import Corpus
from memjax.data.scan import CUT
from memjax.data.splits import SPLITS


def describe_corpus(corpus: Corpus) -> list[str]:
  """A line for the corpus, and one for each split: its files and tokens."""
  source = corpus.source
  kind = 'token ids'
  if corpus.tokenizer is not None:
    kind = f'{corpus.tokenizer.kind}, vocabulary {corpus.tokenizer.vocab:,}'
  files = f'{len(source.files):,} file{"s" * (len(source.files) > 1)}'
  line = f'{source.place}: {files} as {kind}'
  lines = [line]
  for split in SPLITS:
    if split not in corpus.splits:
      lines.append(f'  {split}: none, as no name says it')
      continue
    part = corpus.splits[split]
    line = f'  {split}: {_files(corpus, split)}, {len(part.tokens):,} tokens'
    if part.unknown:
      share = part.unknown / len(part.tokens)
      line += f', {part.unknown:,} of them unknown ({share:.2%})'
    lines.append(line)
  return lines


def _files(corpus: Corpus, split: str) -> str:
  """The files of a split, or its part of the text."""
  source = corpus.source
  pool, first, last = source.spans[split]
  pool_size = int(source.sizes_D[source.pools_D == pool].sum())
  names = [
    str(file.path).removeprefix(f'{source.place}/')
    for file in source.files
    if (file.splits_D == pool).any()
  ]
  whole = last - first == pool_size
  if pool == CUT:
    return f'{(last - first) / pool_size:.1%} of the text'
  if whole:
    return _listed(names)
  return f'{(last - first) / pool_size:.1%} of {_listed(names)}'


def _listed(names: Sequence[str]) -> str:
  """The first names, at most three."""
  shown = ', '.join(names[:3])
  return f'{shown} and {len(names) - 3:,} more' if len(names) > 3 else shown
