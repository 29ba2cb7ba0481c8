"""Recall of a fact by its distance: carry alone, with a cache, with a store.

    python -m experiments.external_memory.recall WORKDIR TEXT

WORKDIR is a run of configs/neural_cache.py on words. A fact, 'the name of my A
is B', is followed by words of the last tenth of the file TEXT, and then by the
question, 'the name of my A is'. How the store is mixed is chosen on others.
"""

import argparse
import itertools
import os
from pathlib import Path
import tempfile
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

import memjax
from memjax.generation.neighbours import (
  Mixing,
  Neighbours,
  hidden_states,
  mixed,
)
from memjax.models.base import apply_readout
from memjax.store.base import Store
from memjax.store.crypto import new_master
from memjax.store.grants import grant
from memjax.store.index import normed
from memjax.store.keyring import Keyring
from memjax.store.records import (
  Range,
  Record,
  Where,
  pack_tokens,
  unpack_tokens,
)
from memjax.store.sqlite import Sqlite

DISTANCES = (16, 64, 256, 1024, 4096)
ROUNDS, TRIALS, SLOTS, SHARP, SHARE = 3, 20, 1000, 0.1, 0.1
CHOSEN_AT, FIRST_CHOSEN = 256, 1000  # distance and seed of the other facts
TEMPERATURES, REACHES = (0.01, 0.03, 0.1), (0.03, 0.1, 0.3, 1.0)
BEFORE = 'come , tell me now , '  # the question of other states
THINGS = 'dog horse sister brother garden book daughter mother house sword'
NAMES = 'fire water gold night winter summer bread iron snow rose'
RIGHTS = grant('recall', '*', 'read write')


class Trial:
  """A fact, what follows it, and the states of the model."""

  def __init__(self, run: Any, words: np.ndarray, distance: int, seed: int):
    rng, self.run = np.random.default_rng(seed), run
    thing, name = (str(rng.choice(w.split())) for w in (THINGS, NAMES))
    encode = run.tokenizer.encode
    self.question = encode(f'the name of my {thing} is'.encode())
    self.answer = int(encode(name.encode())[0])
    begin = int(rng.integers(len(words) - distance))
    self.fact = np.append(self.question, self.answer)
    self.between = words[begin : begin + distance]
    self.ids = np.concatenate([self.fact, self.between, self.question])

  def states(self, ids: np.ndarray) -> np.ndarray:
    """The hidden states of a text that begins with an empty carry."""
    model, params = self.run.model, self.run.params
    return hidden_states(model, params, model.initial_carry(1), ids)

  def logits(self, h_D: np.ndarray) -> np.ndarray:
    h = jnp.asarray(h_D)[None]
    return np.asarray(apply_readout(self.run.model, self.run.params, h))[0]

  def rank(self, log_V: np.ndarray) -> int:
    """The place of the answer among all words, from 0."""
    return int((log_V > log_V[self.answer]).sum())

  def with_cache(self, h_TD: np.ndarray, mixing: Mixing | None) -> np.ndarray:
    """The last SLOTS states of the stream, mixed as the store is.

    Without a mixing it is `neural_cache.CachedStack` at the last step.
    """
    first = max(len(h_TD) - 1 - SLOTS, 0)
    logits, tokens = self.logits(h_TD[-1]), self.ids[first + 1 :]
    if mixing:
      cosine = normed(h_TD[first:-1]) @ normed(h_TD[-1:])[0]
      best = np.argsort(-cosine)[:8]
      found = Neighbours(tokens[best], cosine[best])
      return mixed(logits, found, mixing)[0]
    p_V = np.exp(logits.astype(np.float64) - logits.max())
    score = SHARP * (h_TD[first:-1] @ h_TD[-1]).astype(np.float64)
    weight = np.exp(score - score.max())
    c_V = np.zeros_like(p_V)
    np.add.at(c_V, tokens, weight / weight.sum())
    return (1 - SHARE) * p_V / p_V.sum() + SHARE * c_V

  def tell(self, opened: Store, space: str) -> None:
    """Writes the fact, and then the rest, as two processes would."""
    for part in (self.fact, self.between):
      h_TD = self.states(part[:-1])
      records = [
        Record(h_D, pack_tokens(int(token)))
        for h_D, token in zip(h_TD, part[1:], strict=True)
      ]
      opened.write(space, records)

  def ask(
    self, opened: Store, space: str, before: str = '', most: int = 0
  ) -> tuple[np.ndarray, Neighbours]:
    """What a process that reads the question alone has: outputs and records.

    Args:
      opened: the store.
      space: where the fact was told.
      before: words before the question.
      most: the number of last records that are seen; 0: all.
    """
    end = opened.end(space)
    seen = Range(max(end - most, 0) if most else 0, end)
    ids = self.run.tokenizer.encode(before.encode())
    h_D = self.states(np.append(ids, self.question))[-1]
    hits = opened.search(space, h_D[None], 8, seen)
    seqs = tuple(hits.seq_QK[0].tolist())
    rows = opened.read(space, seen, Where(seqs=seqs))
    tokens = {row.seq: unpack_tokens(row.value)[0] for row in rows}
    token_C = np.array([tokens[seq] for seq in seqs])
    return self.logits(h_D), Neighbours(token_C, hits.score_QK[0])


