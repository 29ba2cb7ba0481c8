"""Needles and variables in a text: an oracle that reads it all wins."""

from collections.abc import Iterator
import hashlib
import math
from pathlib import Path
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.data.corpus import open_corpus
from memjax.errors import ConfigError
from memjax.tasks.base import Stream, invalid_ids
from memjax.tasks.ruler.niah import NIAH
from memjax.tasks.ruler.story import NOISE
from memjax.tasks.ruler.variable_tracking import VariableTracking
from memjax.types import Tokens
from tests.tasks.drawn import assert_uniform
from tests.tasks.haystack import ROWS, drawn, hay, scored, texts

Kind = NIAH | VariableTracking
GOLDEN = {
  'one': '93c7d3e99a332e96',
  'three': '54ba23b488158469',
  'chain': 'd424937bcb8f2aac',
  'chains': '2ccd766c4b536bf3',
}


@pytest.fixture(scope='module')
def tasks(
  tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Kind]]:
  with hay(tmp_path_factory) as text_fields:
    yield {
      'one': NIAH(**text_fields, length=150),
      'three': NIAH(**text_fields, length=200, needles=3, digits=2),
      'chain': VariableTracking(**text_fields, length=120, hops=1, digits=1),
      'chains': VariableTracking(**text_fields, length=300, chains=2, hops=3),
    }


every_task = pytest.mark.parametrize('name', GOLDEN)


def answer_to(text: bytes) -> bytes:
  """An oracle that looks the answer up in the row without its answer."""
  book = dict(
    re.findall(
      rb'(?:number for|VAR) ([a-z]{4}) (?:is|=) (VAR [a-z]+|\d+)\. ', text
    )
  )
  name = re.findall(rb' ([a-z]{4}) is \d*$', text)[-1]
  while not book[name].isdigit():
    name = book[name].removeprefix(b'VAR ')
  return book[name]


@pytest.mark.fast_cases(1)
@every_task
def test_the_oracle_scores_everything(
  tasks: dict[str, Kind], name: str
) -> None:
  task = tasks[name]
  batch = drawn(task)
  predicted = []
  for text in texts(batch):
    predicted.append(list(answer_to(text[: -task.digits])))
    assert text.endswith(b' is ' + bytes(predicted[-1]))
  scores = scored(task, 40 * np.eye(256)[predicted], batch)
  assert scores['accuracy'] == scores['exact_match'] == 1
  assert scores['loss'] < 1e-5


@every_task
def test_labels_are_the_digits_at_the_end(
  tasks: dict[str, Kind], name: str
) -> None:
  task = tasks[name]
  batch = drawn(task)
  labelled = np.arange(task.length) >= task.length - task.digits
  np.testing.assert_array_equal(
    batch.loss_weights_BT, np.tile(labelled, (ROWS, 1))
  )
  digits = batch.targets[:, labelled] - ord('0')
  assert not batch.targets[:, ~labelled].any()
  for place in range(task.digits):
    assert_uniform(digits[:, place], 0, 9)
  kinds = [(x.shape, x.dtype.name) for x in jax.tree.leaves(batch)]
  shape = (ROWS, task.length)
  names = ['int32', 'int32', 'float32', 'bool', 'int32']
  assert kinds == [(shape, kind) for kind in names]
  reset = np.arange(task.length) == 0
  np.testing.assert_array_equal(batch.reset_BT, np.tile(reset, (ROWS, 1)))
  assert invalid_ids(task, jax.tree.map(jnp.asarray, batch)) == 0
  assert task.input_spec == task.output_spec == Tokens(256)


@every_task
def test_the_distance_leads_back_to_the_digit(
  tasks: dict[str, Kind], name: str
) -> None:
  batch = drawn(tasks[name])
  b, t = np.nonzero(batch.loss_weights_BT)
  distance = batch.score_axis_BT[b, t]
  assert (distance > 0).all()
  hidden = batch.inputs[b, t - distance]
  np.testing.assert_array_equal(hidden, batch.targets[b, t])
  assert not batch.score_axis_BT[batch.loss_weights_BT == 0].any()
  text = texts(batch)[5]
  row = batch.score_axis_BT[5].max()
  start = len(text) - 1 - tasks[name].digits - row
  assert text[:start].endswith((b' is ', b' = '))


