"""The legend of dimension letters, and the records every part shares.

Arrays carry their shape as a suffix, `x_BTD`. One letter, one meaning:

  B batch row     T time step       S source time   D width
  H heads         K head width      M memory slots  W words
  L layers        V vocabulary      N replicas      F input features
  G gates, all side by side: a multiple of D
"""

from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Array, Bool, Float, Int, Key

Carry: TypeAlias = Any  # a pytree whose every leaf is (B, ...)
Params: TypeAlias = Any
Metrics: TypeAlias = dict[str, tuple[Array, Array]]  # name: (sum, count)
HostBatch: TypeAlias = Any  # what the host hands the device to make a Batch of

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
    inputs: `(B, T)` int32 tokens, `(B, T, F)` float32 features or
      `(B, T, W)` int32 sentences, as the task's `input_spec` says.
    targets: `(B, T)` int32 classes or `(B, T, F)` float32 values.
    loss_weights_BT: float32, 1 where a position counts in the loss, else 0.
    reset_BT: bool, True where memory is forgotten before that position.
    score_axis_BT: int32, how much a label asks of a memory, as the task's
      `score_axis` tells, 0 where it asks nothing; () if the task does not tell.
  """

  inputs: Any
  targets: Any
  loss_weights_BT: Any
  reset_BT: Any
  score_axis_BT: Any = ()


class Example(NamedTuple):
  """One row of a Batch, without the batch axis; the framework adds resets."""

  inputs: Any
  targets: Any
  loss_weights_T: Any
  score_axis_T: Any = ()


class Tokens(NamedTuple):
  """Integers in [0, vocab)."""

  vocab: int


class Features(NamedTuple):
  """Vectors of `width` floats."""

  width: int


class Sentences(NamedTuple):
  """Sentences of at most `words` word ids in [0, vocab); 0 is padding.

  A sentence that holds the word `asks` is a question: a memory network answers
  it and does not store it. 0: no sentence is.
  """

  vocab: int
  words: int
  asks: int = 0


Spec: TypeAlias = Tokens | Features | Sentences
