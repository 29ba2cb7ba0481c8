"""Small pretrained models with random weights, as their files would be."""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from memjax.config.build import build_model
from memjax.interop.convert import Imported, import_tensors
from memjax.interop.family import Family, family_of
from memjax.interop.files import Pretrained
from memjax.interop.names import flat, nested
from memjax.models.base import Model
from memjax.types import Params, Tokens
from tests.parity.golden import make_rwkv7

GOLDEN = Path(__file__).parents[1] / 'parity' / 'golden'
FAMILIES = (
  *('gpt2', 'llama', 'bert', 'mamba', 'mamba2', 'rwkv7'),
  *('transfo-xl', 'transformer-xl', 'recurrent_gemma', 'xlstm'),
)


class Golden(NamedTuple):
  """A model, and what it computes in its authors' code.

  Attributes:
    pretrained: its files.
    ids: `(B, T)`.
    y: logits, or hidden states.
  """

  pretrained: Pretrained
  ids: np.ndarray
  y: np.ndarray


@functools.cache
def golden(family: str) -> Golden:
  with np.load(GOLDEN / f'pretrained_{family}.npz') as file:
    found = dict(file)
  tensors = {
    name.removeprefix('w/'): t
    for name, t in found.items()
    if name.startswith('w/')
  }
  config = json.loads(str(found['config']))
  if family == 'rwkv7':
    tensors = make_rwkv7.tensors()
  pretrained = Pretrained(config, tensors, '', {})
  return Golden(pretrained, found['ids'], found['y'])


def built(family: Family) -> tuple[Model, dict[str, tuple[int, ...]]]:
  """Our model, and the shapes of its leaves."""
  spec = Tokens(family.vocab)
  model = build_model(family.model(), spec, spec)
  ids, start = spec.zeros(1, 1), model.initial_carry(1)
  reset = jax.numpy.ones((1, 1), bool)
  init = functools.partial(model.init, jax.random.key(0))
  shapes = jax.eval_shape(init, start, ids, reset)['params']
  return model, {path: leaf.shape for path, leaf in flat(shapes).items()}


def imported(pretrained: Pretrained) -> tuple[Model, Params, Imported]:
  """Our model with the parameters of the files."""
  family = family_of(pretrained.config)
  model, shapes = built(family)
  found = import_tensors(family, pretrained, shapes)
  params: Any = nested(found.leaves)
  return model, jax.tree.map(jax.numpy.asarray, params), found
