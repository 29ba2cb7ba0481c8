"""Where the sources and the answers of a segment lie, and what is kept of them.

A run, from a reset to the next one, is a source, a separator and an answer. The
places of a call are those of the S slots of the carry, then those of the T
steps of the segment: E = S + T. The slots have the last steps before the
segment, the newest one in the last slot, so every source that ends in the
segment lies in one stretch of places.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from memjax.ops.attention import run_ids
from memjax.types import Reset_BT

NO_KEY, NO_QUERY = -2, -3  # numbers that meet no other
NEVER = 1 << 30  # a place behind all places


class Source(NamedTuple):
  """What is kept of the source of a run.

  Attributes:
    ids_BS: int32, its last steps, until the separator; then 0.
    states_BSD: float32, its encoded steps, from the separator on; before, 0.
    filled_B: int32, the number of slots that are used.
    answering_B: bool, whether the separator has been read.
  """

  ids_BS: jax.Array
  states_BSD: jax.Array
  filled_B: jax.Array
  answering_B: jax.Array


class Places(NamedTuple):
  """What the places of a segment are.

  Attributes:
    starts_BT: bool, the separators at which an answer starts.
    query_BT: int32, the number of the run of each step of an answer.
    key_BE: int32, the number of the run of each step of an encoded source.
    first_BE: bool, where the encoder begins anew.
    start_BT: int32, the place of the separator of each step's run.
    filled_B: int32, as in `Source`, after the segment.
    answering_B: bool, as in `Source`, after the segment.
  """

  starts_BT: jax.Array
  query_BT: jax.Array
  key_BE: jax.Array
  first_BE: jax.Array
  start_BT: jax.Array
  filled_B: jax.Array
  answering_B: jax.Array


def empty(batch_size: int, slots: int, width: int) -> Source:
  """The source of rows that have read nothing."""
  return Source(
    jnp.zeros((batch_size, slots), jnp.int32),
    jnp.zeros((batch_size, slots, width)),
    jnp.zeros((batch_size,), jnp.int32),
    jnp.zeros((batch_size,), bool),
  )


def find_answers(
  answering_B: jax.Array, reset_BT: Reset_BT, separator_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """`(B, T)` bool each: the steps of answers, and those that start one.

  An answer goes from the first separator of a run to the end of the run.
  """
  step_BT = jnp.broadcast_to(jnp.arange(reset_BT.shape[1]), reset_BT.shape)
  before_B1 = jnp.where(answering_B, -1, -2)[:, None]
  mark_BT = jnp.where(separator_BT, step_BT, before_B1)
  reset_at_BT = lax.cummax(jnp.where(reset_BT, step_BT, -1), axis=1)
  answer_BT = lax.cummax(mark_BT, axis=1) >= reset_at_BT
  earlier_BT = jnp.concatenate([answering_B[:, None], answer_BT[:, :-1]], 1)
  return answer_BT, answer_BT & (reset_BT | ~earlier_BT)


def find_places(
  source: Source, reset_BT: Reset_BT, separator_BT: jax.Array
) -> Places:
  """The places of a segment that follows on this source."""
  slots = source.ids_BS.shape[1]
  answer_BT, starts_BT = find_answers(
    source.answering_B, reset_BT, separator_BT
  )
  run_BE = run_ids(source.filled_B, slots, reset_BT)
  place_E = jnp.arange(run_BE.shape[1])
  in_front = [(0, 0), (slots, 0)]
  starts_BE = jnp.pad(starts_BT, in_front)
  answer_BE = (
    jnp.pad(answer_BT, in_front).at[:, :slots].set(run_BE[:, :slots] < 0)
  )
  next_BE = lax.cummin(
    jnp.where(starts_BE, place_E[None], NEVER), axis=1, reverse=True
  )
  next_run_BE = jnp.take_along_axis(
    run_BE, jnp.minimum(next_BE, place_E[-1]), axis=1
  )
  near_BE = next_BE - place_E[None] <= slots
  encoded_BE = ~answer_BE & near_BE & (next_run_BE == run_BE)
  kept_BS = source.answering_B[:, None] & ~answer_BE[:, :slots]
  key_BE = encoded_BE.at[:, :slots].set(encoded_BE[:, :slots] | kept_BS)
  key_BE = jnp.where(key_BE, run_BE, NO_KEY)
  changes_BE = (encoded_BE[:, 1:] != encoded_BE[:, :-1]) | (
    run_BE[:, 1:] != run_BE[:, :-1]
  )
  last_BE = run_BE == run_BE[:, -1:]
  seen_BE = last_BE & jnp.where(answer_BT[:, -1:], key_BE >= 0, ~answer_BE)
  return Places(
    starts_BT,
    jnp.where(answer_BT, run_BE[:, slots:], NO_QUERY),
    key_BE,
    jnp.pad(changes_BE, [(0, 0), (1, 0)], constant_values=True),
    lax.cummax(jnp.where(starts_BE, place_E[None], slots), axis=1)[:, slots:],
    jnp.minimum(seen_BE.sum(axis=1, dtype=jnp.int32), slots),
    answer_BT[:, -1],
  )


def join(source: Source, encoded_BED: jax.Array) -> jax.Array:
  """The states of all places: those that are kept, and those encoded now."""
  slots = source.ids_BS.shape[1]
  kept_BSD = source.states_BSD.astype(encoded_BED.dtype)
  answering_B11 = source.answering_B[:, None, None]
  head_BSD = jnp.where(answering_B11, kept_BSD, encoded_BED[:, :slots])
  return encoded_BED.at[:, :slots].set(head_BSD)


def keep(places: Places, ids_BE: jax.Array, states_BED: jax.Array) -> Source:
  """The source after the segment."""
  slots = ids_BE.shape[1] - places.query_BT.shape[1]
  answering_B1 = places.answering_B[:, None]
  place_BS = places.start_BT[:, -1:] - slots + jnp.arange(slots)[None]
  states_BSD = jnp.take_along_axis(states_BED, place_BS[..., None], axis=1)
  used_BS = jnp.arange(slots)[None] >= slots - places.filled_B[:, None]
  shown_BS = used_BS & answering_B1
  return Source(
    jnp.where(used_BS & ~answering_B1, ids_BE[:, -slots:], 0),
    jnp.where(shown_BS[..., None], states_BSD, 0).astype(jnp.float32),
    places.filled_B,
    places.answering_B,
  )


def by_slot(places: Places, share_BTE: jax.Array) -> jax.Array:
  """`(B, T, 1, S)`: shares of places as shares of slots."""
  slots = share_BTE.shape[2] - share_BTE.shape[1]
  place_BTS = places.start_BT[..., None] - slots + jnp.arange(slots)[None, None]
  return jnp.take_along_axis(share_BTE, place_BTS, axis=2)[:, :, None]
