"""BABILong: a reader who ignores the text answers like bAbI's own oracle."""

from collections.abc import Iterator
import re
from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.base import Stream
from memjax.tasks.ruler.babilong import BABILong
from tests.tasks.haystack import ROWS, drawn, hay, scored, texts

FACT = re.compile(rb'(Mary|John|Daniel|Sandra) [a-z ]+?(?: there)?\. ')
GOLDEN = ['garden', 'hallway', 'kitchen', 'hallway'], 19475986


@pytest.fixture(scope='module')
def fields(
  tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
  with hay(tmp_path_factory) as text_fields:
    yield text_fields | {'size': '1k', 'length': 640}


def where_is(text: bytes, person: bytes) -> bytes:
  """The place that a person last went to."""
  moves = re.findall(rb'%s [a-z ]+ to the (\w+)\. ' % person, text)
  return moves[-1]


def split_row(text: bytes) -> tuple[bytes, bytes, bytes]:
  found = re.fullmatch(rb'(.*) Where is (\w+)\? (\w+)', text)
  assert found
  return found[1], found[2], found[3]


def test_the_oracle_answers_from_the_facts_alone(fields: dict) -> None:
  task = BABILong(**fields)
  task.prepare()
  batch = drawn(task)
  assert task.labels == len('bathroom')
  for text, distance, weights in zip(
    texts(batch), batch.score_axis_BT, batch.loss_weights_BT, strict=True
  ):
    story, person, answer = split_row(text)
    assert where_is(story, person) == answer
    first = 640 - len(answer)
    np.testing.assert_array_equal(np.flatnonzero(weights), range(first, 640))
    support = text[first - distance.max() :]
    assert re.match(rb'%s [a-z ]+ to the %s\. ' % (person, answer), support)


def test_the_text_is_one_window_and_the_facts_keep_their_order(
  fields: dict,
) -> None:
  task = BABILong(**fields)
  stories = {
    tuple(line.sentence for line in lines[:-1] if not line.answer)
    for lines in task._asked
  }
  for text in texts(drawn(task)):
    story, _, _ = split_row(text)
    facts = tuple(f.group().decode().strip() for f in FACT.finditer(story))
    assert facts in stories
    assert re.fullmatch(rb'[A-J]+', FACT.sub(b'', story))


@pytest.mark.slow
def test_players_score_the_baselines(fields: dict) -> None:
  task = BABILong(**fields, split='validation')
  batch, rng = drawn(task), np.random.default_rng(0)
  places = sorted({split_row(text)[2] for text in texts(batch)})
  assert len(places) == 6
  right = [
    split_row(text)[2] == places[rng.integers(6)] for text in texts(batch)
  ]
  share = task.baselines['exact_match']['any answer']
  assert share == 1 / 6
  assert abs(np.mean(right) - share) < 4 * np.sqrt(share / ROWS)
  assert share <= task.baselines['exact_match']['majority'] < 0.3
  sure = 40 * np.eye(256)[batch.targets]
  assert scored(task, sure, batch)['exact_match'] == 1


@pytest.mark.parametrize('qa', [2, 3])
def test_the_other_tasks_are_hidden_too(fields: dict, qa: int) -> None:
  task = BABILong(**fields | {'qa': qa, 'facts': 10})
  task.prepare()
  for text in texts(drawn(task)):
    assert re.search(rb' Where (is|was) the [a-z ]+\? \w+$', text)
    assert 2 <= len(FACT.findall(text)) <= 10


def test_a_curriculum_grows_the_row(fields: dict) -> None:
  stages = '0 length=500; 5 length=560; 9'
  task = BABILong(**fields, curriculum=stages)
  task.prepare()
  for step, used in ((0, 500), (4, 500), (5, 560), (9, 640)):
    batch = drawn(task, step=step)
    assert batch.inputs.shape == (ROWS, 640)
    assert (batch.inputs[:, :used] > 0).all()
    assert not batch.inputs[:, used:].any()
    assert (batch.loss_weights_BT[:, used - 1] == 1).all()
  other = task.rows(Stream(0, 7, 3), 0, np.arange(3))
  assert (other.inputs > 0).all()


def test_the_data_is_what_it_was(fields: dict) -> None:
  task = BABILong(**fields)
  rows = drawn(task, seed=17)
  seen = [split_row(text)[2].decode() for text in texts(rows)[:4]]
  assert (seen, int(rows.inputs.sum())) == GOLDEN


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'qa': 4}, 'qa: 4: must be from 1 to 3'),
    ({'source': 'files'}, "source: 'files': unknown"),
    ({'facts': 1}, 'facts: 1: .*no story with so few sentences'),
    ({'length': 200}, 'length: 200: must be at least'),
    ({'curriculum': '0 length=200'}, 'curriculum: .*length: 200: must be at l'),
    ({'curriculum': '0 qa=x'}, 'curriculum: .*qa=x: must be of type int'),
  ],
)
def test_a_bad_field_is_refused(
  fields: dict, changes: dict, message: str
) -> None:
  with pytest.raises(ConfigError, match=message):
    BABILong(**fields | changes).prepare()
