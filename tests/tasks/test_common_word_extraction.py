"""Common words in a text: an oracle that counts them knows the answer."""

from collections import Counter
from collections.abc import Iterator
import hashlib
import math
from pathlib import Path
import re

import numpy as np
import pytest

from memjax.data.corpus import open_corpus
from memjax.errors import ConfigError
from memjax.tasks.ruler.common_word_extraction import CommonWordExtraction
from tests.tasks.drawn import assert_uniform
from tests.tasks.haystack import ROWS, drawn, hay, scored, texts

GOLDEN = {'four': '1a583b3a518872e1', 'close': 'cc8cf53eaef647de'}
QUESTION = b' The most common word is '
every_task = pytest.mark.parametrize('name', GOLDEN)


@pytest.fixture(scope='module')
def tasks(
  tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, CommonWordExtraction]]:
  with hay(tmp_path_factory) as text_fields:
    yield {
      'four': CommonWordExtraction(**text_fields, length=250),
      'close': CommonWordExtraction(
        **text_fields, length=200, words=3, common=3, seldom=2
      ),
    }


def words_of(text: bytes) -> list[bytes]:
  """The words in their order; what is behind the question is not read."""
  before, _ = text.split(QUESTION)
  return re.findall(rb'A word is ([a-z]{4})\. ', before)


@every_task
def test_the_oracle_scores_everything(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  batch = drawn(tasks[name])
  predicted = [
    list(Counter(words_of(t)).most_common(1)[0][0]) for t in texts(batch)
  ]
  scores = scored(tasks[name], 40 * np.eye(256)[predicted], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  assert scores['loss'] < 1e-5


@every_task
def test_words_come_as_often_as_they_should(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  task, batch = tasks[name], drawn(tasks[name])
  rest = [task.seldom] * (task.words - 1)
  places = []
  for text in texts(batch):
    words = words_of(text)
    counts = Counter(words).most_common()
    assert [n for _, n in counts] == [task.common, *rest]
    assert text.endswith(QUESTION + counts[0][0])
    places += [i for i, word in enumerate(words) if word == counts[0][0]]
  assert_uniform(np.array(places), 0, task.common + sum(rest) - 1)
  letters = batch.targets[:, -4:] - ord('a')
  for place in range(4):
    assert_uniform(letters[:, place], 0, 25)
  labelled = np.arange(task.length) >= task.length - 4
  np.testing.assert_array_equal(
    batch.loss_weights_BT, np.tile(labelled, (ROWS, 1))
  )
  assert not batch.targets[:, ~labelled].any()


@every_task
def test_the_distance_is_as_far_as_must_be_remembered(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  """The label distance is the shortest memory that determines the answer."""
  task, batch = tasks[name], drawn(tasks[name])
  for b, text in enumerate(texts(batch)):
    for t in range(task.length - 4, task.length):
      place = t - batch.score_axis_BT[b, t]
      assert text[place] == batch.targets[b, t]
    start = place - len(b'A word is ') - 3
    counts = Counter(words_of(text[start:]))
    assert counts[text[-4:]] == task.seldom + 1
    assert max(Counter(words_of(text[start + 1 :])).values()) <= task.seldom
  assert not batch.score_axis_BT[batch.loss_weights_BT == 0].any()


@every_task
def test_the_hay_is_one_window_of_the_split(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  path = tasks[name].path
  _, first, last = open_corpus('files', path, 'bytes').source.spans['train']
  whole = (Path(path) / 'hay').read_bytes()[first:last]
  between = set()
  for text in texts(drawn(tasks[name])):
    before, _ = text.split(QUESTION)
    pieces = re.split(rb'A word is [a-z]{4}\. ', before)
    between.add(tuple(map(len, pieces)))
    assert whole.count(b''.join(pieces)) == 1
  assert len(between) > ROWS * 0.95


@every_task
def test_guessing_scores_the_baselines(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  task, rng = tasks[name], np.random.default_rng(0)
  batch = drawn(task)
  players = {
    'chance': rng.integers(97, 123, (ROWS, 4)),
    'any word of the row': np.array(
      [list(words_of(t)[-1]) for t in texts(batch)]
    ),
  }
  for player, predicted in players.items():
    scores = scored(task, np.eye(256)[predicted], batch)
    for metric in ('accuracy', 'exact_match'):
      share = task.baselines[metric][player]
      deviation = math.sqrt(share * (1 - share) / ROWS)
      assert abs(scores[metric] - share) < 4 * deviation + 1e-6, metric
  letter_V = (np.arange(256) >= 97) & (np.arange(256) < 123)
  logits = np.broadcast_to(np.where(letter_V, 0, -1e4), (ROWS, 4, 256))
  loss = task.baselines['loss']['chance']
  assert scored(task, logits, batch)['loss'] == pytest.approx(loss, rel=1e-5)


@every_task
def test_the_data_is_what_it_was(
  tasks: dict[str, CommonWordExtraction], name: str
) -> None:
  batch = drawn(tasks[name], seed=17)
  seen = hashlib.sha256(batch.inputs.tobytes() + batch.targets.tobytes())
  assert seen.hexdigest()[:16] == GOLDEN[name]


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'words': 1}, 'words: 1: must be at least 2'),
    ({'words': 10**9}, 'words: 1000000000: must be at most length 512'),
    ({'common': 2}, 'common: 2: must be above seldom, 2'),
    ({'common': 10**9}, 'common: 1000000000: must be at most length 512'),
    ({'seldom': 0}, 'seldom: 0: must be at least 1'),
    (
      {'length': 204},
      'length: 204: must be at least 205',
    ),
  ],
)
def test_a_bad_field_is_refused(
  tasks: dict[str, CommonWordExtraction], fields: dict, message: str
) -> None:
  text_fields = {'corpus': 'files', 'path': tasks['four'].path}
  with pytest.raises(ConfigError, match=message):
    CommonWordExtraction(**text_fields | fields)


def test_the_smallest_task_works(
  tasks: dict[str, CommonWordExtraction],
) -> None:
  task = CommonWordExtraction(
    corpus='files',
    path=tasks['four'].path,
    words=2,
    common=2,
    seldom=1,
    length=77,
  )
  for text in texts(drawn(task)):
    assert len(re.sub(rb'A word is [a-z]{4}\. ', b'', text)) == 30
