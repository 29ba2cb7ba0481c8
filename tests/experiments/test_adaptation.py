"""The studies of parts, compression and privacy: each command can be run."""

import math
from pathlib import Path
import re
from typing import Any

import numpy as np
import pytest

from experiments.adapt import run as adapt
from experiments.adapt.recall import PARTS, get_config
from experiments.compress import run as compress
from experiments.privacy import canaries
from experiments.privacy import run as privacy
from memjax.config.command_line import read_config_file
from memjax.config.overrides import override
from memjax.config.reader import read_experiment


def config_of(words: list[str]) -> dict[str, Any]:
  (file,) = [word for word in words if word.startswith('--config=')]
  return override(read_config_file(file.removeprefix('--config=')), words)


def test_parts_are_parts_of_the_model() -> None:
  sizes = {part: adapt.trained_size(part) for part in PARTS}
  whole = sizes.pop('everything')
  assert sizes.pop('from_random') == whole
  assert all(0 < size < whole for size in sizes.values())
  assert sizes['decay'] < 100
  for part in ('base', *PARTS):
    words = adapt.command(part, Path('runs'), 'elsewhere')
    assert config_of(words)['train']['init_from'] == 'elsewhere'
  short = read_experiment(get_config('base').to_dict())
  assert short.task == short.evals['short'].task


def test_six_memories_learn_one_task(tmp_path: Path) -> None:
  tasks = set()
  for name in compress.MEMORIES:
    experiment = read_experiment(config_of(compress.command(name, tmp_path)))
    tasks.add(experiment.task)
  assert len(compress.MEMORIES) == 6
  assert len(tasks) == 1


def test_secrets_stand_in_the_text_as_often_as_they_say(tmp_path: Path) -> None:
  canaries.write_text(tmp_path / 'text')
  text = (tmp_path / 'text/train.txt').read_text('utf-8')
  for times, planted in canaries.PLANTED.items():
    for name in planted:
      assert text.count(canaries.sentence(name)) == times
      assert re.fullmatch(r'\d{4}', canaries.secret(name))
  held_out = (tmp_path / 'text/valid.txt').read_text('utf-8')
  names = (*canaries.READ_ONLY, *sum(canaries.PLANTED.values(), ()))
  assert not any(canaries.prefix(name) in held_out for name in names)
  assert not any(canaries.prefix(name) in text for name in canaries.READ_ONLY)
  assert len({canaries.secret(name) for name in names}) == len(names)
  for variant in canaries.VARIANTS:
    words = privacy.command(variant, tmp_path)
    optim = read_experiment(config_of(words)).optim
    assert optim.row_noise == canaries.NOISE.get(variant, 0.0)
    assert (optim.row_clip_norm > 0) == (variant != 'plain')


def test_epsilon_is_that_of_gaussian_noise() -> None:
  """The best order of one release has a closed form: sqrt(2 log(1/d)) / s."""
  for noise, times in ((1.0, 1), (2.0, 8), (8.0, 50)):
    mean = times / (2 * noise**2)
    exact = mean + 2 * np.sqrt(mean * np.log(1 / privacy.DELTA))
    assert exact <= privacy.epsilon(noise, times) <= 1.02 * exact
  assert privacy.epsilon(0.0, 3) == pytest.approx(np.inf)


def test_frequent_digits_are_the_most_exposed() -> None:
  """Candidates in the order of their chances; half of the ties are before."""
  own = canaries.secret('paul')
  text = f'0123456789 {own * 3}'
  chances = [
    math.prod(text.count(digit) for digit in f'{number:04d}')
    for number in range(10_000)
  ]
  ties = chances.count(chances[int(own)]) - 1
  rank = 1 + sum(x > chances[int(own)] for x in chances) + ties / 2
  (found,) = privacy.of_frequencies(text.encode(), ['paul'])
  assert found == pytest.approx(math.log2(10_000 / rank))
