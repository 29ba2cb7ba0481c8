"""Sort-of-CLEVR: an oracle that measures the picture answers every question."""

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.tasks.vision import sort_of_clevr as pictures
from memjax.tasks.vision.sort_of_clevr import SortOfCLEVR
from tests.tasks.drawn import (
  assert_uniform,
  draw,
  score,
)

QUESTIONS = 4
TASK, ROWS = SortOfCLEVR(questions=QUESTIONS), 400
GOLDEN = [0, 7, 2, 3, 2, 0, 2, 7, 0, 7, 1, 0]


def picture_of(x_TF: np.ndarray) -> np.ndarray:
  """The picture that 25 patches make, `(75, 75, 3)`."""
  patches = x_TF[:25, :675].reshape(5, 5, 15, 15, 3)
  return np.concatenate(np.concatenate(patches, axis=1), axis=1)


def objects(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Centres and whether each is a circle, from the pixels of each colour."""
  centres, circles = [], []
  for colour in pictures.COLOURS:
    y, x = np.nonzero((np.abs(picture - colour) < 1e-3).all(axis=2))
    low, high = (np.array([f(x), f(y)]) for f in (np.min, np.max))
    centres.append((low + high + 1) / 2)
    corners = (
      (np.abs(x + 0.5 - centres[-1][0]) > 4)
      & (np.abs(y + 0.5 - centres[-1][1]) > 4)
    ).sum()
    circles.append(corners == 0)
  return np.stack(centres), np.array(circles)


def answer(
  centre_O2: np.ndarray, circle_O: np.ndarray, question: np.ndarray
) -> int:
  colour, kind, subject = (
    int(np.argmax(bits)) for bits in np.split(question, [6, 8])
  )
  if kind == 0:
    if subject == 0:
      return 3 if circle_O[colour] else 2
    return 0 if centre_O2[colour][subject - 1] < 37.5 else 1
  if subject == 2:
    return 3 + int((circle_O == circle_O[colour]).sum())
  distance_O = np.linalg.norm(centre_O2 - centre_O2[colour], axis=1)
  order = np.argsort(distance_O)
  return 3 if circle_O[order[1 if subject == 0 else -1]] else 2


def test_the_oracle_measures_the_picture() -> None:
  batch = draw(TASK, ROWS)
  x = np.asarray(batch.inputs)
  given = [
    [answer(*found, question) for question in row[25:, 677:]]
    for row in x
    for found in [objects(picture_of(row))]
  ]
  logits = np.zeros((ROWS, 25 + QUESTIONS, 10))
  logits[:, 25:] = 40 * np.eye(10)[np.array(given)]
  scores = score(TASK, logits, batch)
  # Centres are measured to half a pixel, and squares may hide one another.
  assert scores['non_relational'] > 0.95
  assert scores['relational'] > 0.93
  right = [scores['relational'], scores['non_relational']]
  share = x[:, 25:, 677 + 7].mean()
  assert abs(np.dot(right, [share, 1 - share]) - scores['accuracy']) < 1e-5


def test_patches_come_first_then_questions_with_a_label_each() -> None:
  batch = draw(TASK, ROWS)
  x, weights = np.asarray(batch.inputs), np.asarray(batch.loss_weights_BT)
  assert (weights[:, :25] == 0).all()
  assert (weights[:, 25:] == 1).all()
  assert (x[:, :25, 677:] == 0).all()
  assert (x[:, 25:, :677] == 0).all()
  for part in np.split(x[:, 25:, 677:], [6, 8], axis=2):
    assert (part.sum(axis=2) == 1).all()


def test_pooled_patches_are_the_means_of_their_pixels() -> None:
  whole, pooled = (
    np.asarray(draw(SortOfCLEVR(questions=1, pool=p), 2).inputs) for p in (1, 5)
  )
  picture = picture_of(whole[1])
  for number, y, x in ((0, 0, 0), (13, 2, 3)):
    patch = picture[15 * y : 15 * y + 15, 15 * x : 15 * x + 15]
    means = [
      [patch[5 * i : 5 * i + 5, 5 * j : 5 * j + 5].mean(axis=(0, 1))]
      for i in range(3)
      for j in range(3)
    ]
    np.testing.assert_allclose(
      pooled[1, number, :27], np.ravel(means), atol=1e-6
    )
  np.testing.assert_array_equal(pooled[:, :, 27:], whole[:, :, 675:])


def test_answers_are_as_frequent_as_the_baselines_say() -> None:
  batch = draw(TASK, ROWS)
  logits = np.zeros((ROWS, 25 + QUESTIONS, 10))
  question = np.asarray(batch.inputs)[:, 25:, 677:]
  kind, subject = question[..., 7] > 0, question[..., 8:].argmax(axis=2)
  most = np.where(
    kind & (subject == 2), 6, np.where(~kind & (subject > 0), 0, 2)
  )
  logits[:, 25:] = 40 * np.eye(10)[most]
  scores = score(TASK, logits, batch)
  for name in ('accuracy', 'non_relational', 'relational'):
    assert abs(scores[name] - TASK.baselines[name]['by question']) < 0.04
  assert_uniform(question[..., :6].argmax(axis=2).ravel(), 0, 5)
  assert_uniform(subject.ravel(), 0, 2)


def test_objects_lie_inside_and_apart() -> None:
  batch = draw(TASK, ROWS)
  for row in np.asarray(batch.inputs)[:50]:
    picture = picture_of(row)
    centres, _ = objects(picture)
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    assert (apart + 100 * np.eye(6)).min() > 9
    assert centres.min() >= 5
    assert centres.max() <= 70
  place = np.asarray(batch.inputs)[0, :25, 675:677]
  assert place[:6].tolist() == [
    *([-1 + i / 2, -1] for i in range(5)),
    [-1, -0.5],
  ]


def test_the_data_is_what_it_was() -> None:
  batch = draw(TASK, ROWS, seed=17)
  assert np.asarray(batch.targets)[:3, 25:].ravel().tolist() == GOLDEN


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'questions': 0}, 'questions: 0: must be at least 1'),
    ({'pool': 4}, 'pool: 4: must divide 15'),
  ],
)
def test_a_bad_field_is_refused(fields: dict, words: str) -> None:
  with pytest.raises(ConfigError) as refused:
    SortOfCLEVR(**fields)
  assert words in str(refused.value)
