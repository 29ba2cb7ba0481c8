"""The bits of labels of a delay line, which are known one by one."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.base import Result
from memjax.analysis.state_ablation import StateAblation
from memjax.analysis.symbols import symbols
from memjax.analysis.token_bits import BitsOfTokens, token_bits
from memjax.errors import ConfigError
from memjax.tasks.language.text import Text
from tests.analysis.known import (
  SURE,
  DelayLine,
  LeakyIntegrator,
  Noise,
  RepeatToken,
)

VOCAB, LAG = 4, 3
TASK = RepeatToken(vocab=VOCAB, lag=LAG)
LINE, PARAMS = DelayLine(VOCAB, LAG), {'sure': jnp.array([SURE, 0.0])}


def test_only_labels_that_reach_over_the_boundary_need_the_memory() -> None:
  found = token_bits(LINE, PARAMS, TASK, 30, batch_size=8, batches=1)
  half = TASK.length // 2
  assert found.rows.tolist() == [*[0] * half, *[1] * half, *[2] * (30 - 24)]
  assert found.steps.tolist()[: half + 1] == [*range(half), 0]
  np.testing.assert_allclose(found.intact[0], 0, atol=1e-6)
  np.testing.assert_allclose(found.intact[1], np.log2(VOCAB), rtol=1e-6)
  forgotten = np.array([label != '0' for label in found.symbols])
  wrong = forgotten & (found.steps < LAG)  # an empty memory says 0
  wanted = np.where(wrong, SURE / np.log(2), 0)
  np.testing.assert_allclose(found.removed[0], wanted, rtol=1e-5, atol=1e-6)
  assert wrong.sum() > LAG


def test_labels_that_are_no_classes_have_no_bits() -> None:
  model, task = LeakyIntegrator(2), Noise()
  assert 'not classes' in BitsOfTokens().defined(model, task)
  with pytest.raises(ConfigError, match='not classes'):
    token_bits(model, {'decay': jnp.ones(1)}, task)


def test_tokens_are_written_as_text_or_as_numbers(
  tmp_path: Path,
) -> None:
  (tmp_path / 'a.txt').write_text('a b\n' * 100)
  task = Text(corpus='files', path=str(tmp_path / 'a.txt'), length=8)
  ids = np.frombuffer(b'a $\n\xff', np.uint8).astype(np.int32)
  assert symbols(task, ids) == ['a', '·', r'\$', '↵', '?']
  assert symbols(TASK, ids[:2]) == ['97', '32']
  assert symbols(Noise(), np.zeros((3, 2))) == []


def finding(loss: float, rise: float, unit: str) -> str:
  instrument = StateAblation(batch_size=4, batches=1)
  found = instrument.measure(LINE, PARAMS, TASK)
  arrays = found.arrays._replace(
    loss=np.array([loss]), loss_rise={'removed': np.array([[rise]])}
  )
  units = {**found.units, 'loss_rise': unit}
  result = Result(found.rows, units, arrays)
  return instrument.findings({'run': result})['run'].clause


def test_a_sentence_says_whether_the_memory_is_used() -> None:
  nats, other = 'nats per label', "the task's loss"
  used, unused = 'uses its memory', 'does not use its memory'
  assert finding(1.0, 6.3, nats) == f'{used}: +6.3 nats without it'
  assert finding(1.0, 0.009, nats) == f'{unused}: +0.009 nats without it'
  assert finding(1.0, -0.5, nats) == f'{unused}: -0.5 nats without it'
  assert (
    finding(0.001, 0.009, other) == f'{used}: +0.009 in its loss without it'
  )
