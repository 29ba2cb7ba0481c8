"""The legend of dimension letters, and the records every part shares.

Arrays carry their shape as a suffix, `x_BTD`. One letter, one meaning:

  B batch row     T time step       S source time   D width
  H heads         K head width      M memory slots  W words
  L layers        V vocabulary      N replicas      F input features
  G gates, all side by side: a multiple of D
"""

import abc
from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
import numpy as np

Carry: TypeAlias = Any  # a pytree whose every leaf is (B, ...)
Params: TypeAlias = Any
HostBatch: TypeAlias = Any  # what the host sends to the device for one Batch

Inputs_BTF: TypeAlias = Float[Array, 'B T F']
Sequence_BTD: TypeAlias = Float[Array, 'B T D']
Reset_BT: TypeAlias = Bool[Array, 'B T']
Inputs: TypeAlias = (
  Int[Array, 'B T'] | Float[Array, 'B T F'] | Int[Array, 'B T W']
)
RowKey: TypeAlias = Key[Array, '']


class Batch(NamedTuple):
  """B rows of T steps, ready for a model and a loss.

  Attributes:
    inputs: `(B, T)` int32 tokens, `(B, T, F)` float32 features or `(B, T, W)`
      int32 sentences, as the task's `input_spec` says.
    targets: `(B, T)` int32 classes or `(B, T, F)` float32 values.
    loss_weights_BT: float32, 1 where a position counts in the loss, else 0.
    reset_BT: bool, True where memory is forgotten before that position.
    score_axis_BT: int32, the label's place on the task's `score_axis`, 0 at
      positions without a label; () if the task has no such axis.
    allowed_BTV: bool, the classes that would have been right answers too; () if
      only the target is right.
  """

  inputs: Any
  targets: Any
  loss_weights_BT: Any
  reset_BT: Any
  score_axis_BT: Any = ()
  allowed_BTV: Any = ()


class Example(NamedTuple):
  """One row of a Batch, without the batch axis; the framework adds resets."""

  inputs: Any
  targets: Any
  loss_weights_T: Any
  score_axis_T: Any = ()
  allowed_TV: Any = ()


def mean_of_groups(means: np.ndarray) -> Any:
  """Over the last axis, without the groups in which nothing was counted."""
  seen = ~np.isnan(means)
  return np.divide(np.where(seen, means, 0).sum(-1), seen.sum(-1))


