"""How far back an imported language model reads, and what rounding costs.

    memjax --mode=import --from=FILE.gguf --workdir=runs/smollm2
    python -m experiments.pretrained.reads --workdir=runs/smollm2

The text is the reference of Python that pydoc shows, or --text=FILE. Rows of
the text are read up to the last `TAIL` tokens; these are read on once with the
cache as it is and once for each change of it. Every figure of a change is the
mean difference in nats per token, with its standard error over the same tokens.
"""

import argparse
from collections.abc import Callable, Iterator
import functools
import itertools
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pretrained import changes
import memjax
from memjax.data.tokenizers import Tokenizer
from memjax.models.base import Model, apply
from memjax.runs.load import Run

CITIES = ('Oslo', 'Lima', 'Cairo', 'Quito')
DIGITS = 5


class Sizes(NamedTuple):
  """How much is read.

  Attributes:
    rows: of text, side by side.
    length: tokens of a row.
    tail: the last ones, and those of a call of the model.
    distances: of the needles, in tokens before the question.
    windows: of models that never see farther.
  """

  rows: int = 8
  length: int = 1024
  tail: int = 64
  distances: tuple[int, ...] = (32, 128, 448, 896)
  windows: tuple[int, ...] = (64, 256)

  @property
  def ages(self) -> list[int]:
    """Where bands of ages end: powers of 2, and the oldest."""
    oldest = self.length - self.tail
    powers = [2**n for n in range(20) if 2**n >= self.tail // 4]
    return [0, *(n for n in powers if n < oldest), oldest]


class Reader:
  """A model that reads in calls of one length."""

  def __init__(self, model: Model, sizes: Sizes):
    self._sizes, self.model = sizes, model

    def call(params: Any, carry: Any, ids: Any, targets: Any) -> Any:
      never = jnp.zeros(ids.shape, bool)
      carry, y = apply(model, params, carry, ids, never)
      log_p = jax.nn.log_softmax(y.astype(jnp.float32))
      nats = -jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0]
      return carry, nats, y.argmax(-1) == targets

    self._call = jax.jit(call)

  def read(self, params: Any, carry: Any, ids_BT: np.ndarray) -> Any:
    """The carry after all but the last id, nats and hits of all but the first.

    Steps that fill up the last call are read and dropped.
    """
    tail, steps = self._sizes.tail, ids_BT.shape[1] - 1
    pad = -steps % tail
    ids = np.pad(ids_BT, ((0, 0), (0, pad)))
    nats, hits = [], []
    for at in range(0, steps, tail):
      parts = ids[:, at : at + tail], ids[:, at + 1 : at + tail + 1]
      carry, of_call, hit = self._call(params, carry, *parts)
      nats.append(of_call)
      hits.append(hit)
    both = (np.concatenate(x, 1)[:, :steps] for x in (nats, hits))
    return carry, *both

  def start(self) -> Any:
    """The carry before the text."""
    return self.model.initial_carry(self._sizes.rows)


def rows_of(tokens: np.ndarray, sizes: Sizes) -> np.ndarray:
  """`(B, length + 1)` ids, from all over the text."""
  last = len(tokens) - sizes.length - 1
  starts = np.linspace(0, last, sizes.rows).astype(int)
  rows = [tokens[start : start + sizes.length + 1] for start in starts]
  return np.stack(rows).astype(np.int32)


def needles(
  ids_BT: np.ndarray, tokenizer: Tokenizer, sizes: Sizes
) -> tuple[np.ndarray, list[np.ndarray]]:
  """Rows with a number for each city, and a question for each distance.

  The number of `CITIES[i]` ends `distances[i]` tokens before the question. A
  question `(B, ...)` ends in the digits of the answer, each of them a token.
  """
  rng = np.random.default_rng(0)
  context = ids_BT[:, : sizes.length - sizes.tail + 1].copy()
  questions: list[list[np.ndarray]] = [[] for _ in sizes.distances]
  for row in context:
    for i, distance in enumerate(sizes.distances):
      number = ''.join(map(str, rng.integers(0, 10, DIGITS)))
      said = f'\nThe secret number of {CITIES[i]} is {number}'
      told = tokenizer.encode(f'{said}.\n'.encode())
      end = len(row) - distance
      row[end - len(told) : end] = told
      questions[i].append(tokenizer.encode(said.encode()))
  return context, [np.stack(q).astype(np.int32) for q in questions]


def describe(found: np.ndarray, before: np.ndarray) -> dict[str, float]:
  """The mean difference and its standard error."""
  by = (found - before).ravel()
  error = by.std(ddof=1) / math.sqrt(by.size)
  return {'nats': float(by.mean()), 'error': float(error)}


