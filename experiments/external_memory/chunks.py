"""What neighbours say of the next chunk, without a model.

    python -m experiments.external_memory.chunks TEXT

A rule reads what followed the k nearest chunks of the training text, and says
of each token of the next chunk what came there after the same two tokens, in
the nearest one that has them. What it has right, a model could copy. TEXT and
Python's standard library, nearest and random chunks.
"""

import argparse
import dataclasses
import itertools
import os
import time

import numpy as np

from memjax.tasks.base import Stream
from memjax.tasks.language.text import Text
from memjax.tasks.language.with_neighbours import WithNeighbours

ROWS, PLACES, COUNTS, LENGTH = 64, 4, (1, 2, 4), 128  # rows at each place
# Corpus, tokens, vocabulary, tokens of a chunk, share in the database.
TEXTS = (
  ('files', 'bytes', 0, 32, 1.0),
  ('files', 'words', 4000, 16, 1.0),
  ('standard_library', 'bytes', 0, 32, 0.1),
  ('standard_library', 'bpe', 1024, 16, 0.01),
  ('standard_library', 'bpe', 1024, 16, 0.1),
  ('standard_library', 'bpe', 1024, 16, 1.0),
)


def said(after_KF: np.ndarray, chunk_M: np.ndarray) -> np.ndarray:
  """What the rule says of the tokens of a chunk but the first two; -1: nothing.

  Args:
    after_KF: the tokens after K chunks, the nearest first.
    chunk_M: the next chunk.
  """
  after: dict[tuple[int, int], int] = {}
  for tokens in after_KF.tolist():
    for one, two, three in zip(tokens, tokens[1:], tokens[2:], strict=False):
      after.setdefault((one, two), three)
  pairs = itertools.pairwise(chunk_M[:-1].tolist())
  return np.array([after.get(pair, -1) for pair in pairs])


def figures(task: WithNeighbours) -> tuple[int, list[tuple[float, float]]]:
  """The chunks of the database; by k, what the rule says and has right."""
  task.prepare()
  assert isinstance(task.task, Text)
  text = dataclasses.replace(task.task, split='validation')
  text.prepare()
  steps = text.epoch_steps(ROWS)
  rows = np.concatenate(
    [
      text.rows(Stream(0, 0, ROWS), step, np.arange(ROWS)).inputs
      for step in np.linspace(0, steps - 2, PLACES).astype(int).tolist()
    ]
  ).astype(np.int32)
  places = task._places([row.tobytes() for row in rows])
  after_RUKF = task._database.snapshot.token_NW[places]
  chunk_RUM = rows.reshape(len(rows), -1, task.chunk)[:, 1:]
  found = []
  for count in COUNTS:
    answers, right = [], []
    for place in np.ndindex(chunk_RUM.shape[:2]):
      answer = said(after_RUKF[place][:count], chunk_RUM[place])
      answers.append(answer >= 0)
      right.append(answer == chunk_RUM[place][2:])
    found.append((float(np.mean(answers)), float(np.mean(right))))
  return task._database.size, found


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('text')
  path, start = parser.parse_args().text, time.process_time()
  print(f'load {os.getloadavg()[0]:.1f}; {PLACES * ROWS} rows of {LENGTH}\n')
  head = ' | '.join(f'k = {count}: says, right' for count in COUNTS)
  print(f'| text | tokens | chunk | chunks | choice | {head} |')
  print(f'|{"---|" * (len(COUNTS) + 5)}')
  for corpus, tokens, vocab, chunk, share in TEXTS:
    text = Text(
      corpus=corpus,
      path=path if corpus == 'files' else '',
      tokens=tokens,
      vocab=vocab,
      length=LENGTH,
      carry_over=False,
    )
    for choice in ('nearest', 'random'):
      task = WithNeighbours(
        task=text,
        chunk=chunk,
        continuation=chunk,
        neighbours=max(COUNTS),
        choice=choice,
        share=share,
      )
      size, found = figures(task)
      cells = ' | '.join(f'{says:.1%}, {right:.1%}' for says, right in found)
      line = f'| {corpus} | {tokens} | {chunk} | {size:,} | {choice} |'
      print(f'{line} {cells} |', flush=True)
  print(f'{time.process_time() - start:.0f} processor seconds')


if __name__ == '__main__':
  main()