@every_task
def test_the_hay_is_one_window_of_the_split(
  tasks: dict[str, Kind], name: str
) -> None:
  task = tasks[name]
  corpus = open_corpus('files', task.path, 'bytes')
  _, first, last = corpus.source.spans['train']
  whole = (Path(task.path) / 'hay').read_bytes()[first:last]
  starts = set()
  for text in texts(drawn(task)):
    hay = re.sub(rb'(The magic number for|VAR) [a-z]{4} [^.]*\. ', b'', text)
    hay = re.sub(rb' (The magic number for|VAR) [a-z]{4} is \d+$', b'', hay)
    assert re.fullmatch(rb'[A-J]+', hay)
    starts.add(whole.index(hay))
  assert len(starts) > ROWS * 0.95


def test_the_queried_needle_lies_anywhere(tasks: dict[str, Kind]) -> None:
  task = tasks['one']
  distance = np.concatenate(
    [drawn(task, step=s).score_axis_BT.max(axis=1) for s in range(3)]
  )
  nearest = len(b'12345.  The magic number for abcd is ') - 1
  hay = 151 - 36 - 30 - 5  # but for the sentence, the question, the answer
  assert nearest <= distance.min() < nearest + 10
  assert distance.max() <= nearest + hay
  assert_uniform((distance - nearest) * 10 // (hay + 1), 0, 9)


@pytest.mark.parametrize(('name', 'numbers'), [('three', 3), ('chains', 2)])
def test_names_differ_and_any_is_queried(
  tasks: dict[str, Kind], name: str, numbers: int
) -> None:
  queried = []
  for text in texts(drawn(tasks[name])):
    *hidden, question = re.findall(rb'(?:for|VAR) ([a-z]{4}) (?:=|is)', text)
    assert len(set(hidden)) == len(hidden) == {'three': 3, 'chains': 8}[name]
    queried.append(hidden.index(question))
  counts = np.bincount(queried)
  if name == 'three':
    assert_uniform(np.array(queried), 0, 2)
  else:
    assert counts[-1] > counts[:-1].max()  # the last of a chain of four


def test_chains_stand_in_their_order(tasks: dict[str, Kind]) -> None:
  for text in texts(drawn(tasks['chains'])):
    known: set[bytes] = set()
    for name, value in re.findall(rb'VAR ([a-z]+) = (?:VAR )?(\w+)\.', text):
      assert value.isdigit() or value in known
      known.add(name)
    assert len(known) == 8


@every_task
def test_guessing_scores_the_baselines(
  tasks: dict[str, Kind], name: str
) -> None:
  task, rng = tasks[name], np.random.default_rng(0)
  batch = drawn(task)
  hidden = [re.findall(rb' (?:is|=) (\d+)\. ', text) for text in texts(batch)]
  number = [list(values[rng.integers(len(values))]) for values in hidden]
  players = {
    'chance': rng.integers(48, 58, (ROWS, task.digits)),
    'any number of the row': np.array(number),
  }
  assert (len(hidden[0]) == 1) == (len(task.baselines['exact_match']) == 1)
  for player in task.baselines['exact_match']:
    scores = scored(task, np.eye(256)[players[player]], batch)
    for metric in ('accuracy', 'exact_match'):
      share = task.baselines[metric][player]
      deviation = math.sqrt(share * (1 - share) / ROWS)
      assert abs(scores[metric] - share) < 4 * deviation + 1e-6, metric
  ten_V = (np.arange(256) >= 48) & (np.arange(256) < 58)
  logits = np.broadcast_to(np.where(ten_V, 0, -1e4), (ROWS, task.digits, 256))
  loss = task.baselines['loss']['chance']
  assert scored(task, logits, batch)['loss'] == pytest.approx(loss, rel=1e-5)


def test_a_row_depends_on_seed_stream_step_and_row_only(
  tasks: dict[str, Kind],
) -> None:
  task = tasks['three']
  rows = task.rows(Stream(3, 1, 4), 2, np.arange(4))
  some = task.rows(Stream(3, 1, 9), 2, np.array([3, 1]))
  jax.tree.map(np.testing.assert_array_equal, rows[0][[3, 1]], some[0])
  for stream, step in (
    (Stream(4, 1, 4), 2),
    (Stream(3, 0, 4), 2),
    (Stream(3, 1, 4), 3),
  ):
    other = task.rows(stream, step, np.arange(4))
    for one, two in zip(rows.inputs, other.inputs, strict=True):
      assert not np.array_equal(one, two)


@every_task
def test_the_data_is_what_it_was(tasks: dict[str, Kind], name: str) -> None:
  batch = drawn(tasks[name], seed=17)
  seen = hashlib.sha256(batch.inputs.tobytes() + batch.targets.tobytes())
  assert seen.hexdigest()[:16] == GOLDEN[name]


def test_a_task_is_its_fields(tasks: dict[str, Kind]) -> None:
  task = tasks['chains']
  assert pickle.loads(pickle.dumps(task)) == task
  assert task.fingerprint() == tasks['one'].fingerprint() != ''
  assert task.epoch_steps(7) == 0
  assert task.text_tokenizer.encode(b'a').tolist() == [97]


@pytest.mark.parametrize(
  ('task', 'fields', 'message'),
  [
    (NIAH, {'needles': 0}, 'needles: 0: must be at least 1'),
    (NIAH, {'digits': 0}, 'digits: 0: must be at least 1'),
    (NIAH, {'length': 70}, 'length: 70: must be at least 71, for one byte'),
    (NIAH, {'split': 'dev'}, "split: 'dev': unknown"),
    (NIAH, {'path': ''}, "path: '': must be given"),
    (NIAH, {'corpus': 'file'}, "corpus: 'file': .*did you mean files"),
    (NIAH, {'split': 'test', 'length': 5000}, 'split: .*1800 bytes in .*a r'),
    (VariableTracking, {'hops': 0}, 'hops: 0: must be at least 1'),
    (VariableTracking, {'chains': 0}, 'chains: 0: must be at least 1'),
    (VariableTracking, {'hops': 513}, 'hops: 513: must be at most length 512'),
    (
      VariableTracking,
      {'length': 999, 'chains': 999, 'hops': 999},
      'names: 999000: must be at most 456976',
    ),
  ],
)
def test_a_bad_field_is_refused(
  tasks: dict[str, Kind], task: type, fields: dict, message: str
) -> None:
  text_fields = {'corpus': 'files', 'path': tasks['one'].path}
  with pytest.raises(ConfigError, match=message):
    task(**text_fields | fields).prepare()


def test_the_smallest_task_works(tasks: dict[str, Kind]) -> None:
  task = NIAH(corpus='files', path=tasks['one'].path, length=71)
  for text in texts(drawn(task)):
    hay = re.fullmatch(
      rb'([A-J]?)The magic number for (....) is (\d{5})\. ([A-J]?)'
      rb' The magic number for \2 is \3',
      text,
    )
    assert hay
    assert len(hay[1] + hay[4]) == 1


def answers_of(text: bytes, size: int) -> bytes:
  """All values of all keys that the end of a row asks for, in order."""
  values: dict[bytes, list[bytes]] = {}
  for key, value in re.findall(rb' for ([a-z]{4}) is ([0-9a-f]+)\. ', text):
    values.setdefault(key, []).append(value)
  (keys,) = re.findall(rb' for ([a-z, ]+) is $', text[:-size])
  return b''.join(b''.join(values[key]) for key in keys.split(b', '))


@pytest.mark.parametrize(
  ('fields', 'size', 'chance'),
  [
    ({'values': 3, 'digits': 2}, 6, 1 / 10),
    ({'needles': 3, 'queries': 2, 'digits': 2}, 4, 1 / 10),
    ({'needles': 2, 'queries': 2, 'values': 2, 'digits': 1}, 4, 1 / 10),
    ({'kind': 'uuid'}, 32, 1 / 16),
    ({'corpus': 'noise', 'path': ''}, 5, 1 / 10),
  ],
)
def test_several_values_queries_and_kinds(
  tasks: dict[str, Kind], fields: dict, size: int, chance: float
) -> None:
  place = {'corpus': 'files', 'path': tasks['one'].path, 'length': 320}
  task = NIAH(**place | fields)
  task.prepare()
  batch = drawn(task)
  for text in texts(batch):
    assert text.endswith(answers_of(text, size))
    if task.corpus == 'noise':
      plain = re.sub(rb' The magic number for .... is \d+$', b'', text)
      plain = re.sub(rb'The magic number for .... is \d+\. ', b'', plain)
      assert plain in NOISE * 9
  assert task.labels == size == batch.loss_weights_BT[0].sum()
  assert task.baselines['accuracy'] == {'chance': chance}
  b, t = np.nonzero(batch.loss_weights_BT)
  shown = batch.inputs[b, t - batch.score_axis_BT[b, t]]
  np.testing.assert_array_equal(shown, batch.targets[b, t])
  symbols = np.unique(batch.targets[batch.loss_weights_BT > 0])
  assert len(symbols) == round(1 / chance)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'kind': 'word'}, "kind: 'word': must be one of number, uuid"),
    ({'queries': 2}, 'queries: 2: must be at most needles, 1'),
    ({'values': 0}, 'values: 0: must be at least 1'),
    ({'curriculum': '0 length=60'}, 'curriculum: .*length: 60: .*at least 71'),
  ],
)
def test_a_bad_kind_is_refused(fields: dict, message: str) -> None:
  with pytest.raises(ConfigError, match=message):
    NIAH(**{'corpus': 'noise'} | fields).prepare()
