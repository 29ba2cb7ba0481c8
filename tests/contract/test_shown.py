"""Each modern memory shows what its class's docstring names, and no more."""

import functools
import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.analysis.intermediates import look
from memjax.config.build import build_model
from memjax.configs.modern_memories import modern_memories
from memjax.models.base import Memory
from memjax.types import Features

WIDTH, STEPS = 4, 3
LAYERS = {
  name: fields['layer']
  for name, fields in modern_memories(WIDTH, STEPS).items()
}
WITHOUT_GATES = ('based',)  # it adds up all that it reads


def built(name: str) -> Memory:
  stack = {'name': 'stack.Stack', 'width': WIDTH, 'layer': LAYERS[name]}
  memory: Memory = build_model(stack, Features(WIDTH), Features(WIDTH)).layer
  return memory


def shown(memory: Memory) -> dict[str, np.ndarray]:
  """{name: what it shows of one row}."""
  x = jax.random.normal(jax.random.key(1), (1, STEPS, WIDTH))
  carry, reset_BT = memory.initial_carry(1), jnp.zeros((1, STEPS), bool)

  @jax.jit
  def run() -> Any:
    params = memory.init(jax.random.key(0), carry, x, reset_BT)['params']
    return look(memory, params, carry, x, reset_BT)[2]

  return {path.split('/')[-1]: np.asarray(a) for path, a in run().items()}


@functools.cache
def documented(kind: type) -> set[str]:
  text = inspect.getdoc(kind) or ''
  paragraphs = re.findall(r'Intermediates:(.*?)(?:\n\n|$)', text, re.DOTALL)
  return set(re.findall(r'`(\w+_(?:gate|weights))`', ' '.join(paragraphs)))


@pytest.mark.slow
@pytest.mark.parametrize('name', LAYERS)
def test_it_shows_what_its_docstring_names(name: str) -> None:
  memory = built(name)
  found = shown(memory)
  assert set(found) == documented(type(memory))
  assert bool(found) == (name not in WITHOUT_GATES)
  for gate, array in found.items():
    assert array.shape[:2] == (1, STEPS)
    assert np.isfinite(array).all()
    assert (array >= 0).all()
    mass = array if gate.endswith('_gate') else array.sum(-1)
    assert (mass <= 1 + 1e-6).all()
