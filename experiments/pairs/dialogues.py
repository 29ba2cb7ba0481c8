"""Dialogues in English: chatterbot-corpus 1.3.3, under BSD's licence.

A pair is all that was said so far, its turns separated by ` / `, and the next
turn. Equal pairs are one. The source's SHA-256 says the split: so no source is
in two splits.
"""

from collections.abc import Iterable, Iterator
import json
from pathlib import Path
import zipfile

import yaml

from experiments.letters_to_sounds.wheels import find
from memjax.data.pair_files import Pair, split_of_source

ENGLISH = 'chatterbot_corpus/data/english/'


def conversations() -> Iterator[list[str]]:
  """The turns of each conversation, in the order of the files' names.

  Raises:
    OSError: the wheel cannot be downloaded, or is not the released file.
  """
  with zipfile.ZipFile(find('chatterbot-corpus==1.3.3')) as wheel:
    for name in sorted(wheel.namelist()):
      if name.startswith(ENGLISH) and name.endswith('.yml'):
        for turns in yaml.safe_load(wheel.read(name))['conversations']:
          yield [str(turn) for turn in turns]


def pairs_of(conversations: Iterable[list[str]]) -> list[Pair]:
  """What was said so far and the next turn, without repetitions."""
  found = {
    Pair(' / '.join(turns[:i]), turns[i])
    for turns in conversations
    for i in range(1, len(turns))
  }
  return sorted(found)


def write(path: Path) -> None:
  """A record of said, answer and split for each pair."""
  path.parent.mkdir(parents=True, exist_ok=True)
  records = (
    {
      'said': pair.source,
      'answer': pair.target,
      'split': split_of(pair.source),
    }
    for pair in pairs_of(conversations())
  )
  path.write_text(''.join(f'{json.dumps(record)}\n' for record in records))


def split_of(source: str) -> str:
  """Train or, of one source in ten, validation."""
  return 'train' if split_of_source(source) == 'train' else 'validation'
