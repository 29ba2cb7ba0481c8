"""The study of written answers: its dialogues, its baselines, its figures."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from experiments.pairs import dialogues, run
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.data.pair_files import Pair
from memjax.types import Batch


def test_a_turn_is_answered_by_the_next_and_no_pair_comes_twice() -> None:
  talks = [['Hi.', 'Hello.', 'Bye.'], ['Hi.', 'Hello.'], ['Hi.', 'Hey.']]
  assert dialogues.pairs_of(talks) == [
    Pair('Hi.', 'Hello.'),
    Pair('Hi.', 'Hey.'),
    Pair('Hi. / Hello.', 'Bye.'),
  ]


def test_the_nearest_source_gives_its_answer() -> None:
  train = [Pair('the red fox', 'one'), Pair('a blue whale', 'two')]
  assert run.nearest(train, ['a whale', 'fox']) == ['two', 'one']


def test_answers_without_a_model_are_scored_as_a_model_s() -> None:
  answers, targets = ['a b c d', 'x', 'z'], ['a b c d e f', 'y', 'z']
  # 6 words for 8; of the single ones 5 are right, and all longer n-grams.
  bleu = 100 * math.exp(1 - 8 / 6) * (5 / 6) ** 0.25
  rouge_l = (0.8 + 0 + 1) / 3  # of the first: precision 1, recall 4 / 6
  assert run.scores(answers, targets) == pytest.approx(
    {'bleu': bleu, 'rouge_l': rouge_l, 'exact_match': 1 / 3}
  )


def test_rows_are_grouped_by_the_tokens_before_the_separator() -> None:
  weights_BT = np.zeros((3, 6), np.float32)
  weights_BT[0, 2:5] = weights_BT[1, 4:] = 1  # the third row is padding
  nothing_BT = np.zeros((3, 6), int)
  batch = Batch(nothing_BT, nothing_BT, weights_BT, nothing_BT > 0)
  for low, high, labels in ((0, 2, 0), (2, 3, 3), (2, 5, 5), (3, 9, 2)):
    assert run.within(batch, low, high).loss_weights_BT.sum() == labels


def test_the_row_is_that_of_the_least_validation_loss(tmp_path: Path) -> None:
  rows = []
  for step, loss in ((150, 2.0), (300, 1.0), (450, 3.0)):
    figures = {'bleu': step / 10, 'rouge_l': step / 1000, 'exact_match': 0.0}
    rows.append(('validation', step, {'loss': loss}))
    rows += [(name, step, figures) for name in ('written', 'trained')]
  lines = (
    json.dumps({'split': split, 'step': step, 'metrics': metrics, 'time': 0.0})
    for split, step, metrics in rows
  )
  (tmp_path / 'metrics.jsonl').write_text('\n'.join([*lines, '']))
  words = ['30.0', '0.300', '0.000']
  assert run.best(tmp_path) == [
    tmp_path.name,
    '300',
    '1.00',
    *words,
    *words,
  ]


@pytest.mark.parametrize('corpus', run.CORPORA)
def test_commands_name_fields_of_the_config(
  corpus: str, tmp_path: Path
) -> None:
  for model in run.MODELS:
    words = run.command(corpus, model, tmp_path, tmp_path / 'said.jsonl')
    (file,) = [w for w in words if w.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    assert config['evals']['trained']['task']['split'] == 'train'
    assert config['evals']['written']['task']['split'] == 'validation'
    assert config['train']['steps'] % run.EVERY == 0
