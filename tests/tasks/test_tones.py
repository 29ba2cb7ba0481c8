"""Tones: an oracle that hears a frame's loudest period names every tone."""

import numpy as np
import pytest

from memjax.config.reader import read_experiment
from memjax.configs import tones as config
from memjax.errors import ConfigError
from memjax.tasks.recall.tones import Tones
from tests.tasks.drawn import (
  assert_features_as_they_were,
  assert_uniform,
  draw,
  score,
)

TASK = Tones(tones=3, frames=4, samples=16, pitches=5)
HEARD, ROWS = 12, 200
GOLDEN = [0.321425, -0.425984, 0.109089, 0.367051]


def test_the_oracle_hears_the_pitch_of_each_tone() -> None:
  batch = draw(TASK, ROWS)
  x = np.asarray(batch.inputs)
  sound = x[:, :HEARD, :16].reshape(ROWS, 3, 4, 16).mean(axis=2)
  power = np.abs(np.fft.rfft(sound, axis=-1))
  pitch = power[..., 1:6].argmax(axis=-1)
  answers = np.zeros((ROWS, 15, 5))
  answers[:, HEARD:] = 40 * np.eye(5)[pitch]
  scores = score(TASK, answers, batch)
  assert scores['accuracy'] > 0.99
  assert (batch.loss_weights_BT[:, HEARD:] == 1).all()
  assert batch.loss_weights_BT.sum() == 3 * ROWS
  assert not x[:, HEARD:, :16].any(), 'silence'
  assert (x[..., 16] == (np.arange(15) >= HEARD)).all()
  assert batch.score_axis_BT[0, HEARD:].tolist() == [12, 9, 6]


def test_without_noise_the_frames_of_a_tone_are_one_sine() -> None:
  task = Tones(tones=2, frames=2, samples=16, pitches=5, noise=0.0)
  batch = draw(task, ROWS)
  frames = np.asarray(batch.inputs)[:, :4, :16].reshape(ROWS, 2, 2, 16)
  np.testing.assert_array_equal(frames[:, :, 0], frames[:, :, 1])
  spectrum = np.abs(np.fft.rfft(frames[:, :, 0], axis=-1)) / 8
  pitch = np.asarray(batch.targets)[:, 4:]
  size = np.take_along_axis(spectrum, pitch[..., None] + 1, axis=-1)[..., 0]
  np.testing.assert_allclose((spectrum**2).sum(axis=-1), size**2, rtol=1e-4)
  assert size.min() >= 0.5
  assert size.max() <= 1


def test_twice_as_many_tones_of_the_config_are_within_sight() -> None:
  experiment = read_experiment(config.get_config('transformer').to_dict())
  twice = experiment.evals['twice']
  assert twice.model.horizon >= twice.task.length - 1


def test_pitches_are_equally_likely() -> None:
  assert_uniform(np.asarray(draw(TASK, ROWS).targets)[:, HEARD:].ravel(), 0, 4)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'samples': 16}, 'samples: 16: must be more than twice pitches, 8'),
    ({'pitches': 1}, 'pitches: 1: must be at least 2'),
    ({'noise': -1.0}, 'noise: -1.0: must be at least 0'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    Tones(**fields)
  assert words in str(refused.value)


def test_the_data_is_what_it_was() -> None:
  assert_features_as_they_were(TASK, GOLDEN)
