"""The study of breadth: each command is of an experiment that can be read."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.breadth.baselines import (
  Labels,
  by_counts,
  by_facts,
  by_neighbours,
  by_spectrum,
  joined,
)
from experiments.breadth.run import STUDIES, command, guess_by_cues
from experiments.breadth.without_convolution import (
  DeltaNetWithoutConvolution,
)
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.models.base import apply
from memjax.models.linear.delta_net import DeltaNet
from memjax.models.stack import Stack
from memjax.tasks.recall.kinship import Kinship
from memjax.tasks.recall.tones import Tones
from memjax.types import Batch
from tests.tasks.drawn import draw


@pytest.mark.slow
def test_every_study_measures_what_it_shows(tmp_path: Path) -> None:
  for study in STUDIES.values():
    words = command(study, study.models[-1], tmp_path)
    (file,) = [word for word in words if word.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    experiment = read_experiment(config)
    steps = study.flags['train.steps']
    measured = {
      name for name, e in experiment.evals.items() if e.every == steps
    }
    assert set(study.figures) <= measured


def test_the_changed_models_are_what_they_are_called(tmp_path: Path) -> None:
  study = STUDIES['mentions']
  changed = [model for model in study.models if '+' in model]
  for model in changed:
    words = command(study, model, tmp_path)
    (file,) = [word for word in words if word.startswith('--config=')]
    config = override(read_config_file(file.removeprefix('--config=')), words)
    stack = read_experiment(config).model
    assert isinstance(stack, Stack)
    layers = [type(layer).__name__ for layer in stack._layers()]
    first, second = layers
    assert second != 'BaseConv'
    one_tap = second == 'DeltaNetWithoutConvolution'
    assert first == (second if one_tap else 'BaseConv')


def test_without_a_convolution_only_the_newest_tap_counts() -> None:
  whole = DeltaNet(width=6, head_width=3)
  without = DeltaNetWithoutConvolution(width=6, head_width=3)
  x = jax.random.normal(jax.random.key(1), (2, 5, 6))
  reset_BT = jnp.zeros((2, 5), bool).at[1, 3].set(True)
  empty = whole.initial_carry(2)
  params = without.init(jax.random.key(0), empty, x, reset_BT)['params']
  _, y = apply(without, params, empty, x, reset_BT)
  _, other = apply(whole, params, empty, x, reset_BT)
  assert np.abs(y - other).max() > 0.01
  kernel = params['convolution']['kernel']
  newest = jnp.zeros_like(kernel).at[-1].set(kernel[-1])
  _, same = apply(
    whole,
    params | {'convolution': {'kernel': newest}},
    empty,
    x,
    reset_BT,
  )
  np.testing.assert_allclose(y, same, atol=1e-6)


def test_without_names_the_most_frequent_type_so_far_is_guessed() -> None:
  # Cues 0 and 1 are of type 0, 2 and 3 of type 1; the rest tell nothing.
  guess_BTC = guess_by_cues(np.array([[1, 9, 3, 8, 7, 9, 2, 6, 7, 9]]), 2, 2)
  counts = [[1, 0]] * 2 + [[1, 1]] * 4 + [[1, 2]] * 3
  assert guess_BTC[0, :-1].tolist() == counts
  assert guess_BTC[0, -1].tolist() == [1, 0], 'the last is the first again'


def test_two_facts_tell_a_chain_of_two() -> None:
  task = Kinship(shortest=2, longest=2, facts=3, names=16)
  seen = joined(by_facts, [draw(task, 4000)])
  asked = joined(by_facts, [draw(task, 500, seed=1)])
  found = by_counts(seen, asked, 24)
  assert found['two facts']['accuracy'] == 1
  assert found['two facts']['loss'] < 0.2
  one = found['one fact']['accuracy']
  assert found['most frequent']['accuracy'] < 0.15 < one < 0.7


def test_the_loudest_pitch_is_the_tone_s() -> None:
  task = Tones(tones=2, frames=2, noise=0.0)
  batch = draw(task, 50)
  assert by_spectrum(task, [batch]) == 1
  other = np.asarray(batch.targets) + 1
  assert by_spectrum(task, [batch._replace(targets=other)]) == 0


def test_a_token_is_guessed_by_both_neighbours() -> None:
  token_BT = np.array([[7, 1, 8, 1, 9], [7, 2, 9, 9, 9]])
  weights_BT = np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]], np.float32)
  batch = Batch(token_BT, token_BT, weights_BT, weights_BT > 2)
  labels = by_neighbours(batch)
  assert labels.label_P.tolist() == [1, 1, 2]
  between_P = labels.contexts['between two neighbours']
  assert between_P.tolist() == [7 * 257 + 8, 8 * 257 + 9, 7 * 257 + 9]
  seen = Labels({'known': np.array([0, 0, 0, 1])}, np.array([0, 0, 1, 2]))
  asked = Labels({'known': np.array([0, 1])}, np.array([0, 0]))
  found = by_counts(seen, asked, 3)['known']
  share = 3 / 7  # of label 0 among all, each counted once more
  ways = (2 + share) / 4, share / 2
  assert found['accuracy'] == 0.5
  assert found['loss'] == pytest.approx(-np.log(ways).mean())
