"""What a store costs: a query, an insert, and each safeguard.

    python -m experiments.external_memory.costs --most=100000

Times are processor seconds of this process, the median of several calls, so
that they compare beside other work. A server works in other processes, so its
times are those of the clock: --server=postgresql://USER@HOST/DB measures only
it, in schemas of its own, --rounds of each size from --least on.
"""

import argparse
from collections.abc import Callable, Iterator
import functools
import os
from pathlib import Path
import resource
import statistics
import tempfile
import time

import numpy as np

from memjax.store.base import Store
from memjax.store.crypto import Cipher, new_master
from memjax.store.engine import Engine
from memjax.store.flat import Flat
from memjax.store.grants import grant
from memjax.store.index import Index
from memjax.store.keyring import Keyring
from memjax.store.mask import Mask
from memjax.store.records import ANY, Range, Record
from memjax.store.sqlite import Sqlite

WIDTH, QUERIES, PIECE = 64, 16, 10_000
RIGHTS = grant('bench', '*', 'read write forget admin')
TEXT = 'Write to bob@example.org or +1 650 253 0000 about the door. ' * 2


def seconds(call: Callable[[], object], times: int = 5) -> float:
  """The median processor seconds of a call."""
  taken = []
  for _ in range(times):
    start = time.process_time()
    call()
    taken.append(time.process_time() - start)
  return statistics.median(taken)


def plain_search(key_ND: np.ndarray, query_QD: np.ndarray) -> np.ndarray:
  """What anybody would write: one product and a partition."""
  score_QN = query_QD @ key_ND.T
  return np.argpartition(-score_QN, 8, axis=1)[:, :8]


def search_rows(most: int) -> Iterator[str]:
  """Milliseconds a query of arrays, by size, in batches of one and of 16."""
  head = 'numpy, 1 | exact, 1 | numpy, 16 | exact, 16 | bytes a record'
  yield f'| records | {head} |'
  yield '|---|---|---|---|---|---|'
  rng, count = np.random.default_rng(0), 1000
  while count <= most:
    key_ND = rng.standard_normal((count, WIDTH), np.float32)
    index = Index(WIDTH, 'cosine')
    for at in range(0, count, PIECE):
      part = key_ND[at : at + PIECE]
      seqs = list(range(at, at + len(part)))
      index.add(seqs, part.tobytes(), [(0.0, 0.0, '')] * len(part))
    seen, cells = Range(0, count), []
    for queries in (1, QUERIES):
      query_QD = rng.normal(size=(queries, WIDTH)).astype(np.float32)
      for call in (
        functools.partial(plain_search, key_ND, query_QD),
        functools.partial(index.search, query_QD, 8, seen, 1.0, ANY),
      ):
        cells.append(f'{1000 * seconds(call) / queries:.3f}')
    held = sum(column.nbytes for column in index._columns) / count
    yield f'| {count:,} | {" | ".join(cells)} | {held:.0f} |'
    count *= 10


def records(count: int, seed: int = 0) -> list[Record]:
  keys = np.random.default_rng(seed).normal(size=(count, WIDTH))
  return [Record(key, b'12345678') for key in keys]


