"""Recall of a fact by its distance, of models that were trained to recall.

    python -m experiments.external_memory.carries TEXT --write=FILE
    python -m experiments.external_memory.carries TEXT WORKDIR ...

The first command writes TEXT with facts told in it again and again: 'the name
of my A is B', where B is new after every fourth time. Each WORKDIR is a run of
configs/text.py on words, of this text or of another. The second command asks
as `recall.py` does, with the same facts, and the model's carry alone answers.
"""

import argparse
import os
from pathlib import Path
import random
import time
from typing import Any

import jax
import numpy as np

from experiments.external_memory.recall import (
  DISTANCES,
  NAMES,
  ROUNDS,
  THINGS,
  TRIALS,
  Trial,
  spread,
)
import memjax

TIMES = 4  # that a name is told
LEAST_WORDS, SHARE = 4, 0.5  # of a line that may get a fact; of such lines


def with_facts(text: str, seed: int = 0) -> str:
  """The text with a fact or its repetition in half of the longer lines."""
  rng = random.Random(seed)
  names: dict[str, list[str]] = {}  # what is still to be told of each thing
  lines = []
  for line in text.split('\n'):
    words = line.split(' ')
    if len(words) >= LEAST_WORDS and rng.random() < SHARE:
      thing = rng.choice(THINGS.split())
      left = names.get(thing) or [rng.choice(NAMES.split())] * TIMES
      names[thing] = left[1:]
      fact = f'the name of my {thing} is {left[0]}'
      words.insert(rng.randrange(len(words) + 1), fact)
    lines.append(' '.join(words))
  return '\n'.join(lines)


def shares(run: Any, words: np.ndarray, distance: int) -> tuple[str, str]:
  """How many names are the likeliest of all words, and of the names."""
  name_N = run.tokenizer.encode(NAMES.encode())
  right_R2 = np.zeros((ROUNDS, 2))
  for seed in range(ROUNDS * TRIALS):
    trial = Trial(run, words, distance, seed)
    logits_V = trial.logits(trial.states(trial.ids)[-1])
    of_names = name_N[logits_V[name_N].argmax()] == trial.answer
    right_R2[seed // TRIALS] += trial.rank(logits_V) == 0, of_names
  of_all, of_names = (right_R2 / TRIALS).T.tolist()
  return spread(of_all), spread(of_names)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('text', type=Path)
  parser.add_argument('workdirs', nargs='*')
  parser.add_argument('--write', type=Path)
  arguments = parser.parse_args()
  text, start = arguments.text.read_bytes(), time.process_time()
  if arguments.write:
    arguments.write.write_text(with_facts(text.decode()), 'utf-8')
    return
  facts = f'{ROUNDS} rounds of {TRIALS} facts a distance'
  print(f'load {os.getloadavg()[0]:.1f}; {facts}\n')
  cells = ' | '.join(map(str, DISTANCES))
  print(f'| model | bytes of the carry | of | {cells} |')
  print(f'|{"---|" * (len(DISTANCES) + 3)}')
  for workdir in arguments.workdirs:
    run = memjax.load(workdir, carry=False)
    assert run.tokenizer is not None
    words = run.tokenizer.encode(text[len(text) * 9 // 10 :])
    carry = jax.tree.leaves(run.model.initial_carry(1))
    size = sum(array.nbytes for array in carry)
    found = [shares(run, words, distance) for distance in DISTANCES]
    for of, row in zip(
      ('all words', 'ten names'), zip(*found, strict=True), strict=True
    ):
      head = f'| {Path(workdir).name} | {size:,} | {of}'
      print(f'{head} | {" | ".join(row)} |', flush=True)
  print(f'{time.process_time() - start:.0f} processor seconds')


if __name__ == '__main__':
  main()
