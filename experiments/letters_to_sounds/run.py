"""What attention is worth, by the number of letters of a word.

    python -m experiments.letters_to_sounds.run [--steps=1500] [--models ...]
    python -m experiments.letters_to_sounds.run --spell

Trains encoders and decoders of one width on words of the CMU dictionary, and
writes by_length.csv in the folder of the runs: of the validation words with
this number of letters, the share whose answer is a pronunciation of theirs, and
the phoneme errors. With --spell the sounds are read and the letters answered.
The same command resumes.
"""

import argparse
from collections.abc import Sequence
import csv
from pathlib import Path
import subprocess
import sys
from typing import Any, TypeAlias

from experiments.letters_to_sounds import wheels
from experiments.letters_to_sounds.answers import answers, score
import memjax
from memjax.data.pairs import FILES, Pair, open_pairs
from memjax.data.splits import FileOptions
from memjax.data.tokenizers import Marked

# {source: its right answers}
Known: TypeAlias = dict[tuple[str, ...], list[list[str]]]

LONGEST = 16  # letters, and sounds
GROUPS = ((1, 4), (5, 6), (7, 8), (9, 10), (11, LONGEST))
MODELS = {  # {name: its variant of configs/pairs.py, and further flags}
  'none': ('none', []),
  'additive': ('none', ['--config.model.attention=additive']),
  'additive, both ways': ('additive', []),
}
FLAGS = {
  'task.corpus': 'files',
  'task.source': 1,
  'task.target': 2,
  'task.tokens': 'words',
  'task.length': 2 * LONGEST + 2,
  'model.width': 64,
  'model.depth': 1,
  'model.source_length': LONGEST,
  'train.batch_size': 32,
  'optim.learning_rate': 4e-3,
  'evals.written.every': 0,
  'evals.validation.batch_size': 64,
  'log.sample': 0,
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=Path, default=Path('runs/letters'))
  parser.add_argument('--steps', type=int, default=1500)
  parser.add_argument('--words', type=int, default=2000, help='at least')
  parser.add_argument('--models', nargs='*', default=[*MODELS], choices=MODELS)
  parser.add_argument('--spell', action='store_true')
  given = parser.parse_args()
  known = {tuple(word): ways for word, ways in wheels.dictionary().items()}
  known = spellings(known) if given.spell else known
  path = write_words(given.runs, known)
  pairs = open_pairs(FILES, str(path), FileOptions(), '1', '2')['validation']
  rows = []
  for name in given.models:
    workdir = given.runs / name.replace(', ', '-').replace(' ', '-')
    subprocess.run(command(name, path, workdir, given.steps), check=True)
    some = pairs[:: max(1, len(pairs) // given.words)]
    rows += measure(name, workdir, some, known)
  with (given.runs / 'by_length.csv').open('w', newline='') as file:
    writer = csv.DictWriter(file, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
  for row in rows:
    print(*row.values(), sep='\t')


def spellings(known: Known) -> Known:
  """The words of each pronunciation, as letters."""
  found: Known = {}
  for word, ways in known.items():
    for way in ways:
      found.setdefault(tuple(way), []).append([*word])
  return found


def write_words(folder: Path, known: Known) -> Path:
  """words.tsv: a source, and its first answer."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / 'words.tsv'
  lines = [
    f'{" ".join(word)}\t{" ".join(ways[0])}\n'
    for word, ways in known.items()
    if max(len(word), len(ways[0])) <= LONGEST
  ]
  path.write_text(''.join(lines))
  return path


def command(name: str, path: Path, workdir: Path, steps: int) -> list[str]:
  variant, more = MODELS[name]
  settings = FLAGS | {
    'task.path': path,
    'train.steps': steps,
    'evals.validation.every': steps,
    'checkpoint.every': steps,
  }
  flags = [f'--config.{field}={value}' for field, value in settings.items()]
  start = [sys.executable, '-m', 'memjax', f'--config=pairs:{variant}']
  return [*start, f'--workdir={workdir}', *flags, *more]


def measure(
  name: str,
  workdir: Path,
  pairs: Sequence[Pair],
  known: Known,
) -> list[dict[str, Any]]:
  """A row for all words, and one for each group of lengths."""
  run = memjax.load(workdir)
  marks = run.tokenizer
  assert isinstance(marks, Marked)
  words = [tuple(pair.source.split()) for pair in pairs]
  sources = [
    [*marks.encode(pair.source.encode()).tolist(), marks.separator]
    for pair in pairs
  ]
  found = answers(run.model, run.params, sources, marks.end, LONGEST + 1)
  answered = {
    word: marks.decode(answer).split()
    for word, answer in zip(words, found, strict=True)
  }
  rows = []
  for least, most in ((1, LONGEST), *GROUPS):
    some = [word for word in words if least <= len(word) <= most]
    figures = score([answered[w] for w in some], [known[w] for w in some])
    rows.append(
      {
        'model': name,
        'length': f'{least}-{most}',
        'words': len(some),
        'right': round(figures.right, 4),
        'errors': round(figures.errors, 4),
      }
    )
  return rows


if __name__ == '__main__':
  main()
