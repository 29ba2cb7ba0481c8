"""Writes what public code of LRU and S5 computes, as golden values.

    python tests/parity/golden/make_state_spaces.py --lru=DIR --s5=DIR

(needs jax, flax and numpy.) Each DIR is a checkout:

    https://github.com/NicolasZucchet/minimal-LRU    LRU
    https://github.com/lindermanlab/S5               discretisation and scan

The files have the format of `make_references.py`. A case is the layer's linear
part from that code, and after it the gates of its block.
"""

import argparse
from collections.abc import Callable
import importlib
import pathlib
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROWS, STEPS, WIDTH, UNITS = 2, 24, 3, 4
Arrays = dict[str, Any]


def load(name: str, folder: pathlib.Path) -> Any:
  """A module of a package, without the package's own code."""
  parent = types.ModuleType(folder.name)
  parent.__path__ = [str(folder)]
  sys.modules[folder.name] = parent
  return importlib.import_module(f'{folder.name}.{name}')


def draw() -> Callable[..., jax.Array]:
  rng = np.random.default_rng(0)
  return lambda *shape: jnp.asarray(0.5 * rng.normal(size=shape), jnp.float32)


def lru(folder: pathlib.Path) -> tuple[Arrays, Callable[[Arrays], jax.Array]]:
  code, normal = load('model', folder / 'lru'), draw()
  layer = code.LRU(UNITS, WIDTH, r_min=0.4, r_max=0.95)
  x = normal(ROWS, STEPS, WIDTH)
  inputs = {'x': x, **layer.init(jax.random.key(0), x[0])['params']}
  for name in ('out1', 'out2'):
    inputs[f'{name}.kernel'] = normal(WIDTH, WIDTH)
    inputs[f'{name}.bias'] = normal(WIDTH)

  def output(inputs: Arrays) -> jax.Array:
    params = {n: a for n, a in inputs.items() if '.' not in n and n != 'x'}
    z = jax.vmap(lambda x: layer.apply({'params': params}, x))(inputs['x'])
    value, gate = (
      jax.nn.gelu(z) @ inputs[f'{n}.kernel'] + inputs[f'{n}.bias']
      for n in ('out1', 'out2')
    )
    return value * jax.nn.sigmoid(gate)

  return inputs, output


def s5(folder: pathlib.Path) -> tuple[Arrays, Callable[[Arrays], jax.Array]]:
  vars(jnp)['DeviceArray'] = jax.Array  # its name when the code was written
  code, normal = load('ssm', folder / 's5'), draw()
  inputs = {
    'x': normal(ROWS, STEPS, WIDTH),
    'Lambda_re': -jnp.exp(normal(UNITS)),
    'Lambda_im': 4 * normal(UNITS),
    'log_step': normal(UNITS) - 2,
    'B': normal(UNITS, WIDTH, 2),
    'C': normal(WIDTH, UNITS, 2),
    'D': normal(WIDTH),
    'out2.kernel': normal(WIDTH, WIDTH),
    'out2.bias': normal(WIDTH),
  }

  def output(inputs: Arrays) -> jax.Array:
    b, c = (inputs[n][..., 0] + 1j * inputs[n][..., 1] for n in ('B', 'C'))
    eigenvalues = inputs['Lambda_re'] + 1j * inputs['Lambda_im']
    step = jnp.exp(inputs['log_step'])
    discrete = code.discretize_zoh(eigenvalues, b, step)
    z = jax.vmap(lambda x: code.apply_ssm(*discrete, c, x, True, False))(
      inputs['x']
    )
    z = jax.nn.gelu(z + inputs['D'] * inputs['x'])
    gate = z @ inputs['out2.kernel'] + inputs['out2.bias']
    return z * jax.nn.sigmoid(gate)

  return inputs, output


def main() -> None:
  parser = argparse.ArgumentParser()
  repositories = {'lru': lru, 's5': s5}
  for name in repositories:
    parser.add_argument(f'--{name}', type=pathlib.Path)
  for name, folder in vars(parser.parse_args()).items():
    if folder is None:
      continue
    inputs, output = repositories[name](folder)
    y, back = jax.vjp(output, inputs)
    weight = jax.random.normal(jax.random.key(1), y.shape)
    arrays = {f'in/{n}': x for n, x in inputs.items()}
    arrays |= {f'{name}/out/y': y, f'{name}/weight/y': weight}
    arrays |= {f'{name}/grad/{n}': x for n, x in back(weight)[0].items()}
    path = pathlib.Path(__file__).parent / f'reference_{name}.npz'
    np.savez_compressed(path, version=jax.__version__, **arrays)


if __name__ == '__main__':
  main()
