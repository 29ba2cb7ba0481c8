"""The relational memory core against its equations, in float64."""

from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.models.networks.relational_memory import RelationalMemory
from tests.parity.equations import affine, sigmoid
from tests.parity.layers import layer

FEATURES, WIDTH, HEAD, SLOTS = 3, 5, 3, 4
SLOT_WIDTH = 6  # two heads
MODEL = RelationalMemory(WIDTH, HEAD, SLOTS, blocks=2)


def part(p: dict[str, Any], name: str) -> dict[str, Any]:
  return {end: p[f'{name}_{end}'] for end in ('kernel', 'bias')}


def layer_norm(p: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
  unit = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
  return unit * p[f'{name}_norm_scale'] + p[f'{name}_norm_bias']


def attend(p: dict[str, Any], rows: list[np.ndarray]) -> list[np.ndarray]:
  """One block: all rows read all rows, head by head."""
  qkv = [
    layer_norm(p, 'qkv', affine(part(p, 'qkv'), z)).reshape(-1, 3, HEAD)
    for z in rows
  ]
  after = []
  for z, own in zip(rows, qkv, strict=True):
    heads = []
    for h in range(SLOT_WIDTH // HEAD):
      scores = [own[h, 0] @ other[h, 1] / np.sqrt(HEAD) for other in qkv]
      weights = np.exp(scores) / np.exp(scores).sum()
      heads.append(sum(w * o[h, 2] for w, o in zip(weights, qkv, strict=True)))
    z = layer_norm(p, 'attention', z + np.concatenate(heads))
    hidden = np.maximum(affine(part(p, 'mlp_in'), z), 0)
    after.append(layer_norm(p, 'mlp', z + affine(part(p, 'mlp_out'), hidden)))
  return after


def core(p: dict[str, Any], x: np.ndarray, reset: np.ndarray) -> np.ndarray:
  """One row."""
  y, slots = [], list(np.eye(SLOTS, SLOT_WIDTH))
  for step, anew in zip(x, reset, strict=True):
    if anew:
      slots = list(np.eye(SLOTS, SLOT_WIDTH))
    u = affine(p['input'], step)
    rows = [*slots, u]
    for _ in range(2):
      rows = attend(p, rows)
    for number, old in enumerate(slots):
      gates = affine(part(p, 'gate_input'), u)
      gates = gates + np.tanh(old) @ p['gate_memory_kernel']
      write, keep = np.split(gates, 2)
      new = sigmoid(write) * np.tanh(rows[number])
      slots[number] = new + sigmoid(keep + 1) * old
    y.append(affine(p['output'], np.concatenate(slots)))
  return np.stack(y)


PIECES = pytest.param([7, 1, 5], marks=pytest.mark.slow)


@pytest.mark.parametrize('sizes', [[13], PIECES])
def test_layer_equals_the_equations(sizes: list[int]) -> None:
  under_test = layer(MODEL, FEATURES)
  expected = [core(under_test.params64(), *row) for row in under_test.rows64()]
  y = under_test.read(sizes)
  np.testing.assert_allclose(y, np.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_shows_what_slots_read_and_keep() -> None:
  _, shown = layer(MODEL, FEATURES).show([13])
  assert shown['read_weights'].shape == (2, 13, 2, SLOTS + 1)
  np.testing.assert_allclose(shown['read_weights'].sum(-1), 1, rtol=1e-5)
  assert shown['forget_gate'].shape == (2, 13, SLOTS)


def test_slots_differ_at_first() -> None:
  wide = RelationalMemory(2, 1, slots=3).initial_carry(1)
  assert wide[0].tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize('field', ['width', 'head_width', 'slots', 'blocks'])
def test_wrong_fields_are_refused(field: str) -> None:
  sizes: dict[str, Any] = {'width': 2, 'head_width': 1, 'slots': 1}
  with pytest.raises(ConfigError, match=f'{field}: 0: must be at least 1'):
    RelationalMemory(**sizes | {field: 0})
