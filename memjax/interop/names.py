"""The table between names of a checkpoint and paths of our parameters.

A row says which tensors make one leaf, and how:

    theirs      names, separated by spaces; '{i}' stands for each layer
    ours        the leaf's path; '{i}' likewise, '{even}' 2 i, '{odd}' 2 i + 1;
                several, if one tensor makes several leaves
    transposed  their matrices are (outputs, inputs), ours (inputs, outputs)
    parts       widths of the tensors that lie side by side in the leaf's last
                axis, or of the leaves in the tensor's; () for one of each
    flipped     the tensor's first axis runs the other way
    shape       of each tensor, where it has other axes than the leaf's part

The table is read both ways: `to_ours` is import, `to_theirs` is export. Each
tensor is used exactly once and each leaf is filled exactly once, or one line
says which is not.
"""

from collections.abc import Collection, Iterable, Mapping
import dataclasses
from typing import Any

import numpy as np

from memjax.errors import nearest, require

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Row:
  """One leaf of our parameters and the tensors that make it, or the other way.

  Attributes:
    theirs, ours, transposed, parts, shape, flipped: see above.
    first: the lowest layer that has it.
  """

  theirs: str
  ours: str
  transposed: bool = False
  parts: tuple[int, ...] = ()
  shape: tuple[int, ...] = ()
  first: int = 0
  flipped: bool = False

  @property
  def leaves(self) -> list[str]:
    """Our paths."""
    return self.ours.split()

  @property
  def names(self) -> list[str]:
    """The tensors."""
    return self.theirs.split()

  def in_layer(self, i: int) -> 'Row':
    """The row of layer i."""
    numbers = {'i': i, 'even': 2 * i, 'odd': 2 * i + 1}
    theirs, ours = (s.format(**numbers) for s in (self.theirs, self.ours))
    return dataclasses.replace(self, theirs=theirs, ours=ours)

  def join(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
    """The leaves that these tensors make."""
    if self.flipped:
      tensors = [t[::-1] for t in tensors]
    if self.transposed:
      tensors = [t.reshape(len(t), -1).T for t in tensors]
    return self._cut(tensors, len(self.leaves))

  def split(self, leaves: list[np.ndarray]) -> list[np.ndarray]:
    """The tensors of these leaves."""
    if self.shape and self.parts:
      sizes = *self.shape[:-1], sum(self.parts)
      leaves = [leaf.reshape(sizes) for leaf in leaves]
    pieces = self._cut(leaves, len(self.names))
    if self.transposed:
      pieces = [piece.T for piece in pieces]
    if self.shape:
      pieces = [piece.reshape(self.shape) for piece in pieces]
    if self.flipped:
      pieces = [piece[::-1] for piece in pieces]
    return [np.ascontiguousarray(piece) for piece in pieces]

  def _cut(self, arrays: list[np.ndarray], number: int) -> list[np.ndarray]:
    """Arrays side by side, cut into this number of others."""
    whole = np.concatenate(arrays, -1) if len(arrays) > 1 else arrays[0]
    if number == 1:
      return [whole]
    return np.split(whole, np.cumsum(self.parts)[:-1], axis=-1)


def of_layers(rows: Iterable[Row], depth: int) -> list[Row]:
  """The table of a model with this number of layers."""
  found = []
  for row in rows:
    if '{' not in row.theirs:
      found.append(row)
      continue
    found += [row.in_layer(i) for i in range(row.first, depth)]
  return found


def to_ours(
  rows: Iterable[Row],
  tensors: Arrays,
  shapes: Mapping[str, tuple[int, ...]],
  family: str,
) -> dict[str, np.ndarray]:
  """Our leaves by path, float32.

  Args:
    rows: the table.
    tensors: of the checkpoint, without those that it may leave unused.
    shapes: of every leaf of our model, by path.
    family: the name of the table, for errors.

  Raises:
    ConfigError: a tensor is missing, left, or of another shape.
  """
  leaves: dict[str, np.ndarray] = {}
  used: set[str] = set()
  for row in rows:
    for name in row.names:
      known = nearest(name, tensors, 'the file')
      rule = f'is missing, and a model of the family {family} has it; {known}'
      require(name in tensors, 'from', name, rule)
    require_once(row.names, used, 'from', 'stands twice in the table')
    require_once(row.leaves, leaves, 'from', 'is filled twice')
    used |= {*row.names}
    found = row.join([tensors[name] for name in row.names])
    for path, leaf in zip(row.leaves, found, strict=True):
      wanted = shapes.get(path)
      rule = 'has no place in our model'
      require(wanted is not None, 'from', row.theirs, rule)
      sizes = ' + '.join(str(tensors[name].shape) for name in row.names)
      rule = f'has the shape {sizes}, and {path} needs {wanted}: '
      rule += 'config.json does not describe these tensors'
      fits = leaf.shape == wanted
      if row.shape:
        fits = leaf.size == np.prod(wanted or ()) and all(
          tensors[name].shape == row.shape for name in row.names
        )
      require(fits, 'from', row.theirs, rule)
      leaves[path] = leaf.reshape(wanted).astype(np.float32)
  left = sorted(tensors.keys() - used)
  rule = f'is no tensor of the family {family}; {len(left)} are left'
  require(not left, 'from', left[:1] and left[0], rule)
  empty = sorted(shapes.keys() - leaves.keys())
  rule = f'is filled by no tensor of the family {family}'
  require(not empty, 'from', empty[:1] and empty[0], rule)
  return leaves


def to_theirs(
  rows: Iterable[Row], leaves: Arrays, family: str
) -> dict[str, np.ndarray]:
  """Their tensors by name, from our leaves by path.

  Raises:
    ConfigError: a leaf is missing or left: the model is of another family.
  """
  tensors: dict[str, np.ndarray] = {}
  used = set()
  for row in rows:
    rule = f'is not in the model, and the family {family} has it'
    for path in row.leaves:
      require(path in leaves, 'family', path, rule)
    used |= {*row.leaves}
    pieces = row.split([leaves[path] for path in row.leaves])
    tensors |= dict(zip(row.names, pieces, strict=True))
  left = sorted(leaves.keys() - used)
  rule = f'has no tensor in the family {family}'
  require(not left, 'family', left[:1] and left[0], rule)
  return tensors


def require_once(
  names: Iterable[str], seen: Collection[str], field: str, rule: str
) -> None:
  """Requires names that were not seen before.

  Raises:
    ConfigError: one was.
  """
  for name in names:
    require(name not in seen, field, name, rule)


def flat(tree: Any, prefix: str = '') -> dict[str, Any]:
  """Leaves of nested mappings by path, 'layer_0/memory/qkv/kernel'."""
  if not isinstance(tree, Mapping):
    return {prefix: tree}
  leaves: dict[str, Any] = {}
  for name, part in tree.items():
    leaves |= flat(part, f'{prefix}/{name}' if prefix else name)
  return leaves


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """The mappings whose leaves `flat` gave."""
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *parents, name = path.split('/')
    here = tree
    for parent in parents:
      here = here.setdefault(parent, {})
    here[name] = leaf
  return tree


def norm(theirs: str, ours: str) -> tuple[Row, Row]:
  """A layer norm."""
  gain = Row(f'{theirs}.weight', f'{ours}/scale')
  return gain, Row(f'{theirs}.bias', f'{ours}/bias')


def linear(theirs: str, ours: str, **how: Any) -> tuple[Row, Row]:
  """A linear map with a bias; `how` is of the kernel."""
  kernel = Row(f'{theirs}.weight', f'{ours}/kernel', **how)
  return kernel, Row(f'{theirs}.bias', f'{ours}/bias')
