"""The contract of every memory: a pure function from carry to carry.

A memory can also show what it does inside. Applied with
`mutable=['intermediates']`, it returns arrays `(B, T, ...)` beside its result,
under these names. They are computed only if the caller wants them.

    ..._weights   `(B, T, H, ...)`, shares of the entries of the last axis: at
                  least 0, with a sum of at most 1. `read_weights` and
                  `write_weights` are shares of M slots, `action_weights` of
                  actions
    lag_weights   such shares of the past: entry d belongs to the step d steps
                  back, entry 0 to the step itself. A memory that reads several
                  times a step has a name for each, `hop_0_lag_weights`
    ..._gate      `(B, T, ...)`, numbers in [0, 1]. `forget_gate` and
                  `update_gate`, `(B, T, D)` or `(B, T, H)`, are the shares of
                  their last values that units or heads keep, whatever letter
                  the paper uses
"""

import abc
from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax

from memjax.errors import ConfigError, require
from memjax.types import Carry, Inputs, Params, Reset_BT, Sequence_BTD, Spec


class Memory(nn.Module, abc.ABC):
  """A sequence model whose whole past is its carry.

  One call serves a whole segment or a single step. The laws, which
  `memjax check` tries on any class (`memjax/laws/`):
    batch first: every carry leaf is `(B, ...)`; structure, shapes and dtypes
      come out as they went in;
    rows: rows do not depend on one another;
    segments: a call on T steps equals calls on its pieces, carry threaded;
    reset: `reset_BT[b, t]` forgets all of row b before position t is read;
    causal: outputs up to t do not depend on inputs after t;
    horizon: outputs do not depend on inputs more than `horizon` steps back;
    pure: no mutable collection, no hidden state; no two leaves share memory.

  A layer of a `Stack` has a field `width`: it returns `(B, T, width)`. Floats
  of the carry are float32 whatever the compute type, that of the parameters. A
  memory that breaks a law on purpose overrides `causal` or `breaks`.
  """

  @property
  def causal(self) -> bool:
    """False if outputs depend on later inputs, on purpose."""
    return True

  @property
  def norms_inputs(self) -> bool:
    """Whether it norms its inputs itself, so that its block must not."""
    return False

  @property
  def breaks(self) -> Mapping[str, str]:
    """{law: reason} for each law that this memory breaks on purpose.

    Laws have the names of `memjax.laws.check.LAWS`, as in
    `{'segments': 'sees as far back as its segment begins'}`.
    """
    return {}

  @property
  def horizon(self) -> int:
    """Number of earlier steps that an output may depend on; 0: no bound."""
    return 0

  @property
  def answer_delay(self) -> int:
    """k, if the output at t answers step t - k; as `Task.label_delay`."""
    return 0

  @property
  def block(self) -> int:
    """Number of steps, from a reset on, before it starts anew; 0: never."""
    return 0

  def with_horizon(self, horizon: int) -> 'Memory':
    """The same memory, with the same parameters, and another horizon.

    Raises:
      ConfigError: this memory has no bound, or its parameters depend on it.
    """
    rule = f'{type(self).__name__} has no horizon that could be changed'
    raise ConfigError('horizon', horizon, rule)

  @abc.abstractmethod
  def initial_carry(self, batch_size: int) -> Carry:
    """The carry of `batch_size` rows that remember nothing.

    Needs no parameters: it depends on the module's fields only.
    """

  @abc.abstractmethod
  def __call__(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    """Reads `x`, `(B, T, ...)`; returns the carry after it and the outputs."""

  def as_layer(
    self,
    carry: Carry,
    x: Sequence_BTD,
    reset_BT: Reset_BT,
    shared: dict[str, jax.Array],
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD, dict[str, jax.Array]]:
    """`__call__` in a Stack: hands on `shared`, see `sharing.py`."""
    carry, y = self(carry, x, reset_BT, train=train)
    return carry, y, shared


class Model(Memory):
  """A whole model: a body that remembers, and a readout of single steps.

  The readout knows one step only. So a loss can read out the few steps that
  have labels, and text can be read out in chunks of time.

  Attributes:
    input_spec: what the inputs are.
    output_spec: what the outputs are.
  """

  input_spec: Spec
  output_spec: Spec

  @property
  def longest_source(self) -> int:
    """The most steps that a source may have; 0: there is no bound."""
    return 0

  def with_remat(self, remat: str) -> 'Model':
    """The same model, with other values kept for the backward pass.

    Args:
      remat: a value of `train.remat`; 'none' keeps all of them.

    Raises:
      ConfigError: this model has no layers that could be computed again.
    """
    rule = f'{type(self).__name__} has no layers that could be computed again'
    require(remat == 'none', 'remat', remat, rule)
    return self

  @abc.abstractmethod
  def body(
    self,
    carry: Carry,
    inputs: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, Sequence_BTD]:
    """Reads a segment; returns the carry after it and the last hidden h."""

  @abc.abstractmethod
  def readout(self, h: jax.Array) -> jax.Array:
    """`(..., D)` to outputs `(..., V)`, every position by itself."""

  @property
  def label_size(self) -> int:
    """Numbers that `labels` makes of a step, about; 0: it does not exist."""
    return 0

  def labels(
    self, h: jax.Array, targets: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """What a loss asks of the outputs, without `(..., V)` of them.

    Args:
      h: `(..., D)`.
      targets: `(...)` ids.

    Returns:
      -log p of the targets in nats, and whether each is the most probable id.
    """
    raise NotImplementedError

  def __call__(
    self,
    carry: Carry,
    inputs: Inputs,
    reset_BT: Reset_BT,
    *,
    train: bool = False,
  ) -> tuple[Carry, jax.Array]:
    carry, h_BTD = self.body(carry, inputs, reset_BT, train=train)
    return carry, self.readout(h_BTD)


def wants_intermediates(module: nn.Module) -> bool:
  """Whether the caller collects 'intermediates'."""
  return module.is_mutable_collection('intermediates')


def apply(
  model: Memory,
  params: Params,
  carry: Carry,
  inputs: Inputs,
  reset_BT: Reset_BT,
  *,
  noise: jax.Array | None = None,
) -> tuple[Carry, jax.Array]:
  """Reads a segment with these parameters; returns the carry and the outputs.

  Args:
    model: any memory.
    params: its parameters; their type is the compute type.
    carry: the memory before.
    inputs: what the model reads, `(B, T, ...)`.
    reset_BT: where rows forget.
    noise: the key of the training noise; None for no noise.
  """
  return _apply(model, '__call__', params, carry, inputs, reset_BT, noise)


def apply_body(
  model: Model,
  params: Params,
  carry: Carry,
  inputs: Inputs,
  reset_BT: Reset_BT,
  *,
  noise: jax.Array | None = None,
) -> tuple[Carry, Sequence_BTD]:
  """As `apply` without the readout; returns the carry and the last hidden h."""
  return _apply(model, 'body', params, carry, inputs, reset_BT, noise)


def apply_readout(model: Model, params: Params, h: jax.Array) -> jax.Array:
  """The outputs at positions of h, `(..., D)` to `(..., V)`."""
  y: Any = model.apply({'params': params}, h, method='readout')
  return y


def apply_labels(
  model: Model, params: Params, h: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """`labels` of a model that has a `label_size`."""
  found: Any = model.apply({'params': params}, h, targets, method='labels')
  return found


def _apply(
  model: Memory,
  method: str,
  params: Params,
  carry: Carry,
  inputs: Inputs,
  reset_BT: Reset_BT,
  noise: jax.Array | None,
) -> tuple[Carry, jax.Array]:
  result: Any = model.apply(
    {'params': params},
    carry,
    inputs,
    reset_BT,
    train=noise is not None,
    rngs={} if noise is None else {'dropout': noise},
    method=method,
  )
  return result