def store_rows(folder: Path, most: int) -> Iterator[str]:
  """Inserts a second, loading, and a query with its audit row, by engine."""
  yield '| engine | records | inserts a second | first query, s | query, ms |'
  yield '|---|---|---|---|---|'
  for name in ('flat', 'sqlite', 'sqlite, searching'):
    limits = {'flat': 100_000, 'sqlite, searching': 10_000}
    count = min(most, limits.get(name, most))
    engine: Engine = Flat()
    if name != 'flat':
      engine = Sqlite(folder / name, bytes(32), name.endswith('searching'))
    with Store(engine, Keyring(new_master()), RIGHTS) as opened:
      taken = 0.0
      for seed in range(count // PIECE):
        part, start = records(PIECE, seed), time.process_time()
        opened.write('a', part)
        taken += time.process_time() - start
      rate = count / taken
      seen = Range(0, count)
      query = np.ones((1, WIDTH), np.float32)
      start = time.process_time()
      opened.search('a', query, 8, seen)
      first = time.process_time() - start
      each = seconds(functools.partial(opened.search, 'a', query, 8, seen))
    line = f'| {name} | {count:,} | {rate:,.0f} | {first:.2f} |'
    yield f'{line} {1000 * each:.2f} |'


def safeguard_rows(folder: Path) -> Iterator[str]:
  """The price of each safeguard alone, a record or a call."""
  yield '| safeguard | microseconds |'
  yield '|---|---|'
  cipher, mask, batch = Cipher(bytes(32)), Mask(bytes(32)), range(1000)
  sealed = cipher.seal(bytes(256), b'a')
  key, payload = bytes(256), bytes(64)
  grant_of = grant('a', 'team-*', 'read')
  each: dict[str, Callable[[], object]] = {
    'seal a key of 64 numbers': lambda: [cipher.seal(key, b'a') for _ in batch],
    'seal a value of 64 bytes': lambda: [
      cipher.seal(payload, b'a') for _ in batch
    ],
    'open a key': lambda: [cipher.open(sealed, b'a') for _ in batch],
    'check a grant': lambda: [
      grant_of.check('read', 'team-1', 1.0) for _ in batch
    ],
  }
  for name, call in each.items():
    yield f'| {name} | {1000 * seconds(call):.1f} |'
  took = seconds(lambda: [mask(TEXT) for _ in range(20)])
  yield f'| mask a text of {len(TEXT)} characters | {1e6 * took / 20:.0f} |'
  engine = Sqlite(folder / 'audit', bytes(32))
  opened = Store(engine, Keyring(new_master()), RIGHTS)
  opened.write('a', records(10))
  took = seconds(lambda: [opened.read('a', Range(0, 0)) for _ in range(50)])
  yield f'| a call with its row in the audit | {1e6 * took / 50:.0f} |'
  took = seconds(lambda: [opened.end('a') for _ in range(50)])
  yield f'| a call without one | {1e6 * took / 50:.0f} |'
  opened.close()


def server_rows(
  address: str, least: int, most: int, rounds: int
) -> Iterator[str]:
  """Inserts a second and a query, by size; the clock's time of some rounds."""
  yield '| keys | records | inserts a second | first query, s | query, ms |'
  yield '|---|---|---|---|---|'
  for searches in (False, True):
    count = least
    while count <= most:
      taken = [server_times(address, searches, count) for _ in range(rounds)]
      rates, firsts, each = (list(times) for times in zip(*taken, strict=True))
      kind = 'searched by the server' if searches else 'sealed'
      cells = f'{spread(rates, 0)} | {spread(firsts, 2)} | {spread(each, 1)}'
      yield f'| {kind} | {count:,} | {cells} |'
      count *= 10


def server_times(
  address: str, searches: bool, count: int
) -> tuple[float, float, float]:
  """Inserts a second, seconds of the first query, milliseconds of the next."""
  import psycopg

  from memjax.store.server import Server

  with psycopg.connect(address) as connection:
    connection.execute('CREATE SCHEMA costs')
  own = f'{address}?options=-csearch_path%3Dcosts%2Cpublic'
  with Store(Server(own, searches), Keyring(new_master()), RIGHTS) as opened:
    parts = [records(min(count, PIECE), s) for s in range(-(-count // PIECE))]
    rate = count / clock(lambda: [opened.write('a', part) for part in parts])
    query = np.ones((1, WIDTH), np.float32)
    seen = Range(0, count)
    search = functools.partial(opened.search, 'a', query, 8, seen)
    first = clock(search)
    each = 1000 * statistics.median(clock(search) for _ in range(5))
  with psycopg.connect(address) as connection:
    connection.execute('DROP SCHEMA costs CASCADE')
  return rate, first, each


def clock(call: Callable[[], object]) -> float:
  """Seconds of the clock."""
  start = time.perf_counter()
  call()
  return time.perf_counter() - start


def spread(values: list[float], digits: int) -> str:
  """The median, and the ends if they differ."""
  low, middle, high = min(values), statistics.median(values), max(values)
  ends = f' ({low:,.{digits}f} to {high:,.{digits}f})' if low < high else ''
  return f'{middle:,.{digits}f}{ends}'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--most', type=int, default=100_000)
  parser.add_argument('--server', default='')
  parser.add_argument('--least', type=int, default=1000)
  parser.add_argument('--rounds', type=int, default=3)
  arguments = parser.parse_args()
  most = arguments.most
  if arguments.server:
    print(f'load {os.getloadavg()[0]:.1f}, width {WIDTH}\n')
    sizes = arguments.least, most, arguments.rounds
    for row in server_rows(arguments.server, *sizes):
      print(row, flush=True)
    return
  print(f'load {os.getloadavg()[0]:.1f}, width {WIDTH}\n')
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    for rows in (
      safeguard_rows(folder),
      search_rows(most),
      store_rows(folder, most),
    ):
      for row in rows:
        print(row, flush=True)
      print()
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  print(f'peak of memory: {peak:,.0f} MB')


if __name__ == '__main__':
  main()
