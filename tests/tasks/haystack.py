"""Rows of tasks that hide sentences in a text, and their scores."""

from collections.abc import Iterator
import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.data.corpus import close_corpora
from memjax.tasks.base import Stream
from memjax.tasks.ruler.haystack import Haystack
from memjax.types import Batch

ROWS = 400


@contextlib.contextmanager
def hay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
  """Fields of a task whose hay counts up in letters that no sentence has."""
  folder = tmp_path_factory.mktemp('texts')
  numbers = ''.join(f'{i:04}' for i in range(9000))
  moved = numbers.translate(str.maketrans('0123456789', 'ABCDEFGHIJ'))
  (folder / 'hay').write_text(moved)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('MEMJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
    close_corpora()
    yield {'corpus': 'files', 'path': str(folder)}
    close_corpora()


def drawn(task: Haystack, seed: int = 0, step: int = 0) -> Batch:
  return task.rows(Stream(seed, 0, ROWS), step, np.arange(ROWS))


def texts(batch: Batch) -> list[bytes]:
  """The rows with the byte that no model reads, the answer's last."""
  last = batch.targets[:, -1:]
  rows = np.concatenate([batch.inputs, last], 1).astype(np.uint8)
  return [row.tobytes() for row in rows]


def scored(
  task: Haystack, predicted: np.ndarray, batch: Batch
) -> dict[str, float]:
  """The scores of logits for the answer at the end."""
  answers = jax.tree.map(
    lambda x: jnp.asarray(x[:, -predicted.shape[1] :]), batch
  )
  measured = task.measure(jnp.asarray(predicted, jnp.float32), answers)
  return {name: float(metric.value()) for name, metric in measured.items()}
