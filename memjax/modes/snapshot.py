"""Makes the database of a task with neighbours: a space, and its snapshot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
import shlex
from typing import Any

from memjax.config.build import build_task
from memjax.errors import ConfigError, require
from memjax.runs import exit_codes
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Range, Record, pack_tokens
from memjax.tasks.language.chunk_database import chunk_source
from memjax.tasks.language.with_neighbours import WithNeighbours

PIECE = 10_000  # records of a call


def snapshot(
  config: Mapping[str, Any], store: str, space: str, words: Sequence[str]
) -> int:
  """Writes all chunks of the training text, and the snapshot of them.

  Args:
    config: its task is `WithNeighbours`; `task.snapshot` is the new folder.
    store: a file or an address.
    space: gets the records; others in it are not in the snapshot.
    words: the command line, which makes a new snapshot once this one has ended.

  Raises:
    ConfigError: the task is another, a flag is missing, or the folder holds
      files.
  """
  rule = 'must name a file or an address: --store=FILE'
  require(bool(store), 'store', store, rule)
  rule = 'must name a space of the store: --space=NAME'
  require(bool(space), 'space', space, rule)
  folder = Path(str(config['task'].get('snapshot', '')))
  rule = 'must name the new folder: --config.task.snapshot=FOLDER'
  require(folder != Path(), 'task.snapshot', '', rule)
  empty = not folder.is_dir() or not any(folder.iterdir())
  require(empty, 'task.snapshot', str(folder), 'is not empty')
  task = build_task({**config['task'], 'snapshot': ''})
  rule = 'has no neighbours: with_neighbours.WithNeighbours has'
  if not isinstance(task, WithNeighbours):
    raise ConfigError('task.name', str(config['task']['name']), rule)
  task.prepare()
  with open_store(store, grant('snapshot', space, 'read write')) as opened:
    token_NM, after_NF = task.chunks()
    begin = opened.end(space)
    for at in range(0, len(token_NM), PIECE):
      piece = token_NM[at : at + PIECE], after_NF[at : at + PIECE]
      records = [
        Record(key, pack_tokens(*after.tolist()), source=chunk_source(chunk))
        for key, chunk, after in zip(task.keys(piece[0]), *piece, strict=True)
      ]
      opened.write(space, records)
    seen = Range(begin, begin + len(token_NM))
    command = shlex.join(['memjax', *words])
    taken = opened.save_snapshot(space, seen, folder, task.about, command)
  line = f'{folder}: {len(token_NM):,} chunks of space {space}, fingerprint '
  print(f'{line}{taken.fingerprint[:12]}')
  return exit_codes.FINISHED
