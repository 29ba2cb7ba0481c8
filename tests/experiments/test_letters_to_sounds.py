"""The weights of g2p-en run through EncoderDecoder as they do in NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.letters_to_sounds import run, wheels
from experiments.letters_to_sounds.answers import distance, score
from experiments.letters_to_sounds.g2p_en import (
  END,
  LETTERS,
  MOST,
  SOUNDS,
  draw_words,
  load,
  pronounce,
)
from memjax.config.build import build_model
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.types import Tokens

RIGHT, ERRORS = 0.726, 0.0909  # of 1,000 words
# Short and long ones, and some that are no words.
WORDS = [
  'a',
  'memory',
  'activationist',
  'transformer',
  'knowledge',
  'recurrent',
  'psychology',
  'though',
  'rhythm',
  'through',
  'zz',
  'xylophone',
  'colonel',
  'antidisestablishmentarianism',
  'qwerty',
  'attention',
  'gated',
  'separator',
  'pronunciation',
  'bahdanau',
  'cho',
  'seq',
  'banana',
]


def sigma(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def gru(
  w: dict[str, Any], part: str, x: np.ndarray, h: np.ndarray
) -> np.ndarray:
  """A step in the form of PyTorch, in float64."""
  of_x = np.split(w[f'{part}_w_ih'] @ x + w[f'{part}_b_ih'], 3)
  of_h = np.split(w[f'{part}_w_hh'] @ h + w[f'{part}_b_hh'], 3)
  r, z = sigma(of_x[0] + of_h[0]), sigma(of_x[1] + of_h[1])
  return (1 - z) * np.tanh(of_x[2] + r * of_h[2]) + z * h


def reference(w: dict[str, Any], word: str) -> list[str]:
  """What g2p-en answers."""
  h = np.zeros(w['enc_w_hh'].shape[1])
  for letter in [*word, '</s>']:
    h = gru(w, 'enc', w['enc_emb'][LETTERS.index(letter)], h)
  sound, found = SOUNDS.index('<s>'), []
  for _ in range(MOST):
    h = gru(w, 'dec', w['dec_emb'][sound], h)
    sound = int(np.argmax(w['fc_w'] @ h + w['fc_b']))
    if SOUNDS[sound] == '</s>':
      break
    found.append(SOUNDS[sound])
  return found


def test_distances_and_scores() -> None:
  assert distance('kitten', 'sitting') == 3
  assert distance('', 'ab') == distance('ab', '') == 2
  known = [[['A', 'B'], ['A', 'C', 'D']], [['E']]]
  assert score([['A', 'C', 'D', 'D'], ['E']], known) == (0.5, 1 / 4)
  assert LETTERS.index('</s>') == 2
  assert SOUNDS[END - len(LETTERS)] == '</s>'


def test_models_of_the_study_differ_in_what_the_decoder_reads(
  tmp_path: Path,
) -> None:
  shown = {}
  for name in run.MODELS:
    words = run.command(name, tmp_path / 'words.tsv', tmp_path, 100)
    (file,) = [w for w in words if w.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    spec = Tokens(9, separator_id=7)
    model: Any = build_model(config['model'], spec, spec)
    both = type(model.encoder_layer).__name__
    shown[name] = model.attention, both, model.width, model.longest_source
  assert shown == {
    'none': ('none', 'GRU', 64, 0),
    'additive': ('additive', 'GRU', 64, 16),
    'additive, both ways': ('additive', 'Bidirectional', 64, 16),
  }


def test_spellings_are_all_words_of_a_pronunciation() -> None:
  ways = {
    tuple('two'): [['T', 'UW1']],
    tuple('to'): [['T', 'UW1'], ['T', 'AH0']],
  }
  assert run.spellings(ways) == {
    ('T', 'UW1'): [['t', 'w', 'o'], ['t', 'o']],
    ('T', 'AH0'): [['t', 'o']],
  }


def found(read: Any) -> Any:
  """What a wheel has; without the wheel, the test is skipped."""
  try:
    return read()
  except OSError as error:
    pytest.skip(str(error))


@pytest.mark.slow
def test_answers_are_those_of_numpy() -> None:
  weights = found(wheels.weights)
  answers = pronounce(load(weights), WORDS)
  w = {name: array.astype(np.float64) for name, array in weights.items()}
  assert answers == [reference(w, word) for word in WORDS]
  assert answers[WORDS.index('memory')] == ['M', 'EH1', 'M', 'ER0', 'IY0']


@pytest.mark.slow
def test_a_thousand_words_of_the_dictionary() -> None:
  known = found(wheels.dictionary)
  reader, words = load(found(wheels.weights)), draw_words(known)
  answers = pronounce(reader, words)
  right, errors = score(answers, [known[word] for word in words])
  assert (right, errors) == pytest.approx((RIGHT, ERRORS), abs=0.002)