def choose(run: Any, words: np.ndarray, opened: Store) -> Mixing:
  """The mixing that has the most answers to other facts, with and without
  other words before; of equal ones the likeliest answers."""
  asked = []
  for seed in range(FIRST_CHOSEN, FIRST_CHOSEN + TRIALS):
    trial = Trial(run, words, CHOSEN_AT, seed)
    trial.tell(opened, f'chosen-{seed}')
    for before in ('', BEFORE):
      asked.append((trial, *trial.ask(opened, f'chosen-{seed}', before)))

  def figure(mixing: Mixing) -> tuple[float, float]:
    scores = [
      (t, mixed(logits, found, mixing)[0]) for t, logits, found in asked
    ]
    right = np.mean([trial.rank(log_V) == 0 for trial, log_V in scores])
    likely = np.mean([log_V[trial.answer] for trial, log_V in scores])
    return float(right), float(likely)

  grid = itertools.product(TEMPERATURES, REACHES)
  return max((Mixing(Mixing().share, *pair) for pair in grid), key=figure)


def answers(
  trial: Trial, opened: Store, space: str, mixing: Mixing
) -> dict[str, np.ndarray]:
  """The scores of all words, by the memory that is asked."""

  def ask(**how: Any) -> np.ndarray:
    return mixed(*trial.ask(opened, space, **how), mixing)[0]

  h_TD = trial.states(trial.ids)
  trial.tell(opened, space)
  return {
    'carry': trial.logits(h_TD[-1]),
    f'cache {SLOTS}': trial.with_cache(h_TD, None),
    f'cache {SLOTS}, mixed as the store': trial.with_cache(h_TD, mixing),
    f'store, last {SLOTS}': ask(most=SLOTS),
    'store': ask(),
    'store, other words before': ask(before=BEFORE),
  }


def spread(values: list[float]) -> str:
  """The median, and the ends if they differ."""
  low, high = min(values), max(values)
  ends = '' if low == high else f' ({low:.2f} to {high:.2f})'
  return f'{np.median(values):.2f}{ends}'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir')
  parser.add_argument('text')
  arguments = parser.parse_args()
  run = memjax.load(arguments.workdir, carry=False)
  assert run.tokenizer is not None
  text = Path(arguments.text).read_bytes()
  words = run.tokenizer.encode(text[len(text) * 9 // 10 :])
  start = time.process_time()
  facts = f'{ROUNDS} rounds of {TRIALS} facts a distance'
  print(f'load {os.getloadavg()[0]:.1f}; {facts}')
  with tempfile.TemporaryDirectory() as folder:
    engine = Sqlite(Path(folder) / 'db', bytes(32))
    opened = Store(engine, Keyring(new_master()), RIGHTS)
    mixing = choose(run, words, opened)
    print(f'temperature {mixing.temperature}, reach {mixing.reach}\n')
    for distance in DISTANCES:
      right: dict[str, list[list[bool]]] = {}
      for seed in range(ROUNDS * TRIALS):
        trial = Trial(run, words, distance, seed)
        found = answers(trial, opened, f'{distance}-{seed}', mixing)
        for name, scores in found.items():
          rounds = right.setdefault(name, [[] for _ in range(ROUNDS)])
          rounds[seed // TRIALS].append(trial.rank(scores) == 0)
      if distance == DISTANCES[0]:
        print(f'| distance | {" | ".join(right)} |')
        print(f'|{"---|" * (len(right) + 1)}')
      cells = [spread([float(np.mean(x)) for x in y]) for y in right.values()]
      print(f'| {distance} | {" | ".join(cells)} |', flush=True)
    opened.close()
  print(f'{time.process_time() - start:.0f} processor seconds')


if __name__ == '__main__':
  main()
