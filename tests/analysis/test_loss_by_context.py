"""The loss by context and the RECL of a delay line with a known delay."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis import streams
from memjax.analysis.across_runs import SPACE
from memjax.analysis.base import Result
from memjax.analysis.loss_by_context import (
  ContextLosses,
  LossByContext,
  loss_by_context,
)
from memjax.analysis.recl import relative_effective_context_length
from memjax.analysis.score_by_distance import bin_edges
from memjax.analysis.streams import batch_at
from memjax.analysis.windows import contexts
from memjax.errors import ConfigError
from memjax.tasks.language.text import Text
from memjax.tasks.recall.mqar import MQAR
from tests.analysis.known import SURE, DelayLine, RepeatToken

LAG, VOCAB = 3, 4
CONTEXTS = [1, 3, 4, 5, 12]
RIGHT = np.log1p((VOCAB - 1) * np.exp(-SURE))
WRONG = SURE + RIGHT


def close(found: Any, expected: Any) -> None:
  expected = np.broadcast_to(expected, np.shape(found))
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.fixture(scope='module')
def found() -> ContextLosses:
  """Two replicas: one is certain, the other has uniform outputs."""
  return loss_by_context(
    DelayLine(VOCAB, LAG),
    {'sure': jnp.array([SURE, 0.0])},
    RepeatToken(vocab=VOCAB, lag=LAG),
    CONTEXTS,
    batch_size=8,
    batches=3,
    labels=64,
  )


def test_the_loss_is_0_where_the_context_has_the_answer(
  found: ContextLosses,
) -> None:
  assert found.losses.shape == (2, len(CONTEXTS), 3 * 64)
  holds = np.array(CONTEXTS) >= LAG + 1
  close(found.losses[0, holds], RIGHT)
  close(found.accuracy[0], np.where(holds, 1, found.accuracy[0, 0]))
  zero_P = found.losses[0, 0] < 1  # of too short a context it says 0
  close(found.losses[0, ~holds], np.where(zero_P, RIGHT, WRONG))
  close(found.accuracy[0, 0], zero_P.mean())
  assert 0.1 < zero_P.mean() < 0.4
  close(found.losses[1], np.log(VOCAB))
  close(found.loss, found.losses.mean(-1))


def test_each_label_is_drawn_once_and_has_the_longest_context_behind_it(
  found: ContextLosses,
) -> None:
  assert len(np.unique(found.labels, axis=0)) == len(found.labels)
  assert found.labels[:, 2].min() == CONTEXTS[-1] - 1
  assert found.labels.max(0).tolist() == [2, 7, RepeatToken().length - 1]


def test_recl_of_a_delay_line_is_the_first_context_with_the_answer(
  found: ContextLosses,
) -> None:
  lengths = relative_effective_context_length({'line': found}).lengths['line']
  assert lengths.tolist() == [[1] * 3] * 2  # 3 inputs are no better than 1
  kept = [0, 2, 3, 4]
  found = found._replace(
    contexts=found.contexts[kept], losses=found.losses[:, kept]
  )
  lengths = relative_effective_context_length({'line': found}).lengths['line']
  assert lengths.tolist() == [[LAG + 1] * 3, [1] * 3]


def test_contexts_cross_segment_boundaries_but_not_documents(
  tmp_path: Path,
) -> None:
  period, document = 7, 35
  for i in range(60):
    (tmp_path / f'{i:02}.txt').write_text('abcdef\n' * (document // period))
  task = Text(
    corpus='files', path=str(tmp_path), length=4, reset_at_documents=True
  )
  lanes = 4
  found = loss_by_context(
    DelayLine(256, period - 1),
    {'sure': jnp.full(1, SURE)},
    task,
    [period - 1, period],
    batch_size=lanes,
    batches=8,
    labels=16,
  )
  close(found.losses[0, 1], 0)
  assert (found.losses[0, 0] > 1).all()
  step_P, row_P, place_P = found.labels.T
  assert step_P.min() == 2  # the longest reaches back two segments
  assert set(place_P) == set(range(task.length))
  per_lane = -(-(round(60 * 0.9) * document - 1) // lanes)
  in_document_P = (row_P * per_lane + step_P * task.length + place_P) % document
  assert in_document_P.min() == period - 1
  assert len(found.labels) < 8 * 16
  assert contexts(task, lanes).tolist() == [1, 2, 4, 8]


def test_contexts_that_no_label_has_are_refused() -> None:
  model, task = DelayLine(VOCAB, LAG), RepeatToken(vocab=VOCAB, lag=LAG)
  params = {'sure': jnp.full(1, SURE)}
  with pytest.raises(ConfigError, match='must increase'):
    loss_by_context(model, params, task, [4, 4])
  with pytest.raises(ConfigError, match='25: no label has this number'):
    loss_by_context(model, params, task, [25], batch_size=2, batches=1)
  whole_row = [1, 2, 4, 8, 16, task.length]
  assert contexts(task).tolist() == whole_row


def test_contexts_reach_the_farthest_input_that_a_label_needs() -> None:
  task = MQAR(length=32, pairs=4, vocab=32)
  longest = contexts(task)[-1]
  assert longest > bin_edges(task)[-1] - 1  # the largest label distance
  assert longest == task.length - 1  # the last query, and all before it


def test_contexts_reach_a_distance_that_few_rows_have(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  task = MQAR(length=32, pairs=4, vocab=32)

  def few(task: Any, stream: Any, step: int) -> Any:
    """Labels at 4, two steps after their input; one at 20, 18 steps after."""
    batch = batch_at(task, stream, step)
    weights_BT = np.zeros_like(batch.loss_weights_BT)
    weights_BT[:, 4] = 1
    distance_BT = np.full_like(batch.score_axis_BT, 2)
    if step == 3:
      weights_BT[7, 20], distance_BT[7, 20] = 1, 18
    return batch._replace(loss_weights_BT=weights_BT, score_axis_BT=distance_BT)

  monkeypatch.setattr(streams, 'batch_at', few)
  assert contexts(task).tolist() == [1, 2, 4, 8, 16, 18 + 1]


def shown(loss: list[float], episodes: bool) -> tuple[str, list[str], int]:
  """The useful context, the notes and the number of tables."""
  losses = np.repeat(np.array([[loss]]).swapaxes(1, 2), 5, 2)
  found = ContextLosses(
    np.array([1, 2, 4]),
    losses.mean(-1),
    losses.mean(-1),
    losses,
    np.zeros((5, 3), int),
    episodes,
  )
  results = {'a': Result([], {}, found)}
  section = LossByContext().show(results)
  (useful,) = LossByContext().findings(results)['a'].cells.values()
  return useful, list(section.notes), len(section.tables)


def test_the_useful_context_is_the_shortest_that_is_as_good_as_any() -> None:
  assert shown([3.0, 2.0, 1.995], False)[0] == '2'
  assert shown([3.0, 3.0, 0.001], False)[0] == f'≥{SPACE}4'
  assert shown([1.0, 2.0, 2.0], False)[0] == '1'


def test_a_text_has_a_clause_and_an_episode_has_none() -> None:
  def clause(loss: list[float], episodes: bool) -> str:
    each, contexts = np.array([loss]), np.array([1, 2, 4])
    labels = np.zeros((0, 3), int)
    found = ContextLosses(contexts, each, each, each, labels, episodes)
    result: Result[ContextLosses] = Result([], {}, found)
    return LossByContext().findings({'a': result})['a'].clause

  gains = 'it gains from context up to '
  assert clause([3.0, 2.0, 2.0], False) == f'{gains}2 inputs'
  longest = f'{gains}4 inputs, the longest tried'
  assert clause([3.0, 2.0, 1.0], False) == longest
  assert clause([3.0, 2.0, 1.0], True) == ''


def test_recl_is_of_texts_and_an_episode_says_why_it_has_none() -> None:
  assert shown([3.0, 2.0, 1.0], False)[1:] == (
    ['Each figure is a mean over 5 labels.'],
    2,
  )
  _, (_, why), tables = shown([3.0, 3.0, 0.001], True)
  assert why.startswith('RECL does not apply to episodes: ')
  assert tables == 1