def changes_of(
  sizes: Sizes,
) -> Iterator[tuple[str, str, Callable[[Any], Any]]]:
  """(table, name, change) of every change of the cache."""
  ages, oldest = sizes.ages, sizes.ages[-1]
  for low, high in itertools.pairwise(ages):
    band = f'{low}-{high - 1}'
    yield 'swapped', band, functools.partial(changes.swap, low=low, high=high)
    yield (
      'int4 by age',
      band,
      functools.partial(changes.quantise_cache, bits=4, low=low, high=high),
    )
  for newest in (0, *ages[1:-1]):
    yield 'newest', str(newest), functools.partial(changes.cut, newest=newest)
    if newest:
      keep = functools.partial(changes.keep_first, first=4, newest=newest)
      yield 'first 4 and newest', str(newest), keep
  for bits in (8, 6, 4, 3):
    whole = functools.partial(
      changes.quantise_cache, bits=bits, low=0, high=oldest
    )
    yield 'cache', f'int{bits}', whole


def by_context(nats_BT: np.ndarray, sizes: Sizes) -> dict[str, float]:
  """Nats per token by the number of tokens before."""
  ages = [0, *(n for n in sizes.ages[1:-1]), nats_BT.shape[1]]
  return {
    f'{low}-{high - 1}': float(nats_BT[:, low:high].mean())
    for low, high in itertools.pairwise(ages)
  }


def found_needles(
  reader: Reader, params: Any, carry: Any, questions: list[np.ndarray]
) -> dict[str, float]:
  """The share of digits that are likeliest, by distance."""
  distances = reader._sizes.distances
  return {
    str(distance): float(reader.read(params, carry, q)[2][:, -DIGITS:].mean())
    for distance, q in zip(distances, questions, strict=True)
  }


def study(
  run: Run, tokens: np.ndarray, sizes: Sizes, show: Callable[[str], None]
) -> dict[str, Any]:
  """Every table; each is shown as soon as it is there."""
  tables: dict[str, Any] = {}

  def keep(table: str, name: str, figure: Any) -> None:
    tables.setdefault(table, {})[name] = figure
    show(f'{table} | {name} | {figure}')

  ids, params = rows_of(tokens, sizes), run.params
  ends = sizes.length - sizes.tail
  reader = Reader(run.model, sizes)
  carry, nats, _ = reader.read(params, reader.start(), ids[:, : ends + 1])
  rest = ids[:, ends:]
  _, tail, _ = reader.read(params, carry, rest)
  whole = np.concatenate([nats, tail], 1)
  for name, figure in by_context(whole, sizes).items():
    keep('context', name, figure)
  for table, name, change in changes_of(sizes):
    _, changed, _ = reader.read(params, change(carry), rest)
    keep(table, name, describe(changed, tail))
  assert run.tokenizer is not None, 'the model has no tokenizer'
  context, questions = needles(ids, run.tokenizer, sizes)
  carry, *_ = reader.read(params, reader.start(), context)
  caches = {'float32': carry}
  for bits in (8, 4):
    caches[f'cache int{bits}'] = changes.quantise_cache(carry, bits, 0, ends)
  for newest in sizes.windows:
    caches[f'newest {newest}'] = changes.cut(carry, newest)
  for name, cache in caches.items():
    keep('needles', name, found_needles(reader, params, cache, questions))
  for name, bits, block in (('int8', 8, 0), ('int4', 4, changes.BLOCK)):
    rounded = changes.quantise_weights(params, bits, block)
    _, changed, _ = reader.read(rounded, reader.start(), ids)
    keep('weights', name, describe(changed, whole))
    keep('weights by context', name, by_context(changed - whole, sizes))
  for window in sizes.windows:
    layer = run.model.layer.with_horizon(window)
    short = Reader(run.model.clone(layer=layer), sizes)
    _, changed, _ = short.read(params, short.start(), ids)
    keep('window', str(window), describe(changed[:, ends:], tail))
  return tables


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--text', type=Path)
  parser.add_argument('--out', type=Path, default=Path('reads.json'))
  given = parser.parse_args()
  text = given.text.read_bytes() if given.text else reference_text()
  run = memjax.load(given.workdir, carry=False)
  assert run.tokenizer is not None, 'the model has no tokenizer'
  tokens = run.tokenizer.encode(text)
  tables = study(run, tokens, Sizes(), lambda line: print(line, flush=True))
  given.out.write_text(json.dumps(tables, indent=2))


def reference_text() -> bytes:
  """The topics of pydoc, in the order of their names."""
  from pydoc_data.topics import topics

  return '\n\n'.join(topics[name] for name in sorted(topics)).encode()


if __name__ == '__main__':
  main()
