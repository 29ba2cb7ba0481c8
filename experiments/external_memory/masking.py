"""What masking costs in bits: notes told to a store, masked or not.

    python -m experiments.external_memory.masking --write=FILE
    python -m experiments.external_memory.masking WORKDIR

The first command writes a text to train on: notes about other people, half of
them masked. WORKDIR is a run of configs/text.py on its bytes. Notes are told to
a store; other notes about the same people are scored, as they are or masked,
with the neighbours of the store. Five rounds with other people.
"""

import argparse
import os
from pathlib import Path
import random
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import memjax
from memjax.generation.neighbours import Mixing, hidden_states, mixed_outputs
from memjax.models.base import apply_readout
from memjax.store.index import Index
from memjax.store.mask import Mask
from memjax.store.records import ANY, Range

ROUNDS, PEOPLE, TOLD, ASKED = 5, 12, 60, 12
BLOCKS, TRAINING = 150, 1000  # of the text to train on, and its seed
TOLDS = (
  'Write to {mail} about the door, or call {phone} in the morning.',
  'The order of {mail} was sent; the number to call is {phone}.',
  'Please call {phone}, and send the rest to {mail} before noon.',
)
MENTIONS = 2  # an address and a number in each note
WORDS = ('door', 'order', 'garden', 'letter', 'house', 'water', 'ship')


def note(rng: random.Random, people: list[tuple[str, str]]) -> str:
  mail, phone = rng.choice(people)
  line = rng.choice(TOLDS).format(mail=mail, phone=phone)
  return f'{line} The {rng.choice(WORDS)} and the {rng.choice(WORDS)}.\n'


def crowd(rng: random.Random) -> list[tuple[str, str]]:
  def letters() -> str:
    return ''.join(rng.choice('aeioubdglmnrst') for _ in range(6))

  return [
    (f'{letters()}@{letters()}.org', f'+1 650 253 {rng.randrange(10**4):04}')
    for _ in range(PEOPLE)
  ]


def training_text(blocks: int = BLOCKS) -> str:
  """Blocks of notes, each about people of its own; every other one masked."""
  rng, parts = random.Random(TRAINING), []
  for number in range(blocks):
    people, mask = crowd(rng), Mask(rng.randbytes(32))
    notes = ''.join(note(rng, people) for _ in range(TOLD))
    parts.append(mask(notes) if number % 2 else notes)
  return ''.join(parts)


def states(run: Any, ids: np.ndarray) -> np.ndarray:
  return hidden_states(run.model, run.params, run.model.initial_carry(1), ids)


def nats(run: Any, ids: np.ndarray, told: np.ndarray | None) -> np.ndarray:
  """Of each byte but the first one, with what was told or alone."""
  h_TD = states(run, ids[:-1])
  y_TV = apply_readout(run.model, run.params, jnp.asarray(h_TD))
  log_TV = jax.nn.log_softmax(y_TV)
  if told is not None:
    key_ND = np.ascontiguousarray(states(run, told[:-1]))
    index = Index(key_ND.shape[1], 'cosine')
    rows = [(0.0, 0.0, '')] * len(key_ND)
    index.add(list(range(len(key_ND))), key_ND.tobytes(), rows)
    hits = index.search(h_TD, 8, Range(0, len(key_ND)), 1.0, ANY)
    token_TK = told[1:][hits.seq_QK].astype(np.int32)
    score_TK = jnp.asarray(hits.score_QK)
    asked = y_TV[None], jnp.asarray(token_TK)[None], score_TK[None]
    log_TV = mixed_outputs(*asked, Mixing())[0][0]
  return -np.asarray(log_TV)[np.arange(len(h_TD)), ids[1:]]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  one = parser.add_mutually_exclusive_group(required=True)
  one.add_argument('workdir', nargs='?')
  one.add_argument('--write', type=Path)
  arguments = parser.parse_args()
  if arguments.write:
    arguments.write.write_text(training_text(), 'utf-8')
    return
  run = memjax.load(arguments.workdir, carry=False)
  assert run.tokenizer is not None
  print(f'load {os.getloadavg()[0]:.1f}; {ROUNDS} rounds of {ASKED} notes')
  encode, start = run.tokenizer.encode, time.process_time()
  figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
  for seed in range(ROUNDS):
    rng, mask = random.Random(seed), Mask(bytes(32))
    people = crowd(rng)
    told = ''.join(note(rng, people) for _ in range(TOLD))
    asked = ''.join(note(rng, people) for _ in range(ASKED))
    for read, text in (('as it is', asked), ('masked', mask(asked))):
      spans = mask.spans(text) if read == 'as it is' else []
      ids = encode(text.encode())
      personal = np.zeros(len(ids), bool)
      for span in spans:
        personal[span.start : span.end] = True
      if read == 'masked':
        inside = np.cumsum([(c == '<') - (p == '>') for c, p in around(text)])
        personal = inside > 0
      stores = (('none', None), ('as it is', told), ('masked', mask(told)))
      for stored, content in stores:
        known = None if content is None else encode(content.encode())
        bits = nats(run, ids, known) / np.log(2)
        mention = bits[personal[1:]].sum() / (MENTIONS * ASKED)
        pair = mention, bits[~personal[1:]].mean()
        figures.setdefault((read, stored), []).append(pair)
  print('| text | store | bits a mention | bits a byte, the rest |')
  print('|---|---|---|---|')
  for (read, stored), pairs in figures.items():
    cells = [
      f'{np.median(x):.2f} ({min(x):.2f} to {max(x):.2f})'
      for x in zip(*pairs, strict=True)
    ]
    print(f'| {read} | {stored} | {" | ".join(cells)} |')
  print(f'{time.process_time() - start:.0f} processor seconds')


def around(text: str) -> list[tuple[str, str]]:
  """Each letter and the one before it."""
  return list(zip(text, f' {text}', strict=False))


if __name__ == '__main__':
  main()
