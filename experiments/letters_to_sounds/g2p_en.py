"""The encoder and decoder of g2p-en in memjax, with its trained weights.

    python -m experiments.letters_to_sounds.g2p_en [WORD ...]

g2p-en 2.1.0 (Park & Kim, https://github.com/Kyubyong/g2p, Apache-2.0) has a GRU
of width 256 that reads letters, and another one that takes over its state and
writes sounds: `EncoderDecoder(attention='none')`. Without words, 1,000 words of
the CMU dictionary are measured; it may have been trained on them.

Ids: the letters' of g2p-en, then its sounds'. The source of a word is its
letters and `</s>`; the separator is `<s>` of the sounds, the end their `</s>`.
"""

from collections.abc import Mapping, Sequence
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.letters_to_sounds import wheels
from experiments.letters_to_sounds.answers import answers, score
from memjax.config.build import build_model
from memjax.models.base import Model
from memjax.types import Params, Tokens

LETTERS = ('<pad>', '<unk>', '</s>', *'abcdefghijklmnopqrstuvwxyz')
VOWELS = {
  f'{vowel}{stress}'
  for vowel in [
    'AA',
    'AE',
    'AH',
    'AO',
    'AW',
    'AY',
    'EH',
    'ER',
    'EY',
    'IH',
    'IY',
    'OW',
    'OY',
    'UH',
    'UW',
  ]
  for stress in range(3)
}
CONSONANTS = [
  'B',
  'CH',
  'D',
  'DH',
  'F',
  'G',
  'HH',
  'JH',
  'K',
  'L',
  'M',
  'N',
  'NG',
  'P',
  'R',
  'S',
  'SH',
  'T',
  'TH',
  'V',
  'W',
  'Y',
  'Z',
  'ZH',
]
# In the order of g2p-en, with a UW that has no stress.
SOUNDS = (
  '<pad>',
  '<unk>',
  '<s>',
  '</s>',
  *sorted(VOWELS | {*CONSONANTS, 'UW'}),
)
SEPARATOR, END = len(LETTERS) + 2, len(LETTERS) + 3
VOCAB = len(LETTERS) + len(SOUNDS)
MOST = 20  # sounds of an answer
NEVER = -1e9  # the bias of letters, which are no answers


class Reader(NamedTuple):
  """A model that reads letters and writes sounds."""

  model: Model
  params: Params


def load(weights: Mapping[str, np.ndarray]) -> Reader:
  """The model, and g2p-en's weights where its parameters are."""
  width = weights['fc_w'].shape[1]
  gru = {'name': 'gru.GRU'}
  spec = {
    'name': 'encoder_decoder.EncoderDecoder',
    'width': width,
    'encoder_layer': gru,
    'layer': gru,
    'attention': 'none',
  }
  model = build_model(spec, Tokens(VOCAB, SEPARATOR), Tokens(VOCAB))
  letters = len(LETTERS)
  table = np.concatenate([weights['enc_emb'], weights['dec_emb']])
  kernel = np.pad(weights['fc_w'].T, [(0, 0), (letters, 0)])
  bias = np.pad(weights['fc_b'], (letters, 0), constant_values=NEVER)
  params = {
    'encoder': {'embedding': {'embedding': table}},
    'both': {
      name: {'layer_0': {'memory': {'cell': cell(weights, part)}}}
      for name, part in (('source', 'enc'), ('decoder', 'dec'))
    },
    'readout': {'kernel': kernel, 'bias': bias},
  }
  return Reader(model, jax.tree.map(jnp.asarray, params))


def cell(weights: Mapping[str, np.ndarray], part: str) -> dict[str, Any]:
  """A GRU of PyTorch's form: r, z, n, each with two biases.

  Its z is u here. The two biases of r and of u are one here, their sum.
  """
  width = weights[f'{part}_w_hh'].shape[1]
  of_x, of_h = (weights[f'{part}_b_{side}'] for side in ('ih', 'hh'))
  gates = 2 * width
  bias = [of_x[:gates] + of_h[:gates], of_x[gates:], of_h[gates:]]
  return {
    'input_kernel': weights[f'{part}_w_ih'].T,
    'recurrent_kernel': weights[f'{part}_w_hh'].T,
    'bias': np.concatenate(bias),
  }


def pronounce(
  reader: Reader, words: Sequence[str], beams: int = 1
) -> list[list[str]]:
  """The sounds of each word, of letters from a to z."""
  end = LETTERS.index('</s>')
  sources = [[*map(LETTERS.index, word), end, SEPARATOR] for word in words]
  found = answers(*reader, sources, END, MOST, beams)
  return [[SOUNDS[i - len(LETTERS)] for i in answer] for answer in found]


def draw_words(
  known: Mapping[str, Any], count: int = 1000, seed: int = 0
) -> list[str]:
  """Random words of 3 to 12 letters."""
  words = sorted(word for word in known if 3 <= len(word) <= 12)
  return np.random.default_rng(seed).choice(words, count, False).tolist()


def main() -> None:
  reader, words = load(wheels.weights()), sys.argv[1:]
  if words:
    for word, sounds in zip(words, pronounce(reader, words), strict=True):
      print(f'{word}\t{" ".join(sounds)}')
    return
  known = wheels.dictionary()
  words = draw_words(known)
  for beams in (1, 4):
    found = pronounce(reader, words, beams)
    right, errors = score(found, [known[word] for word in words])
    print(f'{beams} beams: words {right:.1%}, phoneme errors {errors:.1%}')


if __name__ == '__main__':
  main()
