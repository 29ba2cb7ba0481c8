"""One metric is the headline, and no figure is shown twice."""

import math

import pytest

from memjax.logs.headline import Spread, headline, shown, spread


@pytest.mark.parametrize(
  ('metrics', 'best', 'expected'),
  [
    ('loss accuracy bits_per_byte', '', 'bits_per_byte'),
    ('loss accuracy perplexity_per_word', '', 'perplexity_per_word'),
    ('loss accuracy exact_match', '', 'accuracy'),
    ('recall loss', '', 'loss'),
    ('loss accuracy exact_match', 'held_out/exact_match', 'exact_match'),
    ('loss accuracy', 'held_out/f1', 'accuracy'),
    ('f1 bleu', '', 'f1'),
  ],
)
def test_the_headline(metrics: str, best: str, expected: str) -> None:
  assert headline(metrics.split(), best) == expected


def test_no_figure_is_shown_twice() -> None:
  metrics = {'bits_per_character': 2.5, 'bits_per_byte': 2.5, 'loss': 1.7}
  assert shown(metrics) == ['bits_per_byte', 'loss']
  assert shown(metrics | {'bits_per_character': 2.6}) == (
    ['bits_per_byte', 'loss', 'bits_per_character']
  )
  assert shown({'gradient_norm': 1.0, 'loss': 2.0}) == ['loss']


def test_the_spread_leaves_out_diverged_replicas() -> None:
  figures = {'accuracy': [0.2, math.nan, 0.995], 'loss': [3.0, math.nan, 1.0]}
  row = {'replicas': figures}
  assert spread(row, 'accuracy') == Spread(0.2, 0.995, 1, 2, 3)
  assert spread(row, 'loss') == Spread(1.0, 3.0, None, 2, 3)
  assert spread({'metrics': {'loss': 1.0}}, 'loss') is None
