"""Both sides of a race are one computation: equal losses at equal weights.

PyTorch is not a requirement: `pip install torch` runs these tests.
"""

from collections.abc import Iterator
import re
from typing import Any

import jax
import numpy as np
import pytest

from experiments.bench.peers import attention
from experiments.bench.peers.attention import Sizes
from experiments.bench.peers.race import Competitor

torch = pytest.importorskip('torch')

SMALL = Sizes(2, 12, 16, 2, vocab=11, window=4, head_width=8)
RENAMED = {
  r'^embedding\.weight': 'encoder/embedding/embedding',
  r'^positions\.weight': 'positions/table/embedding',
  r'^(attention|mlp)_norm\.(\d)': r'layer_\2/\1_norm',
  r'^attention\.(\d)': r'layer_\1/attention',
  r'^mlp\.(\d)\.0': r'layer_\1/mlp_in',
  r'^mlp\.(\d)\.2': r'layer_\1/mlp_out',
  r'\battention': 'memory',
  r'(memory/(key|value|position))\.weight': r'\1',
  r'norm\.weight': 'norm/scale',
  r'\.weight': '/kernel',
  r'\.': '/',
}


def path_of(name: str) -> str:
  """Where memjax has a parameter that PyTorch calls so."""
  name = re.sub(r'^attention\.(\d)\.', r'attention.\1/', name)
  for pattern, new in RENAMED.items():
    name = re.sub(pattern, new, name)
  return name


def give_weights(ours: Competitor, theirs: Competitor) -> None:
  flat = {
    jax.tree_util.keystr(path, simple=True, separator='/'): value
    for path, value in jax.tree_util.tree_leaves_with_path(ours.weights)
  }
  for name, parameter in theirs.weights.named_parameters():
    value = flat.pop(path_of(name))
    if 'embedding' not in path_of(name) and value.ndim == 2:
      value = value.T
    with torch.no_grad():
      parameter.copy_(torch.from_numpy(value.copy()).reshape(parameter.shape))
  assert not flat


def pairs() -> Iterator[tuple[str, Any, Any]]:
  block, xl = 'transformer.BlockAttention', 'transformer_xl.TransformerXL'
  whole = Sizes(2, 12, 16, 2, vocab=11, labels=3, head_width=8)
  post_norm = {'wiring': 'post_norm', 'activation': 'relu'}
  yield (
    'gpt',
    lambda: attention.ours(block, whole, positions='learned'),
    lambda: attention.gpt(whole),
  )
  for attends in ('mask', 'blocks'):
    yield (
      f'sliding by {attends}',
      lambda: attention.ours('transformer.SlidingAttention', SMALL),
      lambda attends=attends: attention.gpt(SMALL, attends),
    )
  for flows in (True, False):
    yield (
      f'transformer_xl, flows {flows}',
      lambda flows=flows: attention.ours(xl, SMALL, flows=flows, **post_norm),
      lambda flows=flows: attention.transformer_xl(SMALL, flows),
    )


PAIRS = {name: sides for name, *sides in pairs()}


@pytest.mark.parametrize('name', PAIRS)
def test_losses_are_equal_at_equal_weights(name: str) -> None:
  ours, theirs = (build() for build in PAIRS[name])
  assert ours.parameters == theirs.parameters
  give_weights(ours, theirs)
  found = [[side.step() for _ in range(4)] for side in (ours, theirs)]
  np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
  assert found[0][3] < found[0][0]
