"""bAbI: every question once an epoch, no story cut, one vocabulary for all."""

from collections import Counter
from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import pickle
import random
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.reader import prepare_task
from memjax.data import babi_rows
from memjax.data.babi import Story, open_tasks
from memjax.data.babi_rows import answers_of, first_fit
from memjax.data.order import shuffled
from memjax.errors import ConfigError
from memjax.tasks.base import Stream, Task, invalid_ids
from memjax.tasks.language import babi
from memjax.tasks.language.babi import BAbI
from memjax.types import Batch, Sentences, Tokens

REAL = Path(os.environ.get('MEMJAX_DATA', 'nowhere')) / 'babi'
real = pytest.mark.skipif(
  not REAL.is_dir(), reason='MEMJAX_DATA names no folder with babi/'
)
SPLITS = ('train', 'validation', 'test')
GOLDEN = '9e8fae03941f8b75f89e7b50f00fcf1f6fd06dae8c931ae8ea791e30b5326b02'
SMALL = """\
1 Mary ran.
2 Where is Mary? \tout\t1
3 Mary took the mother-in-law's Milk, twice.
4 What has Mary? \tMilk,Egg\t3
1 John left.
2 Where is John? \tout\t1
"""


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
  def clear() -> None:
    for cached in (open_tasks, babi_rows.build_vocabulary, babi._arranged):
      cached.cache_clear()

  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('MEMJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
    clear()
    yield
    clear()


def released(tasks: str, split: str = 'train', **fields: Any) -> BAbI:
  fields = {'vocabulary': 'all'} | fields
  return BAbI(
    source='archive', path=str(REAL), tasks=tasks, split=split, **fields
  )


def step_of(
  task: Task, step: int, batch_size: int, seed: int = 0, number: int = 0
) -> Batch:
  stream = Stream(seed, number, batch_size)
  return task.rows(stream, step, np.arange(batch_size))


def epoch_of(task: Task, batch_size: int, epoch: int = 0) -> Batch:
  """The rows of an epoch, one after the other."""
  count = task.epoch_steps(batch_size)
  steps = [
    step_of(task, epoch * count + step, batch_size) for step in range(count)
  ]
  return jax.tree.map(lambda *parts: np.concatenate(parts), *steps)


def words_in(sentence: str) -> str:
  for mark in '.,!;:':
    sentence = sentence.replace(mark, ' ')
  return ' '.join(sentence.replace('?', ' ?').lower().split())


def stories_in(task: BAbI, batch: Batch) -> Counter:
  """What the rows tell, story by story: each line's words and its answer."""
  stories: list[list[tuple[str, str]]] = []
  answers = task.answers
  for row in range(len(batch.inputs)):
    lines = task.text_of(batch.inputs[row])
    assert batch.reset_BT[row, 0]
    for step, line in enumerate(lines):
      labelled = batch.loss_weights_BT[row, step]
      assert labelled in (0, 1)
      answer = answers[batch.targets[row, step]] if labelled else ''
      assert labelled or batch.targets[row, step] == 0
      if batch.reset_BT[row, step]:
        stories.append([])
      if line:
        stories[-1].append((line, answer))
      else:
        assert not labelled
  return Counter(tuple(story) for story in stories if story)


def stories_of(stories: tuple[Story, ...]) -> Counter:
  return Counter(
    tuple((words_in(line.sentence), line.answer.lower()) for line in story)
    for story in stories
  )


@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize(('tasks', 'length'), [('1', 0), ('1,2', 0), ('2', 99)])
def test_every_story_once_an_epoch(split: str, tasks: str, length: int) -> None:
  task = BAbI(tasks=tasks, split=split, row_length=length)
  numbers = tuple(map(int, tasks.split(',')))
  opened = open_tasks('generated', '', '1k', numbers)
  stories = tuple(s for number in numbers for s in opened[number][split])
  everything = [s for n in numbers for each in opened[n].values() for s in each]
  assert task.length == (length or max(map(len, everything)))
  for batch_size, epoch in ((7, 3), (500, 0)):
    batch = epoch_of(task, batch_size, epoch)
    assert batch.inputs.shape[1:] == (task.length, task.input_spec.words)
    assert stories_in(task, batch) == stories_of(stories)
    assert batch.loss_weights_BT.sum() == {
      'train': 900,
      'validation': 100,
      'test': 1000,
    }[split] * len(numbers)


def test_no_split_has_a_story_of_another() -> None:
  stories = [
    stories_in(t, epoch_of(t, 8)) for t in (BAbI(split=s) for s in SPLITS)
  ]
  assert sum(map(len, stories)) == len(stories[0] | stories[1] | stories[2])
  assert len(stories[0] | stories[1] | stories[2]) == 400


def test_train_is_shuffled_anew_each_epoch_and_nothing_else_is() -> None:
  task = BAbI(tasks='2')
  steps = task.epoch_steps(8)
  count = len(task._rows.loss_weights_RT)
  rows = {
    key: np.concatenate(
      [
        step_of(task, epoch * steps + s, 8, seed, number).inputs
        for s in range(steps)
      ]
    )[:count]
    for key, (epoch, seed, number) in {
      'first': (0, 0, 0),
      'again': (0, 0, 0),
      'second': (1, 0, 0),
      'seed': (0, 1, 0),
      'stream': (0, 0, 1),
    }.items()
  }
  np.testing.assert_array_equal(rows['first'], rows['again'])
  for other in ('second', 'seed', 'stream'):
    same = (rows['first'] == rows[other]).all((1, 2))
    assert same.sum() < count / 4
  assert not np.array_equal(rows['second'], rows['seed'])
  for split in ('validation', 'test'):
    task = BAbI(tasks='2', split=split)
    steps = task.epoch_steps(8)
    jax.tree.map(
      np.testing.assert_array_equal,
      step_of(task, 0, 8),
      step_of(task, 3 * steps, 8, seed=1, number=2),
    )


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
  task = BAbI(tasks='2')
  for step in (0, 5, 11):
    whole = step_of(task, step, 8)
    some = task.rows(Stream(0, 0, 8), step, np.array([6, 1], np.int32))
    jax.tree.map(
      lambda x, of: np.testing.assert_array_equal(x, of[[6, 1]]), some, whole
    )


def test_padding_rows_are_empty() -> None:
  task = BAbI(split='validation')
  batch = step_of(task, 0, 32)
  assert len(task._rows.loss_weights_RT) == 20
  assert batch.loss_weights_BT[:20].sum() == 100
  assert not any(x[20:].any() for x in batch[:3])
  assert batch.reset_BT[20:].sum() == 12
  assert batch.reset_BT[20:, 0].all()


def test_the_batches_are_always_the_same() -> None:
  seen = hashlib.sha256()
  for tasks, split in (('1', 'train'), ('1,2,3', 'train'), ('3', 'test')):
    task = BAbI(tasks=tasks, split=split)
    for step in (0, 1, task.epoch_steps(8)):
      for x in jax.tree.leaves(step_of(task, step, 8, seed=3)):
        seen.update(np.ascontiguousarray(x).tobytes())
  assert seen.hexdigest() == GOLDEN, 'made batches changed: so does every run'


def test_a_batch_is_ready_for_a_model() -> None:
  task = BAbI(tasks='all')
  batch = jax.jit(task.batch)(step_of(task, 0, 4))
  kinds = [(x.shape[:2], x.dtype.name) for x in jax.tree.leaves(batch)]
  names = ('int32', 'int32', 'float32', 'bool')
  assert kinds == [((4, task.length), name) for name in names]
  assert invalid_ids(task, batch) == 0
  questions = (batch.inputs == task.input_spec.question_id).any(-1)
  np.testing.assert_array_equal(questions, batch.loss_weights_BT == 1)


def small(path: Path) -> BAbI:
  for i in range(1, 11):  # ten stories, or none is left for validation
    with (path / 'qa7_x_train.txt').open('a') as file:
      file.write(SMALL.replace('Mary ran', f'Mary ran {i}'))
  (path / 'qa7_x_test.txt').write_text('1 Only now?\tPast\t\n')
  return BAbI(source='archive', path=str(path), tasks='7', split='test')


def test_words_and_classes(tmp_path: Path) -> None:
  task = small(tmp_path)
  assert task.answers == ('milk,egg', 'out', 'past')
  assert answers_of(task._stories('train')[0]) == ['out', 'milk,egg']
  numbers = [str(i) for i in range(1, 11)]
  words = "has is john left mary milk mother-in-law's now only ran the took "
  words += 'twice what where ?'
  assert task.words[0] == ''
  assert sorted(task.words[1:]) == sorted([*numbers, *words.split()])
  question_id = task.words.index('?')
  assert task.input_spec == Sentences(len(task.words), 6, question_id)
  assert task.output_spec == Tokens(3)
  batch = step_of(task, 0, 1)
  assert task.text_of(batch.inputs[0])[:2] == ['only now ?', '']
  assert task.answers[batch.targets[0, 0]] == 'past'


def test_a_vocabulary_brings_words_and_no_stories() -> None:
  task, alone = BAbI(tasks='2', vocabulary='all'), BAbI(tasks='2')
  assert stories_in(task, epoch_of(task, 8)) == stories_in(
    alone, epoch_of(alone, 8)
  )
  assert task.words == BAbI(tasks='all').words != alone.words
  assert task.length == alone.length
  assert task.baselines == alone.baselines


@pytest.mark.slow
@real
def test_the_vocabulary_of_all_tasks() -> None:
  task = released('all')
  assert task.input_spec == Sentences(
    147, 12, question_id=task.words.index('?')
  )
  assert task.output_spec == Tokens(58)
  in_answers = {w for a in task.answers for w in re.split(',', a)}
  assert len(in_answers - set(task.words)) == 11
  assert len((in_answers | set(task.words)) - {'', '?'}) == 156
  assert 'apple,football,milk' in task.answers
  assert {'n,n', 's,w'} <= set(task.answers)
  sizes = {
    '1': (20, 6),
    '2': (34, 6),
    '3': (35, 6),
    '17': (17, 2),
    '19': (20, 12),
  }
  for number, (words, classes) in sizes.items():
    alone = released(number, vocabulary='')
    assert len(alone.words) == words + 1
    assert len(alone.answers) == classes


@pytest.mark.slow
@real
def test_joint_training_is_measured_task_by_task() -> None:
  joint = released('all', 'test')
  parts: Counter[tuple] = Counter()
  for number in range(1, 21):
    alone = released(str(number), 'test')
    assert alone.input_spec == joint.input_spec
    assert alone.output_spec == joint.output_spec
    assert alone.words == joint.words
    assert alone.answers == joint.answers
    batch = epoch_of(alone, 64)
    assert batch.loss_weights_BT.sum() == 1000
    parts += stories_in(alone, batch)
  batch = epoch_of(joint, 64)
  assert stories_in(joint, batch) == parts
  assert batch.loss_weights_BT.sum() == 20_000
  wasted = 1 - (batch.inputs[: len(joint._rows.loss_weights_RT)].any(-1)).mean()
  assert wasted < 0.02


def logits_of(task: BAbI, answers: np.ndarray) -> jax.Array:
  return 9 * jax.nn.one_hot(jnp.asarray(answers), task.output_spec.vocab)


def by_support(task: BAbI, batch: Batch, stories: dict) -> np.ndarray:
  """The answers of an oracle that reads the supporting facts of task 1."""
  answers = np.zeros(batch.targets.shape, np.int32)
  for row in range(len(answers)):
    lines = task.text_of(batch.inputs[row])
    begins = 0
    for step in range(len(lines)):
      begins = step if batch.reset_BT[row, step] else begins
      if lines[step].endswith('?'):
        ends = begins + 1
        while ends < len(lines) and not batch.reset_BT[row, ends]:
          ends += 1
        story = stories[tuple(line for line in lines[begins:ends] if line)]
        (fact,) = story[step - begins].support
        place = lines[begins + fact - 1].split()[-1]
        answers[row, step] = task.answers.index(place)
  return answers


@pytest.mark.parametrize(
  'fields',
  [{}, pytest.param({'source': 'archive', 'path': str(REAL)}, marks=real)],
)
def test_the_supporting_fact_solves_task_1(fields: dict) -> None:
  task = BAbI(split='test', **fields)
  opened = open_tasks(task.source, task.path, '1k', (1,))[1]['test']
  stories = {tuple(words_in(line.sentence) for line in s): s for s in opened}
  right = count = 0.0
  for step in range(task.epoch_steps(64)):
    batch = step_of(task, step, 64)
    answers = by_support(task, batch, stories)
    metrics = task.measure(
      logits_of(task, answers), jax.tree.map(jnp.asarray, batch)
    )
    right += float(metrics['accuracy'].sum)
    count += float(metrics['accuracy'].count)
  assert right == count == 1000


@pytest.mark.parametrize('split', SPLITS)
def test_baselines(split: str) -> None:
  task = BAbI(tasks='1,3', split=split)
  trained = BAbI(tasks='1,3')
  batch = epoch_of(trained, 64)
  counts = Counter(batch.targets[batch.loss_weights_BT == 1].tolist())
  often = max(counts, key=counts.__getitem__)
  batch = epoch_of(task, 64)
  logits = logits_of(task, np.full(batch.targets.shape, often))
  measured = task.measure(logits, jax.tree.map(jnp.asarray, batch))
  share = pytest.approx(float(measured['accuracy'].value()))
  assert task.baselines == {'accuracy': {'chance': 1 / 6, 'majority': share}}


def test_items_find_the_first_room_and_never_overlap() -> None:
  rng = random.Random(0)
  for room in (1, 7, 50):
    sizes = [rng.randint(1, room) for _ in range(200)]
    rows, starts = first_fit(sizes, room)
    taken = np.zeros((max(rows) + 1, room), int)
    for size, row, start in zip(sizes, rows, starts, strict=True):
      assert start + size <= room
      taken[row, start : start + size] += 1
    assert taken.max() == 1
    used = taken.sum(1)
    for row in range(1, len(used)):
      first = min(s for s, r in zip(sizes, rows, strict=True) if r == row)
      assert first > room - used[row - 1] or used[row - 1] == room


def test_rows_hold_stories_from_all_over_the_list() -> None:
  rows, _ = first_fit([1] * 200, 10)
  of_first_half = np.bincount(rows[:100], minlength=20)
  assert ((of_first_half > 0) & (of_first_half < 10)).all()


def test_an_order_is_of_all_numbers_and_of_its_seed() -> None:
  seeds = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
  orders = {tuple(shuffled(9, *seed)) for seed in seeds}
  assert len(orders) == 4
  assert all(sorted(order) == list(range(9)) for order in orders)
  assert shuffled(5, 0, 1, 2).tolist() == [3, 4, 1, 2, 0]


def test_a_task_is_its_fields() -> None:
  task = BAbI(tasks='2')
  assert task == BAbI(tasks='2')
  assert pickle.loads(pickle.dumps(task)) == task
  prints = {
    t.fingerprint()
    for t in (
      task,
      BAbI(tasks='2', split='test'),
      BAbI(tasks='1'),
      BAbI(tasks='2', vocabulary='2,3'),
    )
  }
  assert len(prints) == 3


def test_a_task_is_its_stories_of_every_split(tmp_path: Path) -> None:
  task = small(tmp_path)
  before = task.fingerprint()
  test = tmp_path / 'qa7_x_test.txt'
  test.write_text(2 * test.read_text())
  open_tasks.cache_clear()
  assert task.fingerprint() != before


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'split': 'valid'}, ['task.split', 'did you mean validation?']),
    ({'source': 'archiv'}, ['task.source', 'did you mean archive?']),
    ({'size': '2k'}, ['task.size', '10k, 1k']),
    ({'tasks': '0'}, ['task.tasks', "'0'", "source='generated' has 1 to 3"]),
    ({'tasks': '1,4'}, ['task.tasks', "source='generated' has 1 to 3"]),
    ({'tasks': ''}, ['task.tasks', 'must be numbers like 1,2 or all']),
    ({'tasks': '1;2'}, ['task.tasks', 'must be numbers like 1,2 or all']),
    ({'vocabulary': '5'}, ['task.vocabulary', "source='generated' has 1 to 3"]),
    (
      {'tasks': '1,3', 'vocabulary': '1,2'},
      ['task.vocabulary', "must include task 3 of tasks='1,3'"],
    ),
    ({'path': '/x'}, ['task.path', "source='archive' only"]),
    ({'source': 'archive', 'path': '/no/x'}, ['task.path', 'does not exist']),
    (
      {'row_length': 14},
      ['task.row_length', '400 stories are longer, up to 15 lines: 400 quest'],
    ),
    ({'row_length': 3}, ['task.row_length', '1600 questions would be lost']),
    ({'row_length': -1}, ['task.row_length', 'must not be negative']),
  ],
)
def test_a_bad_field_is_one_line(fields: dict, words: list) -> None:
  with pytest.raises(ConfigError) as error:
    prepare_task({'name': 'babi.BAbI'} | fields)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_as_many_lines_as_the_longest_story_are_enough() -> None:
  assert BAbI(row_length=15).length == BAbI().length == 15
