"""Beam search against all answers there are, and against greedy answers."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model
from memjax.evaluation.generation import generate
from memjax.generation.beam import NO_END, Beams, extend, search
from memjax.models.base import Model, apply
from memjax.types import Batch, Tokens

VOCAB, LENGTH, ROWS, END = 3, 3, 2, 2
PROMPT = np.array([[0, 1, 1], [2, 0, 1]])
STARTS = np.array([2, 1])  # the first step of each row's answer
READS = LENGTH + 2  # steps of a row


@functools.cache
def model() -> tuple[Model, Any]:
  spec = {
    'name': 'stack.Stack',
    'width': 8,
    'depth': 2,
    'layer': {'name': 'gru.GRU'},
  }
  built = build_model(spec, Tokens(VOCAB), Tokens(VOCAB))
  arguments = built.initial_carry(1), PROMPT[:1], np.zeros((1, 3), bool)
  shapes = jax.eval_shape(built.init, jax.random.key(0), *arguments)
  rng = np.random.default_rng(5)
  return built, jax.tree.map(
    lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32),
    shapes['params'],
  )


def rows(only: int | None = None) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Inputs, resets and where the answers are; both end after LENGTH steps."""
  inputs = np.zeros((ROWS, READS), np.int32)
  inputs[:, : PROMPT.shape[1]] = PROMPT
  step_T = np.arange(READS)
  answers = (step_T >= STARTS[:, None]) & (step_T < STARTS[:, None] + LENGTH)
  some = slice(None) if only is None else slice(only, only + 1)
  parts = inputs, np.zeros(inputs.shape, bool), answers
  return tuple(jnp.asarray(part[some]) for part in parts)  # type: ignore[return-value]


@functools.cache
def found(beams: int, end: int, only: int | None = None) -> Beams:
  memory, params = model()
  inputs, reset, answers = rows(only)
  run = jax.jit(
    lambda p, carry: search(
      memory, p, carry, inputs, reset, answers, beams, end
    )
  )
  return run(params, memory.initial_carry(len(inputs)))


@functools.cache
def every_answer(row: int, end: int) -> dict[tuple[int, ...], float]:
  """{answer: its log probability}, shorter ones filled up with `end`."""
  memory, params = model()
  texts = list(itertools.product(range(VOCAB), repeat=LENGTH))
  prompt = PROMPT[row, : STARTS[row] + 1]
  ids = np.array([[*prompt, *text[:-1]] for text in texts])
  read = jax.jit(
    lambda p, ids: apply(
      memory, p, memory.initial_carry(len(ids)), ids, jnp.zeros(ids.shape, bool)
    )[1]
  )
  logits = np.asarray(read(params, ids), np.float64)[:, STARTS[row] :]
  log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  sums: dict[tuple[int, ...], float] = {}
  for n, text in enumerate(texts):
    count = text.index(end) + 1 if end in text else LENGTH
    answer = (*text[:count], *(end,) * (LENGTH - count))
    sums[answer] = sum(log[n, t, text[t]] for t in range(count))
  return sums


@pytest.mark.parametrize('end', [NO_END, END])
def test_wide_search_finds_the_best_of_all_answers(end: int) -> None:
  beams = VOCAB ** (LENGTH - 1)
  result = found(beams, end)
  for row in range(ROWS):
    sums = every_answer(row, end)
    ranked = sorted(sums, key=lambda answer: -sums[answer])[:beams]
    at = slice(STARTS[row], STARTS[row] + LENGTH)
    texts = np.asarray(result.answer_BKT[row, :, at])
    assert [tuple(text) for text in texts.tolist()] == ranked
    expected = [sums[answer] for answer in ranked]
    np.testing.assert_allclose(result.score_BK[row], expected, 1e-5, 1e-5)


def test_one_beam_is_the_greedy_answer() -> None:
  memory, params = model()
  inputs, reset, answers = rows()
  batch = Batch(inputs, inputs, answers.astype(jnp.float32), reset)
  run = jax.jit(
    lambda p, carry: generate(memory, p, carry, batch, to_the_end=True)
  )
  _, greedy = run(params, memory.initial_carry(ROWS))
  one = found(1, NO_END).answer_BKT[:, 0]
  np.testing.assert_array_equal(one, np.where(answers, greedy, 0))


@pytest.mark.slow
def test_evaluations_search_for_answers_to_rows() -> None:
  memory, params = model()
  inputs, reset, answers = rows()
  batch = Batch(inputs, inputs, answers.astype(jnp.float32), reset)
  run = jax.jit(
    lambda p, carry: generate(memory, p, carry, batch, beams=2, end=END)[1]
  )
  answer = run(params, memory.initial_carry(ROWS))
  np.testing.assert_array_equal(answer, found(2, END).answer_BKT[:, 0])


@pytest.mark.slow
def test_rows_of_a_batch_are_searched_by_themselves() -> None:
  together = found(2, END)
  for row in range(ROWS):
    alone = found(2, END, row)
    np.testing.assert_array_equal(together.answer_BKT[row], alone.answer_BKT[0])
    np.testing.assert_allclose(together.score_BK[row], alone.score_BK[0], 1e-5)


def test_a_text_ends_with_its_mark_and_can_be_continued() -> None:
  """The memory is the one before the last token."""
  memory, params = model()
  carry, text = extend(
    memory, params, memory.initial_carry(1), jnp.int32(1), 12, 4, 1
  )
  assert 1 in text
  assert text.tolist().index(1) == len(text) - 1 < 11
  ids = jnp.asarray([[1, *text[:-1]]])
  reset, start = jnp.zeros(ids.shape, bool), memory.initial_carry(1)
  after, _ = apply(memory, params, start, ids, reset)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-5), carry, after
  )
