"""Specs know their own facts; metrics are sums and counts, divided once."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.types import (
  Features,
  Metric,
  Sentences,
  Spec,
  Tokens,
  spec_from_json,
)

SPECS = [
  Tokens(5),
  Features(3),
  Sentences(7, 4),
  Sentences(7, 4, question_id=2),
]
every_spec = pytest.mark.parametrize('spec', SPECS)


@every_spec
def test_a_spec_survives_a_file(spec: Spec) -> None:
  assert spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec


@every_spec
def test_samples_have_the_shape_and_type_of_zeros_and_fit(spec: Spec) -> None:
  sample = spec.sample(np.random.default_rng(0), 2, 30)
  zeros = spec.zeros(2, 30)
  assert (sample.shape, sample.dtype) == (zeros.shape, zeros.dtype)
  assert sample.shape == (2, 30, *spec.shape)
  assert not zeros.any()
  assert len(np.unique(sample)) == (spec.size if spec.discrete else sample.size)
  assert spec.outside(sample) == 0


def test_ids_outside_are_counted() -> None:
  ids = jnp.array([[0, -1, 4, 5, 6]])
  assert Tokens(5).outside(ids) == 3
  assert Sentences(6, 5).outside(ids[None]) == 2
  assert Features(5).outside(ids.astype(jnp.float32)) == 0


@every_spec
def test_only_the_size_of_a_resized_spec_differs(spec: Spec) -> None:
  resized = spec.resized(9)
  assert (resized.size, type(resized)) == (9, type(spec))
  assert resized.resized(spec.size) == spec


def test_indicators_say_what_a_step_holds() -> None:
  ids = np.array([[2, 0]])
  assert Tokens(3).indicators(ids).tolist() == [[[0, 0, 1], [1, 0, 0]]]
  words = Sentences(4, 3).indicators(np.array([[[3, 1, 1], [2, 0, 0]]]))
  assert words.tolist() == [[[2, 0, 1], [0, 1, 0]]]  # padding counts as nothing
  assert Features(2).indicators(np.array([[[1, 2]]])).tolist() == [[[1, 2]]]


def test_padding_and_the_mark_of_a_question_are_no_content() -> None:
  ids = jnp.array([[[0, 1, 2]]])
  assert Sentences(4, 3).reserved(ids).tolist() == [[[True, False, False]]]
  assert Sentences(4, 3, 2).reserved(ids).tolist() == [[[True, False, True]]]
  assert not Tokens(4).reserved(ids[0]).any()


def test_specs_of_different_kinds_differ() -> None:
  assert Tokens(3) != Features(3)


def test_metrics_are_added_and_divided_once() -> None:
  one = {'a': Metric(jnp.float32(2), jnp.float32(4), finish='exp')}
  two = {'a': Metric(jnp.float32(4), jnp.float32(2), finish='exp')}
  both = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))(one, two)
  assert both['a'] == Metric(6, 6, finish='exp')
  assert both['a'].value() == pytest.approx(np.e)
  assert Metric(6, 4).value() == 1.5


def test_a_metric_that_counted_nothing_is_nan() -> None:
  assert np.isnan(Metric(np.float64(0), np.float64(0)).value())
  assert Metric(np.float64(900), np.float64(1), finish='exp').value() == np.inf
