"""A space as it was: arrays that never change, in files that are mapped.

What reads a snapshot is a function of its fingerprint: a batch that depends on
one can be made again. Keys are float16, as they are compared: of length 1 with
the metric 'cosine'. They are in plain, and erasing a space does not reach them.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memjax.errors import ConfigError
from memjax.store.index import normed
from memjax.store.records import Damaged, Hits, canonical, nothing

PIECE = 1 << 16  # keys that are compared at once
MANIFEST = 'snapshot.json'


class Snapshot(NamedTuple):
  """The records of a range at one moment.

  Attributes:
    key_ND: float16 keys.
    token_N: int32, the token id that is the value; -1 if it is none.
    seq_N: int64 numbers.
    at_N: when written.
    metric: 'cosine' or 'l2'.
  """

  key_ND: np.ndarray
  token_N: np.ndarray
  seq_N: np.ndarray
  at_N: np.ndarray
  metric: str

  @property
  def fingerprint(self) -> str:
    """A hash of all arrays; reads them whole."""
    digest = hashlib.sha256(self.metric.encode())
    for array in self[:4]:
      digest.update(canonical([str(array.dtype), list(array.shape)]))
      for at in range(0, len(array), PIECE):
        digest.update(np.ascontiguousarray(array[at : at + PIECE]).tobytes())
    return digest.hexdigest()

  def nearest(self, query_QD: np.ndarray, count: int) -> Hits:
    """Places, from 0, of the nearest keys of each query, and their scores."""
    query_QD = np.asarray(query_QD, np.float32)
    if self.metric == 'cosine':
      query_QD = normed(query_QD)
    best = nothing(len(query_QD), count)
    for at in range(0, len(self.key_ND), PIECE):
      key_ND = np.asarray(self.key_ND[at : at + PIECE], np.float32)
      score_QN = query_QD @ key_ND.T
      if self.metric == 'l2':
        score_QN = 2 * score_QN - np.square(key_ND).sum(1)
        score_QN -= np.square(query_QD).sum(1, keepdims=True)
      place_QN = np.broadcast_to(
        np.arange(at, at + len(key_ND)), score_QN.shape
      )
      place_QN = np.concatenate([best.seq_QK, place_QN], 1)
      score_QN = np.concatenate([best.score_QK, score_QN], 1)
      order = np.argsort(-score_QN, axis=1, kind='stable')[:, :count]
      best = Hits(
        np.take_along_axis(place_QN, order, 1),
        np.take_along_axis(score_QN, order, 1),
      )
    return best

  def save(self, folder: Path) -> None:
    """Writes the arrays, and last what makes them a snapshot.

    Raises:
      ConfigError: the folder holds files, or cannot be written.
    """
    try:
      folder.mkdir(parents=True, exist_ok=True)
      if any(folder.iterdir()):
        raise ConfigError('snapshot', str(folder), 'is not empty')
      for name, array in zip(self._fields[:4], self[:4], strict=True):
        np.save(folder / f'{name}.npy', array)
      content = {'metric': self.metric, 'fingerprint': self.fingerprint}
      (folder / MANIFEST).write_text(json.dumps(content), encoding='utf-8')
    except OSError as error:
      raise ConfigError('snapshot', str(folder), str(error)) from None


def open_snapshot(folder: Path) -> Snapshot:
  """The snapshot of a folder; its arrays are mapped, not read.

  Raises:
    ConfigError: the folder holds none.
    Damaged: the arrays are not those that were written.
  """
  try:
    content = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
    arrays = [
      np.load(folder / f'{name}.npy', mmap_mode='r')
      for name in Snapshot._fields[:4]
    ]
    found = Snapshot._make((*arrays, content['metric']))
  except OSError as error:
    raise ConfigError('snapshot', str(folder), str(error)) from None
  except (ValueError, KeyError, TypeError, EOFError):
    raise Damaged('snapshot', str(folder), 'is damaged') from None
  if found.fingerprint != content.get('fingerprint'):
    raise Damaged('snapshot', str(folder), 'is damaged: other arrays')
  return found