FINISHES: dict[str, Any] = {
  'mean': np.asarray,
  'exp': np.exp,
  'groups': mean_of_groups,
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Metric:
  """A sum and a count. Metrics of two batches are added, and divided once.

  Attributes:
    sum, count: over labels, rows or whatever the metric counts.
    finish: 'mean' is sum / count, 'exp' its exponential, a perplexity. 'groups'
      is the mean of the groups' means: the last axis of both is the group.
  """

  sum: Any
  count: Any
  finish: str = dataclasses.field(default='mean', metadata={'static': True})

  def value(self) -> Any:
    """The figure, from arrays on the host; NaN where nothing was counted."""
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
      return FINISHES[self.finish](np.divide(self.sum, self.count))


Metrics: TypeAlias = dict[str, Metric]


class Sums(NamedTuple):
  """What batches add up to.

  Attributes:
    metrics: the task's, and the training step's own.
    invalid_ids: float32, number of ids outside the task's vocabularies.
    lost_labels: float32, number of labels beyond the `labels` of the task.
  """

  metrics: Metrics
  invalid_ids: Any = 0.0
  lost_labels: Any = 0.0


@dataclasses.dataclass(frozen=True)
class Spec(abc.ABC):
  """What one step of a sequence is: an id, a vector or a sentence.

  Attributes:
    discrete: whether a step holds ids of a table; else it holds floats.
  """

  discrete: ClassVar[bool] = True

  @property
  @abc.abstractmethod
  def size(self) -> int:
    """Number of ids, or of floats: the width of a readout."""

  @property
  def shape(self) -> tuple[int, ...]:
    """Axes of one step, behind batch and time."""
    return ()

  @property
  def classes(self) -> int:
    """V where a step is exactly one of V ids, else 0."""
    return 0

  @property
  def question_id(self) -> int:
    """The id that marks a step as a question; 0: no step is a question."""
    return 0

  @property
  def separator_id(self) -> int:
    """The id between a source and its answer; 0: inputs have no separator."""
    return 0

  @abc.abstractmethod
  def resized(self, size: int) -> 'Spec':
    """The same spec with another `size`."""

  def zeros(self, batch_size: int, length: int) -> jax.Array:
    """`(B, T, *shape)`, int32 ids or float32 values."""
    dtype = jnp.int32 if self.discrete else jnp.float32
    return jnp.zeros((batch_size, length, *self.shape), dtype)

  def sample(
    self, rng: np.random.Generator, batch_size: int, length: int
  ) -> jax.Array:
    """`(B, T, *shape)`: uniform ids, or floats of a standard normal."""
    shape = batch_size, length, *self.shape
    if self.discrete:
      return jnp.asarray(rng.integers(0, self.size, shape), jnp.int32)
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  def outside(self, ids: jax.Array) -> jax.Array:
    """float32, number of ids outside [0, size); 0 for floats.

    An id outside a table reads a wrong row or none, and no library warns.
    """
    if not self.discrete:
      return jnp.zeros((), jnp.float32)
    return ((ids < 0) | (ids >= self.size)).sum(dtype=jnp.float32)

  def reserved(self, ids: jax.Array) -> jax.Array:
    """bool, where an id is no content: padding, or the mark of a question."""
    return jnp.zeros(ids.shape, bool)

  @abc.abstractmethod
  def indicators(self, values: np.ndarray) -> np.ndarray:
    """`(..., O)` float64 that says what steps `(..., *shape)` hold."""

  def to_json(self) -> dict[str, Any]:
    """A record that `spec_from_json` reads."""
    return {'kind': type(self).__name__} | dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Tokens(Spec):
  """Integers in [0, vocab); `separator_id` as in `Spec`."""

  vocab: int
  separator_id: int = 0

  @property
  def size(self) -> int:
    return self.vocab

  @property
  def classes(self) -> int:
    return self.vocab

  def resized(self, size: int) -> 'Tokens':
    return dataclasses.replace(self, vocab=size)

  def indicators(self, values: np.ndarray) -> np.ndarray:
    return np.eye(self.vocab)[values]


@dataclasses.dataclass(frozen=True)
class Features(Spec):
  """Vectors of `width` floats."""

  width: int
  discrete: ClassVar[bool] = False

  @property
  def size(self) -> int:
    return self.width

  @property
  def shape(self) -> tuple[int, ...]:
    return (self.width,)

  def resized(self, size: int) -> 'Features':
    return Features(size)

  def indicators(self, values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Sentences(Spec):
  """Sentences of at most `words` word ids in [0, vocab); 0 is padding.

  A sentence with the word `question_id` is a question: a memory network
  answers it and does not store it. 0: no sentence is a question.
  """

  vocab: int
  words: int
  question_id: int = 0

  @property
  def size(self) -> int:
    return self.vocab

  @property
  def shape(self) -> tuple[int, ...]:
    return (self.words,)

  def resized(self, size: int) -> 'Sentences':
    return dataclasses.replace(self, vocab=size)

  def reserved(self, ids: jax.Array) -> jax.Array:
    return (ids == 0) | ((ids == self.question_id) & (self.question_id > 0))

  def indicators(self, values: np.ndarray) -> np.ndarray:
    return np.eye(self.vocab)[values].sum(-2)[..., 1:]


def spec_from_json(record: Mapping[str, Any]) -> Spec:
  """The spec that `Spec.to_json` wrote."""
  kinds = {spec.__name__: spec for spec in (Tokens, Features, Sentences)}
  fields = {name: record[name] for name in record if name != 'kind'}
  return kinds[record['kind']](**fields)
