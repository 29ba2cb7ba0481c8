"""Tones: a sequence of tones is heard, and named after it has ended.

Sound as features: a step is a frame of samples, and the memory must find the
pitch before it can keep it.

Paper: none; made for memjax, after delayed recall of tone sequences.
Specification: N tones, each of D frames of S samples. A tone's pitch is one of
P, uniform; pitch p has p + 1 periods a frame. Sample i of frame j of a tone is
a sin(2 pi ((p + 1) i / S + phase)) + noise, with a phase of its own, an
amplitude a from 0.5 to 1, and noise of deviation `noise`. Then N frames of
silence, each with a 1 in a further channel, where the memory names the tones in
order. A frame is S + 1 features.
Labels: at each of the last N frames the pitch of the next tone. The distance is
the number of frames back to the first frame of the tone.
Metrics: `loss`, nats per label; `accuracy`; `exact_match`, the share of rows
with every tone right. A random pitch is right with probability 1/P.
Deviations: none.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import (
  GeneratedTask,
  classification,
  exact_match,
  positive,
)
from memjax.types import Batch, Example, Features, Metrics, RowKey, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tones(GeneratedTask):
  """The pitches of tones that were heard.

  Attributes:
    tones: N, of a row.
    frames: D, of a tone.
    samples: S, of a frame; more than twice `pitches`.
    pitches: P, the classes.
    noise: standard deviation of the noise of a sample.
  """

  tones: int = 8
  frames: int = 4
  samples: int = 32
  pitches: int = 8
  noise: float = 0.3
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'tones', 'frames')
    require(self.pitches > 1, 'pitches', self.pitches, 'must be at least 2')
    rule = f'must be more than twice pitches, {self.pitches}'
    require(self.samples > 2 * self.pitches, 'samples', self.samples, rule)
    require(self.noise >= 0, 'noise', self.noise, 'must be at least 0')

  @property
  def length(self) -> int:
    return self.tones * (self.frames + 1)

  @property
  def input_spec(self) -> Features:
    return Features(self.samples + 1)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(self.pitches)

  @property
  def labels(self) -> int:
    return self.tones

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    return {
      'loss': {'chance': math.log(self.pitches)},
      'accuracy': {'chance': 1 / self.pitches},
    }

  def example(self, key: RowKey) -> Example:
    of_pitch, of_phase, of_size, of_noise = jax.random.split(key, 4)
    shape = (self.tones,)
    pitch_N = jax.random.randint(of_pitch, shape, 0, self.pitches)
    phase_N = jax.random.uniform(of_phase, shape)
    size_N = jax.random.uniform(of_size, shape, minval=0.5, maxval=1.0)
    heard = self.tones * self.frames
    place_1S = jnp.arange(self.samples, dtype=jnp.float32)[None] / self.samples
    periods_N1 = (pitch_N + 1).astype(jnp.float32)[:, None]
    turn_NS = periods_N1 * place_1S + phase_N[:, None]
    wave_NS = size_N[:, None] * jnp.sin(2 * math.pi * turn_NS)
    frame_JS = jnp.repeat(wave_NS, self.frames, axis=0)
    frame_JS += self.noise * jax.random.normal(of_noise, frame_JS.shape)
    sound_TS = jnp.pad(frame_JS, ((0, self.tones), (0, 0)))
    asked_T = jnp.arange(self.length) >= heard
    asked_T1 = asked_T.astype(jnp.float32)[:, None]
    tone_N = jnp.arange(self.tones)
    distance_N = heard + tone_N - tone_N * self.frames
    return Example(
      jnp.concatenate([sound_TS, asked_T1], axis=1),
      jnp.pad(pitch_N, (heard, 0)),
      asked_T.astype(jnp.float32),
      jnp.pad(distance_N, (heard, 0)),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    return classification(y, batch) | {'exact_match': exact_match(y, batch)}
