"""Keeps every saved state finite: a step with a value that is not is not taken.

A step is finite if its loss, the norm of its gradient and the carry after it
are. Another step leaves parameters, optimiser, average and carry as they were,
bit for bit. So a state that was finite stays finite, whatever the data hold.
What comes next is the config's choice, `train.nonfinite`:

    raise     the replica stops here; the run ends once all have stopped
    skip      the replica goes on with the next batch
    rollback  the replica stops; the host gives it the state of the newest
              checkpoint, and it goes on with the batch after this one

All functions but `put_back` are those of one replica, in a compiled program.
"""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from memjax.models.base import Memory
from memjax.types import Metric, Metrics

POLICIES = ('raise', 'skip', 'rollback')
CAUSES = ('', 'loss', 'gradient', 'carry', 'state')  # by Faults.cause
TRAINED = ('params', 'opt_state', 'ema', 'carry')  # what a step changes

State = Any  # training's TrainState
Tree = TypeVar('Tree')


class Faults(NamedTuple):
  """The steps that a replica did not take.

  Attributes:
    step: int32, the latest of them, counted from 1; 0: none.
    count: int32, number of them.
    cause: int32, what was not finite at the latest, an index of CAUSES.
    stopped: bool, whether the replica takes no more steps.
  """

  step: Any
  count: Any
  cause: Any
  stopped: Any


class Health(NamedTuple):
  """What the host asks of a state before it measures or saves it.

  Attributes:
    faults: the state's.
    finite: bool, whether every array of the state is finite.
  """

  faults: Faults
  finite: Any


def no_faults() -> Faults:
  """The faults of a state at step 0."""
  zero = jnp.zeros((), jnp.int32)
  return Faults(zero, zero, zero, jnp.zeros((), bool))


def all_finite(tree: Any, ignored: Any = None) -> jax.Array:
  """Whether no float of the tree is NaN or infinite, bool ().

  Args:
    tree: of arrays; others than floats are finite.
    ignored: the same tree of bools, True where an infinity is no fault.
  """
  leaves = jax.tree.leaves(tree)
  may_be_infinite = jax.tree.leaves(ignored) or [False] * len(leaves)
  whole = jnp.ones((), bool)
  for leaf, infinite in zip(leaves, may_be_infinite, strict=True):
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
      good = ~jnp.isnan(leaf) if infinite else jnp.isfinite(leaf)
      whole &= good.all()
  return whole


def starts_infinite(model: Memory) -> Any:
  """The carry's tree: True where it begins with an infinity, which is meant."""
  with jax.ensure_compile_time_eval():
    carry = model.initial_carry(1)
  return jax.tree.map(lambda x: not np.isfinite(np.asarray(x)).all(), carry)


def keep(
  policy: str,
  before: State,
  after: State,
  infinite: Any,
  loss: jax.Array,
  norm: jax.Array,
) -> tuple[State, jax.Array]:
  """The state after a step, and whether the step is taken.

  Args:
    policy: one of POLICIES.
    before: the state before the step.
    after: the state as the step would have it.
    infinite: where a carry may be infinite, `starts_infinite`.
    loss: summed over the batch.
    norm: of the gradient.
  """
  good_carry = all_finite(after.carry, infinite)
  finite_P = jnp.stack([all_finite(loss), all_finite(norm), good_carry])
  faults, finite = before.faults, finite_P.all()
  new, taken = ~finite & ~faults.stopped, finite & ~faults.stopped
  cause = jnp.argmin(finite_P.astype(jnp.int32)).astype(jnp.int32) + 1
  noted = Faults(
    step=jnp.where(new, after.step, faults.step),
    count=faults.count + new.astype(jnp.int32),
    cause=jnp.where(new, cause, faults.cause),
    stopped=faults.stopped if policy == 'skip' else faults.stopped | new,
  )
  kept = {
    name: choose(taken, getattr(after, name), getattr(before, name))
    for name in TRAINED
  }
  return after._replace(**kept, faults=noted), taken


def choose(taken: jax.Array, after: Tree, before: Tree) -> Tree:
  """The tree after a step if it is taken, else the one before, bit for bit."""
  return jax.tree.map(lambda a, b: jnp.where(taken, a, b), after, before)


def counted(
  metrics: Metrics, policy: str, taken: jax.Array, stopped: jax.Array
) -> Metrics:
  """The part of a step's metrics that its row counts.

  A skipped step counts nowhere. A replica that has stopped has no figures: its
  sums are NaN. The step at which it stops shows what it measured.
  """

  def one(metric: Metric) -> Metric:
    if policy == 'skip':
      zeros = jax.tree.map(jnp.zeros_like, metric)
      return choose(taken, metric, zeros)
    total = jnp.asarray(metric.sum)
    nothing = jnp.full_like(total, np.nan)
    return Metric(
      jnp.where(stopped, nothing, total), metric.count, metric.finish
    )

  return {name: one(metric) for name, metric in metrics.items()}


def health(model: Memory, state: State) -> Health:
  """The faults of a state, and whether it is finite."""
  # An optimiser may keep the best loss so far, which begins infinite.
  anywhere = jax.tree.map(lambda _: True, state.opt_state)
  whole = (
    all_finite((state.params, state.ema))
    & all_finite(state.carry, starts_infinite(model))
    & all_finite(state.opt_state, anywhere)
  )
  return Health(state.faults, whole)


def put_back(
  state: State, earlier: State, back_N: np.ndarray, faults: Faults
) -> State:
  """The state with some replicas as they were earlier.

  Step and noise key stay: the next batch is the one after this step. The sums
  of these replicas begin anew.
  """

  def merge(state: State, earlier: State) -> State:
    def pick(old: jax.Array, now: jax.Array) -> jax.Array:
      back = back_N.reshape(-1, *(1,) * (now.ndim - 1))
      return jnp.where(back, old, now)

    picked = {
      name: jax.tree.map(pick, getattr(earlier, name), getattr(state, name))
      for name in TRAINED
    }
    zeros = jax.tree.map(jnp.zeros_like, state.sums)
    sums = jax.tree.map(pick, zeros, state.sums)
    new = Faults(
      *(
        jnp.asarray(value, now.dtype)
        for value, now in zip(faults, state.faults, strict=True)
      )
    )
    return state._replace(**picked, sums=sums, faults=new)

  places = jax.tree.map(lambda x: x.sharding, state)
  return jax.jit(merge, out_shardings=places)(state, earlier)
