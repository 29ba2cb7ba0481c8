"""kNN-LM: what a frozen store of training text is worth, by size, k, share.

    python -m experiments.external_memory.neighbours WORKDIR TEXT

WORKDIR is a run of configs/neural_cache.py on words, TEXT its text. States of
the first nine tenths become keys; words of the last twentieth are scored, with
shares and temperatures as given: nothing is fitted to them.
"""

import argparse
import os
from pathlib import Path
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import memjax
from memjax.generation.neighbours import hidden_states
from memjax.models.base import apply_readout
from memjax.store.index import Index
from memjax.store.records import ANY, Range

WORDS, BATCH, TEMPERATURE = 2048, 64, 0.05
SIZES, COUNTS = (10_000, 50_000, 190_000), (8, 64)
SHARES = (0.1, 0.25, 0.5)


def states(run: Any, ids: np.ndarray) -> np.ndarray:
  return hidden_states(run.model, run.params, run.model.initial_carry(1), ids)


def log_probabilities(run: Any, h_TD: np.ndarray) -> np.ndarray:
  logits = apply_readout(run.model, run.params, jnp.asarray(h_TD))
  return np.asarray(jax.nn.log_softmax(logits))


def share_of_target(
  score_TK: np.ndarray, token_TK: np.ndarray, target_T: np.ndarray
) -> np.ndarray:
  """c_t of the word that came."""
  e_TK = np.exp((score_TK - score_TK[:, :1]) / TEMPERATURE)
  return (e_TK * (token_TK == target_T[:, None])).sum(1) / e_TK.sum(1)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir')
  parser.add_argument('text')
  arguments = parser.parse_args()
  run = memjax.load(arguments.workdir, carry=False)
  assert run.tokenizer is not None
  text, start = Path(arguments.text).read_bytes(), time.process_time()
  print(f'load {os.getloadavg()[0]:.1f}; {WORDS} words')
  told = run.tokenizer.encode(text[: len(text) * 9 // 10])[: max(SIZES) + 1]
  asked = run.tokenizer.encode(text[len(text) * 19 // 20 :])[: WORDS + 1]
  key_ND, h_TD = states(run, told[:-1]), states(run, asked[:-1])
  target_T = asked[1:]
  log_TV = log_probabilities(run, h_TD)
  p_T = np.exp(log_TV[np.arange(len(target_T)), target_T])
  print(f'the model alone: {np.exp(-np.log(p_T).mean()):.2f}')
  print(f'| records | k | {" | ".join(f"share {s}" for s in SHARES)} |')
  print(f'|{"---|" * (len(SHARES) + 2)}')
  for size in SIZES:
    index = Index(key_ND.shape[1], 'cosine')
    part = np.ascontiguousarray(key_ND[-size:])
    tokens = told[1:][-size:]
    rows = [(0.0, 0.0, '')] * len(part)
    index.add(list(range(len(part))), part.tobytes(), rows)
    seen, hits = Range(0, len(part)), []
    for at in range(0, len(h_TD), BATCH):
      query = h_TD[at : at + BATCH]
      hits.append(index.search(query, max(COUNTS), seen, 1.0, ANY))
    score_TK = np.concatenate([h.score_QK for h in hits])
    token_TK = tokens[np.concatenate([h.seq_QK for h in hits])]
    for count in COUNTS:
      c_T = share_of_target(score_TK[:, :count], token_TK[:, :count], target_T)
      cells = [
        f'{np.exp(-np.log((1 - s) * p_T + s * c_T).mean()):.2f}' for s in SHARES
      ]
      print(f'| {len(part):,} | {count} | {" | ".join(cells)} |', flush=True)
  print(f'{time.process_time() - start:.0f} processor seconds')


if __name__ == '__main__':
  main()
