"""kNN-LM: what a frozen store of training text is worth, by size, k and age.

    python -m experiments.external_memory.neighbours WORKDIR TEXT

WORKDIR is a run of configs/neural_cache.py on words, TEXT its text. States of
the first nine tenths become keys. Share and temperature are chosen for each row
on the words of the nineteenth twentieth; three parts of the last twentieth are
scored with them. The share is constant, as in the paper.
"""

import argparse
from collections.abc import Iterator
import itertools
import os
from pathlib import Path
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import memjax
from memjax.generation.neighbours import hidden_states
from memjax.models.base import apply_readout
from memjax.modes.read_log import Label, ReadLog
from memjax.store.index import Index
from memjax.store.records import ANY, Range

WORDS, PARTS, BATCH = 2048, 3, 64
SIZES, COUNTS = (10_000, 50_000, 190_000), (8, 64)
SHARES, TEMPERATURES = (0.05, 0.1, 0.25, 0.5), (0.02, 0.05, 0.1)


class Words(NamedTuple):
  """Words to score.

  Attributes:
    h_TD: states.
    target_T: the words that came.
    p_T: their probabilities, of the model alone.
  """

  h_TD: np.ndarray
  target_T: np.ndarray
  p_T: np.ndarray


class Found(NamedTuple):
  """The records of each state, the nearest first."""

  score_TK: np.ndarray
  token_TK: np.ndarray
  seq_TK: np.ndarray


def states(run: Any, ids: np.ndarray) -> np.ndarray:
  return hidden_states(run.model, run.params, run.model.initial_carry(1), ids)


def read_words(run: Any, text: bytes) -> Words:
  ids = run.tokenizer.encode(text)[: WORDS + 1]
  h_TD, target_T = states(run, ids[:-1]), ids[1:]
  logits = apply_readout(run.model, run.params, jnp.asarray(h_TD))
  p_TV = np.asarray(jax.nn.softmax(logits))
  return Words(h_TD, target_T, p_TV[np.arange(len(target_T)), target_T])


def find(index: Index, tokens: np.ndarray, words: Words) -> Found:
  seen, hits = Range(0, len(tokens)), []
  for at in range(0, len(words.h_TD), BATCH):
    query = words.h_TD[at : at + BATCH]
    hits.append(index.search(query, max(COUNTS), seen, 1.0, ANY))
  seq_TK = np.concatenate([h.seq_QK for h in hits])
  score_TK = np.concatenate([h.score_QK for h in hits])
  return Found(score_TK, tokens[seq_TK], seq_TK)


def mixture(
  words: Words, found: Found, count: int, share: float, temperature: float
) -> np.ndarray:
  """p' of the words that came."""
  score_TK = found.score_TK[:, :count]
  e_TK = np.exp((score_TK - score_TK[:, :1]) / temperature)
  right_TK = found.token_TK[:, :count] == words.target_T[:, None]
  c_T = (e_TK * right_TK).sum(1) / e_TK.sum(1)
  return (1 - share) * words.p_T + share * c_T


def perplexity(p_T: np.ndarray) -> float:
  return float(np.exp(-np.log(p_T).mean()))


def choose(words: Words, found: Found, count: int) -> tuple[float, float]:
  """The share and temperature with the least perplexity."""

  def figure(setting: tuple[float, float]) -> float:
    return perplexity(mixture(words, found, count, *setting))

  return min(itertools.product(SHARES, TEMPERATURES), key=figure)


def spread(values: list[float]) -> str:
  return f'{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})'


def age_rows(
  words: Words, found: Found, size: int, p_T: np.ndarray, share: float
) -> Iterator[str]:
  """Gain by the age of the nearest record."""
  log, seq_T = ReadLog(), found.seq_TK[:, 0]
  nothing, gain_T = np.zeros(len(seq_T)), np.log(p_T / words.p_T)
  same = np.full(len(seq_T), share)
  log.add(size - seq_T, nothing, same, gain_T, lambda i: Label((), 0, i))
  yield '| age, records | labels | gain, nats | helped |'
  yield '|---|---|---|---|'
  for band in log.bands():
    ages = f'{band["youngest"]:,} to {min(band["oldest"], size):,}'
    cells = f'{band["labels"]} | {band["gain"]:+.3f} | {band["helped"]:.0%}'
    yield f'| {ages} | {cells} |'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir')
  parser.add_argument('text')
  arguments = parser.parse_args()
  run = memjax.load(arguments.workdir, carry=False)
  assert run.tokenizer is not None
  text, start = Path(arguments.text).read_bytes(), time.process_time()
  print(f'load {os.getloadavg()[0]:.1f}; {PARTS} parts of {WORDS} words')
  twentieth = len(text) // 20
  told = run.tokenizer.encode(text[: 18 * twentieth])[: max(SIZES) + 1]
  key_ND = states(run, told[:-1])
  chosen_on = read_words(run, text[18 * twentieth : 19 * twentieth])
  parts = [
    read_words(run, text[19 * twentieth + part * twentieth // PARTS :])
    for part in range(PARTS)
  ]
  alone = [perplexity(part.p_T) for part in parts]
  print(f'the model alone: {spread(alone)}\n')
  print('| records | k | share | temperature | perplexity | of the model |')
  print('|---|---|---|---|---|---|')
  for size in SIZES:
    index = Index(key_ND.shape[1], 'cosine')
    part_ND, tokens = np.ascontiguousarray(key_ND[-size:]), told[1:][-size:]
    rows = [(0.0, 0.0, '')] * len(part_ND)
    index.add(list(range(len(part_ND))), part_ND.tobytes(), rows)
    first = find(index, tokens, chosen_on)
    found = [find(index, tokens, part) for part in parts]
    for count in COUNTS:
      best = choose(chosen_on, first, count)
      p = [
        mixture(part, records, count, *best)
        for part, records in zip(parts, found, strict=True)
      ]
      figures = [perplexity(p_T) for p_T in p]
      ratios = [f / a for f, a in zip(figures, alone, strict=True)]
      cells = f'{spread(figures)} | {spread(ratios)}'
      row = f'| {len(tokens):,} | {count} | {best[0]} | {best[1]} | {cells} |'
      print(row, flush=True)
  print()
  joined = [np.concatenate(x) for x in zip(*parts, strict=True)]
  of_all = [np.concatenate(x) for x in zip(*found, strict=True)]
  p_T = np.concatenate(p)
  words, records = Words(*joined), Found(*of_all)
  for row in age_rows(words, records, len(tokens), p_T, best[0]):
    print(row)
  print(f'{time.process_time() - start:.0f} processor seconds')


if __name__ == '__main__':
  main()
