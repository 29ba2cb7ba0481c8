"""What stands in a sequence, as short texts for the axis of a picture."""

import numpy as np

from memjax.tasks.base import Task

UNREADABLE = '\N{REPLACEMENT CHARACTER}'
SHOWN = {'\n': '↵', '\r': '↵', '\t': '→', ' ': '·', UNREADABLE: '?', '$': r'\$'}


def symbols(task: Task, ids_T: np.ndarray) -> list[str]:
  """A text for each id: its piece of text, else its number.

  Args:
    task: whose inputs or targets they are.
    ids_T: tokens, `(T,)`; anything else has no texts, [].
  """
  if ids_T.ndim != 1 or not np.issubdtype(ids_T.dtype, np.integer):
    return []
  tokenizer = task.text_tokenizer
  if tokenizer is None:
    return [str(i) for i in ids_T.tolist()]
  pieces = [tokenizer.decode([i]) for i in ids_T.tolist()]
  return [''.join(SHOWN.get(c, c) for c in piece) for piece in pieces]
