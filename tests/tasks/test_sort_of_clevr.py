"""Sort-of-CLEVR: an oracle that measures the picture answers every question."""

import numpy as np

from memjax.tasks.vision import sort_of_clevr as pictures
from memjax.tasks.vision.sort_of_clevr import SortOfCLEVR
from tests.tasks.drawn import (
  assert_uniform,
  draw,
  score,
)

TASK, ROWS = SortOfCLEVR(), 400
GOLDEN = [2, 1, 2, 3, 5, 7, 2, 0, 0, 0, 7, 0]


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
  given = [answer(*objects(picture_of(row)), row[-1, 677:]) for row in x]
  logits = np.zeros((ROWS, 26, 10))
  logits[:, -1] = 40 * np.eye(10)[given]
  scores = score(TASK, logits, batch)
  # Centres are measured to half a pixel, and squares may hide one another.
  assert scores['non_relational'] > 0.95
  assert scores['relational'] > 0.93
  right = [scores['relational'], scores['non_relational']]
  share = x[:, -1, 677 + 7].mean()
  assert abs(np.dot(right, [share, 1 - share]) - scores['accuracy']) < 1e-5
  assert batch.loss_weights_BT.sum() == ROWS
  assert (batch.loss_weights_BT[:, -1] == 1).all()


def test_answers_are_as_frequent_as_the_baselines_say() -> None:
  batch = draw(TASK, ROWS)
  logits = np.zeros((ROWS, 26, 10))
  question = np.asarray(batch.inputs)[:, -1, 677:]
  kind, subject = question[:, 7] > 0, question[:, 8:].argmax(axis=1)
  most = np.where(
    kind & (subject == 2), 6, np.where(~kind & (subject > 0), 0, 2)
  )
  logits[:, -1] = 40 * np.eye(10)[most]
  scores = score(TASK, logits, batch)
  for name in ('accuracy', 'non_relational', 'relational'):
    assert abs(scores[name] - TASK.baselines[name]['by question']) < 0.06
  assert_uniform(question[:, :6].argmax(axis=1), 0, 5)
  assert_uniform(subject, 0, 2)


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
  assert np.asarray(batch.targets)[:12, -1].tolist() == GOLDEN
