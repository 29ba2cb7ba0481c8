"""The cache reads back intact records and refuses damaged ones."""

from pathlib import Path

from memjax.data.cache import read_record, write_record

RECORD = {'files': {'a': '12', 'b': '34'}, 'symbols': 'aé"\n', 'count': 5}


def test_a_record_is_read_back(tmp_path: Path) -> None:
  assert read_record(tmp_path / 'none.json') is None
  write_record(tmp_path / 'one.json', RECORD)
  assert read_record(tmp_path / 'one.json') == RECORD
  assert [path.name for path in tmp_path.iterdir()] == ['one.json']


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
  path = tmp_path / 'one.json'
  write_record(path, RECORD)
  good = path.read_bytes()
  for i in range(len(good)):
    for bit in (0, 1, 4, 7):
      damaged = bytearray(good)
      damaged[i] ^= 1 << bit
      path.write_bytes(damaged)
      assert read_record(path) is None, (i, bit)
    path.write_bytes(good[:i])
    assert read_record(path) is None, i
