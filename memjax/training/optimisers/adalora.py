"""AdaLoRA's part of the optimiser: a penalty, and ranks that fall.

A change P diag(l) Q of a kernel has r triplets (column of P, l, row of Q).

    loss' = loss + gamma sum of |P^T P - I|^2 + |Q Q^T - I|^2
    I_w   = |w dloss'/dw|
    S_w   = b1 S_w + (1 - b1) I_w           sensitivity, averaged
    U_w   = b2 U_w + (1 - b2) |I_w - S_w|   its uncertainty
    s_w   = S_w U_w
    score = s_l + mean of s over the column of P + mean over the row of Q

Every `allocate_every` steps the l of all triplets but the b(t) best ones of the
whole model become 0. Between, they may grow again. b(t) falls from all triplets
to `target_rank` a matrix,

    b(t) = b_end + (b_all - b_end) (1 - (t - start) / (T - start - final))^3

and in the last `final_steps` steps the choice is fixed.

Paper: Zhang et al. 2023, https://arxiv.org/abs/2303.10512, equations 4 to 12;
in its equation of b(t), `t - start - final` is a misprint for `t - start`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from memjax.config.adapt import ADALORA, Adapt
from memjax.errors import require
from memjax.runs.frozen import factors_by_kernel
from memjax.types import Params

BETA_1 = BETA_2 = 0.85  # of the paper


class AdaLoRAState(NamedTuple):
  """The state of the optimiser around another one.

  Attributes:
    inner: the other one's state.
    step: int32, steps taken.
    sensitivity: S of every factor.
    uncertainty: U of every factor.
    kept: bool, for each l whether it was among the best at the last choice.
  """

  inner: Any
  step: jax.Array
  sensitivity: Params
  uncertainty: Params
  kept: dict[str, jax.Array]


def adapted(
  adapt: Adapt, inner: optax.GradientTransformationExtraArgs, steps: int
) -> optax.GradientTransformationExtraArgs:
  """The optimiser of an adapted run of this number of steps.

  Raises:
    ConfigError: the ranks have no step left to fall in.
  """
  if adapt.method != ADALORA:
    return inner
  kept_back = adapt.start_steps + adapt.final_steps
  rule = f'with adapt.start_steps {adapt.start_steps} leaves no step of '
  rule += f'train.steps {steps} for the rank to fall'
  require(kept_back < steps, 'adapt.final_steps', adapt.final_steps, rule)
  last_choice = steps - adapt.final_steps

  def init(params: Params) -> AdaLoRAState:
    zeros = jax.tree.map(jnp.zeros_like, params['low_rank'])
    kept = {
      name: jnp.ones(factor['l'].shape, bool)
      for name, factor in _by_name(params).items()
    }
    step = jnp.zeros((), jnp.int32)
    return AdaLoRAState(inner.init(params), step, zeros, zeros, kept)

  def update(
    grads: Params, state: AdaLoRAState, params: Params, **extra: Any
  ) -> tuple[Params, AdaLoRAState]:
    pull = jax.grad(penalty)(params['low_rank'])
    pull = jax.tree.map(lambda x: adapt.orthogonality * x, pull)
    own = jax.tree.map(jnp.add, grads['low_rank'], pull)
    updates, inner_state = inner.update(
      grads | {'low_rank': own}, state.inner, params, **extra
    )
    sensitivity, uncertainty = averages(state, params['low_rank'], own)
    scores = scores_of(sensitivity, uncertainty)
    step = state.step + 1
    falling = step <= last_choice
    due = (step % adapt.allocate_every == 0) | (step == last_choice)
    choose = falling & due
    best = best_of(scores, budget(adapt, scores, step, steps))
    kept = jax.tree.map(lambda a, b: jnp.where(choose, a, b), best, state.kept)
    off = jax.tree.map(lambda keep: ~keep & (choose | ~falling), kept)
    updates = updates | {'low_rank': switched(updates, params, off)}
    after = AdaLoRAState(inner_state, step, sensitivity, uncertainty, kept)
    return updates, after

  return optax.GradientTransformationExtraArgs(init, update)


def penalty(low_rank: Params) -> jax.Array:
  """How far the outer factors are from orthogonal, summed over kernels."""
  total = jnp.zeros(())
  for factor in factors_by_kernel({'low_rank': low_rank}).values():
    identity = jnp.eye(factor['l'].shape[-1])
    transposed = jnp.swapaxes(factor['p'], -1, -2)
    for gram in (
      transposed @ factor['p'],
      factor['q'] @ jnp.swapaxes(factor['q'], -1, -2),
    ):
      total += jnp.square(gram - jnp.broadcast_to(identity, gram.shape)).sum()
  return total


def averages(
  state: AdaLoRAState, low_rank: Params, grads: Params
) -> tuple[Params, Params]:
  """S and U after one more step."""
  importance = jax.tree.map(lambda w, g: jnp.abs(w * g), low_rank, grads)
  sensitivity = jax.tree.map(
    lambda s, i: BETA_1 * s + (1 - BETA_1) * i, state.sensitivity, importance
  )
  uncertainty = jax.tree.map(
    lambda u, i, s: BETA_2 * u + (1 - BETA_2) * jnp.abs(i - s),
    state.uncertainty,
    importance,
    sensitivity,
  )
  return sensitivity, uncertainty


def scores_of(sensitivity: Params, uncertainty: Params) -> dict[str, jax.Array]:
  """{kernel: score of each triplet}."""
  products = jax.tree.map(jnp.multiply, sensitivity, uncertainty)
  return {
    name: s['l'] + s['p'].mean(axis=-2) + s['q'].mean(axis=-1)
    for name, s in _by_name({'low_rank': products}).items()
  }


def budget(
  adapt: Adapt, scores: dict[str, jax.Array], step: jax.Array, steps: int
) -> jax.Array:
  """b(t), the number of triplets of the whole model that keep their l."""
  everything = sum(s.size for s in scores.values())
  end = round(everything * adapt.target_rank / adapt.rank)
  span = steps - adapt.start_steps - adapt.final_steps
  left = 1 - jnp.clip((step - adapt.start_steps) / span, 0, 1)
  return jnp.round(end + (everything - end) * left**3).astype(jnp.int32)


def best_of(
  scores: dict[str, jax.Array], number: jax.Array
) -> dict[str, jax.Array]:
  """For each triplet whether it is among the best; the first win ties."""
  flat = jnp.concatenate([score.ravel() for score in scores.values()])
  place = jnp.argsort(jnp.argsort(-flat, stable=True), stable=True)
  kept, first = {}, 0
  for name, score in scores.items():
    here = place[first : first + score.size].reshape(score.shape)
    kept[name], first = here < number, first + score.size
  return kept


def switched(
  updates: Params, params: Params, off: dict[str, jax.Array]
) -> Params:
  """The updates of the factors, by which every l that is off becomes 0."""

  def one(path: Any, update: jax.Array, value: jax.Array) -> jax.Array:
    *kernel, name = (key.key for key in path)
    if name != 'l':
      return update
    return jnp.where(off['/'.join(kernel)], -value, update)

  own = updates['low_rank'], params['low_rank']
  return jax.tree_util.tree_map_with_path(one, *own)


def _by_name(params: Params) -> dict[str, Params]:
  kernels = factors_by_kernel(params)
  return {'/'.join(path): factors for path, factors in kernels.items()}
