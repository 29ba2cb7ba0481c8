"""A condition is a metric, a comparison and a number, or one line."""

import math

import pytest

from memjax.config.stop_when import Condition, parse_condition
from memjax.errors import ConfigError
from memjax.training.early_stopping import EarlyStopping, median
from tests.small import small


@pytest.mark.parametrize(
  ('text', 'meets', 'fails'),
  [
    ('a/accuracy >= 0.99', [0.99, 1.0], [0.98, math.nan]),
    ('a/loss<.5', [0.4, -math.inf], [0.5, math.nan]),
    (' a/loss <= 1e-3 ', [1e-3], [1.1e-3]),
    ('a/x > -2', [-1.9], [-2.0]),
    ('a/x >= 0.9 at one  setting', [0.9], [0.8]),
  ],
)
def test_a_condition_holds(
  text: str, meets: list[float], fails: list[float]
) -> None:
  condition = parse_condition('train.stop_when', text)
  assert isinstance(condition, Condition)
  assert all(condition.holds(figure) for figure in meets)
  assert not any(condition.holds(figure) for figure in fails)
  assert parse_condition('x', str(condition)) == condition


def test_an_empty_condition_never_ends_a_run() -> None:
  assert parse_condition('train.stop_when', '') is None


@pytest.mark.parametrize(
  'text',
  [
    'accuracy >= 0.9',
    'a/b = 0.9',
    'a/b >= x',
    'a/b >=',
    'a/b == 1',
    '>= 0.9',
    'a/b > 1 at',
  ],
)
def test_another_form_is_one_line(text: str) -> None:
  with pytest.raises(ConfigError) as error:
    small('copy_memory', 'lstm', {'train.stop_when': text})
  assert str(error.value) == (
    f'train.stop_when: {text!r}: must be SET/METRIC, one of >= <= > <, and a '
    'number, as in held_out/accuracy >= 0.99'
  )


def test_another_set_is_refused() -> None:
  with pytest.raises(ConfigError, match=r'^train\.stop_when: .*held_out'):
    small('copy_memory', 'lstm', {'train.stop_when': 'train/loss < 1'})


def test_the_median_of_replicas_that_have_not_diverged_decides() -> None:
  options = {'train.stop_when': 'held_out/accuracy >= 0.9'}
  early = EarlyStopping(small('copy_memory', 'lstm', options), [])
  early.update(2, {'held_out/accuracy': [1.0, 0.8, 0.85]})
  assert early.end == ''
  early.update(4, {'held_out/accuracy': [1.0, 0.1, 0.95]})
  assert early.end == (
    'train.stop_when held_out/accuracy >= 0.9: it is 0.95 at step 4'
  )
  assert median([1.0, math.nan, 0.5]) == 0.75
  assert math.isnan(median([math.nan]))


def test_all_replicas_of_one_setting_decide() -> None:
  options = {
    'train.stop_when': 'held_out/accuracy >= 0.9 at one setting',
    'train.replicas': 4,
    'optim.per_replica': 'learning_rate=1e-3,3e-3,1e-3,3e-3',
  }
  early = EarlyStopping(small('copy_memory', 'lstm', options), [])
  early.update(2, {'held_out/accuracy': [1.0, 1.0, 0.95, 0.85]})
  assert early.end.endswith('at one setting: it is 1, 0.95 at step 2')
  early = EarlyStopping(small('copy_memory', 'lstm', options), [])
  early.update(2, {'held_out/accuracy': [1.0, 1.0, 0.8, math.nan]})
  assert early.end == ''
  early.update(4, {'held_out/accuracy': [0.8, 0.9, 0.8, 0.92]})
  assert early.end.endswith('it is 0.9, 0.92 at step 4')
