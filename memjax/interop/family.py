"""The contract of a family of pretrained models, and how one is found.

A family is a file of `families/` with one class: their config.json to our
model and back, and the table of names (`names.py`). A new file is found by its
`model_types`.
"""

import abc
from collections.abc import Iterator, Mapping
import dataclasses
import re
from typing import Any, ClassVar

import numpy as np

from memjax.config.find import classes
from memjax.errors import ConfigError, nearest, require
from memjax.interop.names import Arrays, Row, of_layers

PACKAGE = 'memjax.interop.families'
# Fields that change no parameter, and that a user may set.
FREE = ('window', 'chunk', 'dropout', 'readout_dropout', 'remat', 'parent')


@dataclasses.dataclass(frozen=True)
class Family(abc.ABC):
  """One family, as its config.json describes a model.

  Attributes:
    described: the content of config.json.
    model_types: values of its `model_type`; the first is written.
    main: what stands before the names of the model without its head; files of
      that model alone leave it out.
    unused: {pattern: reason} of tensors that our model does not read; they are
      kept beside it, and written again at export.
  """

  described: Mapping[str, Any]
  model_types: ClassVar[tuple[str, ...]]
  main: ClassVar[str] = ''
  unused: ClassVar[Mapping[str, str]] = {}

  @property
  def name(self) -> str:
    return self.model_types[0]

  @property
  @abc.abstractmethod
  def vocab(self) -> int:
    """V, rows of the table of tokens."""

  @property
  @abc.abstractmethod
  def depth(self) -> int:
    """The number of layers that '{i}' counts."""

  @abc.abstractmethod
  def model(self) -> dict[str, Any]:
    """The section `model` of our config.

    Raises:
      ConfigError: config.json asks for what our layers do not have.
    """

  @abc.abstractmethod
  def rows(self) -> tuple[Row, ...]:
    """The table of names."""

  @classmethod
  @abc.abstractmethod
  def theirs(cls, model: Any, vocab: int) -> dict[str, Any]:
    """The config.json of a built model of ours that this family could hold."""

  def table(self) -> list[Row]:
    """The table, with a row for each layer."""
    return of_layers(self.rows(), self.depth)

  @property
  def copies(self) -> Mapping[str, str]:
    """{name: name in the table} of tensors that a file may hold twice."""
    return {}

  @property
  def masked(self) -> bool:
    """Whether it sees both ways and guesses hidden tokens."""
    return False

  def wanted(self, **values: Any) -> None:
    """Requires these values where config.json has the field.

    Raises:
      ConfigError: a field has another value.
    """
    for field, value in values.items():
      found = self.described.get(field, value)
      rule = f'must be {value!r}: our layers have nothing else'
      require(found == value, f'config.json.{field}', found, rule)

  def field(self, name: str, default: Any = None) -> Any:
    """A field of config.json.

    Args:
      name: of the field.
      default: what the authors' code takes without it; None: it must be given.

    Raises:
      ConfigError: it must be given and is not.
    """
    value = self.described.get(name)
    value = default if value is None else value
    require(value is not None, 'config.json', name, 'must be given')
    return value

  def is_bare(self, tensors: Arrays) -> bool:
    """Whether the file leaves `main` out."""
    first = self.table()[0].names[0]
    return first not in tensors and first.removeprefix(self.main) in tensors

  def is_unused(self, name: str) -> bool:
    """Whether our model does not read this tensor, named as in the table."""
    return any(re.fullmatch(pattern, name) for pattern in self.unused)

  def check_copies(self, tensors: Arrays) -> list[str]:
    """The copies that there are.

    Raises:
      ConfigError: one differs from its original.
    """
    found = [name for name in self.copies if name in tensors]
    for name in found:
      original = self.copies[name]
      same = original in tensors and np.array_equal(
        tensors[name], tensors[original]
      )
      rule = f'must equal {original}: config.json says that they are tied'
      require(same, 'from', name, rule)
    return found


def families() -> dict[str, type[Family]]:
  """{model_type: class} of every family."""
  return {
    kind: cls
    for _, cls in classes(PACKAGE)
    if issubclass(cls, Family)
    for kind in cls.model_types
  }


def find_family(kind: str, field: str) -> type[Family]:
  """The family of a `model_type`.

  Raises:
    ConfigError: there is none.
  """
  known = families()
  rule = f'is not a family that can be read; {nearest(kind, known)}'
  require(kind in known, field, kind, rule)
  return known[kind]


def family_of(config: Mapping[str, Any]) -> Family:
  """The family of a config.json.

  Raises:
    ConfigError: config.json names none that is known.
  """
  rule = 'config.json must say which family the model is of'
  require('model_type' in config, 'model_type', '', rule)
  kind = config['model_type']
  return find_family(kind, 'model_type')(config)


def differences(model: Any, wanted: Any, path: str = 'model') -> Iterator[str]:
  """Fields of a built model that a family's has otherwise."""
  if type(model) is not type(wanted):
    yield f'{path} is a {type(model).__name__}, not a {type(wanted).__name__}'
    return
  for field in dataclasses.fields(model):
    one, other = getattr(model, field.name), getattr(wanted, field.name)
    if field.name in FREE or one == other:
      continue
    if dataclasses.is_dataclass(one):
      yield from differences(one, other, f'{path}.{field.name}')
    else:
      yield f'{path}.{field.name} is {one!r}, not {other!r}'


def require_same(model: Any, wanted: Any, family: str) -> None:
  """Requires a model that the family's config.json describes.

  Raises:
    ConfigError: a field differs.
  """
  for line in differences(model, wanted):
    rule = f'does not hold this model: {line}'
    raise ConfigError('family', family, rule)
