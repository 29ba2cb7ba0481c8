"""A snapshot never changes, and what was changed is found."""

from pathlib import Path

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.store.engine import Engine
from memjax.store.records import Damaged, Range, Record, Where, pack_tokens
from memjax.store.snapshot import MANIFEST, Snapshot, open_snapshot
from tests.store.engines import records, store
from tests.store.test_laws import oracle


@pytest.mark.parametrize('metric', ['cosine', 'l2'])
def test_a_snapshot_is_of_a_range_for_ever(
  engine: Engine, metric: str, tmp_path: Path
) -> None:
  opened, said = store(engine, metric=metric), records(30)
  said = [r._replace(value=pack_tokens(i)) for i, r in enumerate(said)]
  said[3] = said[3]._replace(value='text')
  seen = opened.write('a', said)
  opened.write('a', records(5, seed=1))
  taken = opened.snapshot('a', seen)
  assert taken.token_N.tolist() == [0, 1, 2, -1, *range(4, 30)]
  assert taken.key_ND.dtype == np.float16
  keys_ND = np.stack([np.asarray(record.key) for record in said])
  if metric == 'cosine':
    keys_ND /= np.linalg.norm(keys_ND, axis=1, keepdims=True)
  np.testing.assert_allclose(taken.key_ND, keys_ND, atol=2e-3)
  opened.write('a', [Record([9, 9, 9, 9], 'later')])
  assert opened.snapshot('a', seen).fingerprint == taken.fingerprint
  taken.save(tmp_path / 'kept')
  mapped = open_snapshot(tmp_path / 'kept')
  assert isinstance(mapped.key_ND, np.memmap)
  assert mapped.fingerprint == taken.fingerprint
  query_QD = np.random.default_rng(4).normal(size=(5, 4))
  hits = mapped.nearest(query_QD, 6)
  expected = oracle(taken.key_ND, query_QD.astype(np.float32), 6, metric)
  assert (hits.seq_QK == expected).mean() > 0.9  # lengths are rounded
  assert opened.audit('a')[-1].action == 'snapshot'
  opened.forget('a', Where(seqs=(0, 1)))
  assert opened.snapshot('a', seen).seq_N.tolist() == list(range(2, 30))
  assert opened.snapshot('none', Range(0, 9)).key_ND.shape == (0, 0)


def test_damage_is_found(tmp_path: Path) -> None:
  folder, rng = tmp_path / 'kept', np.random.default_rng(0)
  key_ND = rng.normal(size=(9, 3)).astype(np.float16)
  numbers = np.arange(9)
  made = Snapshot(key_ND, numbers.astype(np.int32), numbers, numbers / 2, 'l2')
  made.save(folder)
  with pytest.raises(ConfigError, match='is not empty'):
    made.save(folder)
  path = folder / 'key_ND.npy'
  whole = path.read_bytes()
  for changed in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b''):
    path.write_bytes(changed)
    with pytest.raises(Damaged, match='is damaged'):
      open_snapshot(folder)
  path.write_bytes(whole)
  np.testing.assert_array_equal(open_snapshot(folder).key_ND, key_ND)
  (folder / MANIFEST).unlink()
  with pytest.raises(ConfigError, match='No such file'):
    open_snapshot(folder)
