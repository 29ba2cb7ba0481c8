"""Where an imported language model looks: its attention by lag.

    python -m experiments.pretrained.lags --workdir=runs/smollm2 [--text=FILE]

Rows of a text are read as in `reads.py`. The last `tail` queries of each row
share out their weight over bands of lags. The first `FIRST` tokens of a row
have a band of their own, and are in no other. Layers are those of a third of
the depth; heads, queries and rows are averaged.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pretrained.reads import Reader, Sizes, reference_text, rows_of
import memjax
from memjax.analysis.attention_by_lag import LAG_WEIGHTS
from memjax.analysis.intermediates import look
from memjax.models.base import Model

FIRST = 4  # tokens of a row with a band of their own
THIRDS = 3


def weights_of(
  model: Model, params: Any, carry: Any, ids_BT: np.ndarray
) -> list[np.ndarray]:
  """`(T, R)` of each layer: the weight of each query on each lag.

  It is the mean over rows and heads.
  """

  @jax.jit
  def shown(params: Any, carry: Any, ids_BT: jax.Array) -> dict[str, jax.Array]:
    never = jnp.zeros(ids_BT.shape, bool)
    _, _, found = look(model, params, carry, ids_BT, never)
    return {
      path: weights_BTHR.mean((0, 2))
      for path, weights_BTHR in found.items()
      if path.endswith(LAG_WEIGHTS)
    }

  found = shown(params, carry, jnp.asarray(ids_BT))
  layer = {path: int(path.split('/')[0].split('_')[1]) for path in found}
  return [
    np.asarray(found[path]) for path in sorted(found, key=layer.__getitem__)
  ]


def by_band(
  weights_TR: np.ndarray, before: int, ages: list[int]
) -> dict[str, float]:
  """The mean weight on the first tokens, and on each band of lags.

  Args:
    weights_TR: by query and lag.
    before: the number of tokens before the first query.
    ages: where bands of lags end.
  """
  queries, lags = weights_TR.shape
  place_TR = before + np.arange(queries)[:, None] - np.arange(lags)
  first_TR = (place_TR >= 0) & (place_TR < FIRST)
  rest_TR = np.where(first_TR, 0, weights_TR)
  found = {f'first {FIRST}': float((weights_TR * first_TR).sum(1).mean())}
  for low, high in itertools.pairwise([0, 1, *ages[1:-1], lags]):
    name = f'{low}-{high - 1}' if high - low > 1 else str(low)
    found[name] = float(rest_TR[:, low:high].sum(1).mean())
  return found


def study(
  model: Model, params: Any, tokens: np.ndarray, sizes: Sizes
) -> dict[str, dict[str, float]]:
  """{layers: {band: share}}."""
  ids, before = rows_of(tokens, sizes), sizes.length - sizes.tail
  reader = Reader(model, sizes)
  carry, *_ = reader.read(params, reader.start(), ids[:, : before + 1])
  of_layer = weights_of(model, params, carry, ids[:, before:-1])
  thirds = np.array_split(np.arange(len(of_layer)), THIRDS)
  return {
    f'{third[0]}-{third[-1]}': by_band(
      np.mean([of_layer[i] for i in third], axis=0), before, sizes.ages
    )
    for third in thirds
    if third.size
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--text', type=Path)
  given = parser.parse_args()
  text = given.text.read_bytes() if given.text else reference_text()
  run = memjax.load(given.workdir, carry=False)
  assert run.tokenizer is not None, 'the model has no tokenizer'
  tokens = run.tokenizer.encode(text)
  for layers, shares in study(run.model, run.params, tokens, Sizes()).items():
    print(f'layers {layers} | {json.dumps(shares)}')


if __name__ == '__main__':
  main()
