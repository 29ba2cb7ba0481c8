"""Retrieval: the document that answers a query, by the distance of vectors.

A dual encoder: one memory reads the query, and the document apart from it. What
it answers at the last step of each is a vector of the text.

Papers: Karpukhin et al. 2020, https://arxiv.org/abs/2004.04906, for negatives
of the same batch; van den Oord et al. 2018, https://arxiv.org/abs/1807.03748,
for the loss.
Specification: of a pair of query s and document t, with `|` and `.` two marks,

    inputs    s_1 s_2 |   t_1 t_2 .   padding
    resets    1   0   0   1   0   0   1

Pairs are those of `pairs.Pairs` with one pair a row; a row is one step longer,
and pairs that are longer are left out.
Labels: at `|` the number of the query, and at `.` that of the document; equal
texts have equal numbers.
Metrics: with q_i and d_i the outputs at the labels of row i, divided by their
lengths, and s_ij = q_i · d_j / temperature,

    loss      -s_ii + log sum_j exp s_ij, nats per query
    accuracy  the share of queries with s_ii > s_ij for all other j

j goes over the rows that are read together, without those whose document is
another right answer, as a pair of these rows says. So both figures depend on
the batch size. The evaluation `ranking.Ranking` searches all documents of the
split.
Baselines: BM25, see data/bm25.py, for the figures of `ranking.Ranking`.
Deviations: the papers' vectors are not divided by their lengths; Karpukhin et
al. train two encoders, and with further negatives that BM25 finds.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from memjax.data.bm25 import BM25
from memjax.data.order import take_rows
from memjax.data.pair_rows import source_length
from memjax.data.ranks import group, rank_figures
from memjax.errors import require
from memjax.tasks.base import Stream, Task, positive
from memjax.tasks.composed.wrapper import Wrapper
from memjax.tasks.language.pairs import Pairs
from memjax.types import Batch, Features, HostBatch, Metric, Metrics, Tokens

EPSILON = 1e-12  # of a squared length


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval(Wrapper):
  """Queries and the documents that answer them.

  Attributes:
    task: the pairs; their source is the query, their target the document.
    vector: number of floats of a text's vector.
    temperature: divides the cosines of the loss.
  """

  task: Task = dataclasses.field(
    default_factory=lambda: Pairs(corpus='functions', packed=False)
  )
  vector: int = 128
  temperature: float = 0.05

  def __post_init__(self) -> None:
    positive(self, 'vector')
    rule = 'must be above 0'
    require(self.temperature > 0, 'temperature', self.temperature, rule)
    name, rule = type(self.task).__name__, 'is no task of pairs, pairs.Pairs'
    require(isinstance(self.task, Pairs), 'task.name', name, rule)
    answer, rule = self._pairs.answer, "must be 'tokens'"
    require(answer == 'tokens', 'task.answer', answer, rule)
    packed, rule = self._pairs.packed, 'must be False: a row is one pair'
    require(not packed, 'task.packed', packed, rule)

  @property
  def _pairs(self) -> Pairs:
    assert isinstance(self.task, Pairs)
    return self.task

  @property
  def length(self) -> int:
    return self.task.length + 1

  @property
  def input_spec(self) -> Tokens:
    return Tokens(self._pairs.text_tokenizer.vocab)

  @property
  def output_spec(self) -> Features:
    return Features(self.vector)

  @property
  def labels(self) -> int:
    return 2

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def runs(self) -> int:
    return 3

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    query_P, document_P = self._numbers
    queries, documents = self._texts
    index = BM25(documents)
    found = rank_figures(
      (index.scores(queries[query]), np.array(right))
      for query, right in group(query_P, document_P).items()
    )
    return {name: {'BM25': figure} for name, figure in found.items()}

  def epoch_steps(self, batch_size: int) -> int:
    return -(-len(self._pairs.fitting) // batch_size)

  def rows(self, stream: Stream, step: int, row_ids: np.ndarray) -> HostBatch:
    train = self._pairs.split == 'train'
    seed = (stream.seed, stream.number) if train else ()
    rows = take_rows(self._rows[:4], stream.batch_size, step, row_ids, seed)
    batch = Batch(*rows)
    batch.reset_BT[:, 0] = True
    return batch

  def batch(self, host_batch: HostBatch) -> Batch:
    return host_batch

  @functools.cached_property
  def _texts(self) -> tuple[list[str], list[str]]:
    """Different queries and different documents, in order."""
    queries = {pair.source: None for pair, _ in self._pairs.fitting}
    documents = {pair.target: None for pair, _ in self._pairs.fitting}
    return [*queries], [*documents]

  @functools.cached_property
  def _numbers(self) -> tuple[list[int], list[int]]:
    """The numbers of the query and of the document of each pair."""
    query_ids, document_ids = (
      {text: i for i, text in enumerate(texts)} for texts in self._texts
    )
    pairs = [pair for pair, _ in self._pairs.fitting]
    return (
      [query_ids[pair.source] for pair in pairs],
      [document_ids[pair.target] for pair in pairs],
    )

  @functools.cached_property
  def _rows(self) -> Batch:
    """All pairs, `(R, T)`."""
    fitting = self._pairs.fitting
    shape = len(fitting), self.length
    rows = Batch(
      np.zeros(shape, np.int32),
      np.zeros(shape, np.int32),
      np.zeros(shape, np.float32),
      np.zeros(shape, bool),
    )
    end = self._pairs.text_tokenizer.end
    numbers = zip(*self._numbers, strict=True)
    for row, ((_, steps), pair) in enumerate(
      zip(fitting, numbers, strict=True)
    ):
      size, mark = len(steps.inputs_T), source_length(steps)
      rows.inputs[row, : size + 1] = [*steps.inputs_T, end]
      rows.targets[row, [mark, size]] = pair
      rows.loss_weights_BT[row, [mark, size]] = 1
      begins = [0, mark + 1, *range(size + 1, self.length)[:1]]
      rows.reset_BT[row, begins] = True
    return rows

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    marks = self._pairs.text_tokenizer
    at_query, at_document = (
      (batch.loss_weights_BT > 0) & (batch.inputs == mark)
      for mark in (marks.separator, marks.end)
    )
    cosine_BB = unit_at(at_query, y) @ unit_at(at_document, y).T
    score_BB = cosine_BB / self.temperature
    exists_B = at_query.any(axis=1)
    own_BB = jnp.eye(len(exists_B), dtype=bool)
    # Another pair of the batch may say that document j answers query i, too.
    same = []
    for at_BT in (at_query, at_document):
      number_B = jnp.where(at_BT, batch.targets, 0).sum(axis=1)
      same_BB = (number_B[:, None] == number_B[None]) & exists_B[None]
      same.append(same_BB.astype(jnp.float32))
    wrong_BB = exists_B[None] & (same[0] @ same[1] == 0)
    score_B = jnp.diagonal(score_BB)
    others_BB = jnp.where(wrong_BB, score_BB, -jnp.inf)
    all_BB = jnp.where(own_BB, score_BB, others_BB)
    nats_B = jax.nn.logsumexp(all_BB, axis=1) - score_B
    first_B = score_B > others_BB.max(axis=1)
    count = exists_B.sum(dtype=jnp.float32)
    return {
      'loss': Metric(jnp.where(exists_B, nats_B, 0).sum(), count),
      'accuracy': Metric((exists_B & first_B).sum(dtype=jnp.float32), count),
    }


def unit_at(at_BT: jax.Array, y_BTD: jax.Array) -> jax.Array:
  """`(B, D)` float32, the outputs at one step of each row, of length 1."""
  y_BD = jnp.where(at_BT[..., None], y_BTD, 0).sum(axis=1, dtype=jnp.float32)
  squares = (y_BD * y_BD).sum(axis=1, keepdims=True)
  return y_BD * jax.lax.rsqrt(squares + EPSILON)
