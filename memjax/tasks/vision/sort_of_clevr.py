"""Sort-of-CLEVR: a picture of six coloured shapes, then questions about them.

Paper: Santoro et al. 2017, https://arxiv.org/abs/1706.01427.
Specification: 75 x 75 pixels, six objects, one of each colour of COLOURS. Each
is a square or a circle with equal probability, 11 pixels wide, its centre
uniform over the places that keep it inside and at least 10 pixels from the
centres of the others. The memory reads 25 patches of 15 x 15 pixels, row by
row, each as 675 numbers in [0, 1], black being 0, and its column and row, from
-1 to 1. With `pool` P, a patch is the means of its squares of P x P pixels. It
then reads Q questions, a step each: one of six, uniform, about an object
of uniform colour. Three ask for the object alone: is it a square or a circle,
is it in the left half, is it in the upper half? Three are relational: is the
nearest other object a square or a circle, is the farthest, and how many objects
have its shape, itself counted? A question is 11 bits: its colour, whether it is
relational, which of three it is. A step is a patch or a question, 688 numbers
without pooling.
Labels: at each question the answer: yes, no, square, circle, 1 ... 6. Answers
are not read, so no question helps with another one.
Metrics: `loss`, nats per label; `accuracy`; `non_relational` and `relational`,
the accuracy of each kind of question.
Baselines: the most frequent answer to the question. Santoro et al. report for
relational questions 63 % of a convolutional network with an MLP, and more than
94 % with a relation network.
Deviations: the 20 questions of a picture are drawn, where the paper has ten of
each kind, and every step draws new pictures, where the paper has 10,000. The
background is black, not white, and centres are real numbers, so that no two
distances are equal.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from memjax.errors import require
from memjax.tasks.base import GeneratedTask, classification, positive
from memjax.types import (
  Batch,
  Example,
  Features,
  Metric,
  Metrics,
  RowKey,
  Tokens,
)

SIDE, PATCH, RADIUS, TRIES = 75, 15, 5, 64
ACROSS = SIDE // PATCH
PATCHES = ACROSS**2
PLACES = 2  # numbers of a patch's column and row
COLOURS = (
  (1.0, 0.0, 0.0),  # red
  (0.0, 1.0, 0.0),  # green
  (0.0, 0.0, 1.0),  # blue
  (1.0, 0.6, 0.0),  # orange
  (0.5, 0.5, 0.5),  # grey
  (1.0, 1.0, 0.0),  # yellow
)
OBJECTS, KINDS, SUBJECTS = len(COLOURS), 2, 3
YES, NO, SQUARE, CIRCLE, ONE = range(5)
ANSWERS = ONE + OBJECTS
QUESTION = OBJECTS + KINDS + SUBJECTS
RELATIONAL = KINDS + SUBJECTS - 1  # from the end: the bit of relational ones


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortOfCLEVR(GeneratedTask):
  """Questions about pictures of six shapes.

  Attributes:
    questions: Q, of a picture.
    pool: P, the side of the squares of pixels that are averaged; divides 15.
  """

  questions: int = 20
  pool: int = 1

  def __post_init__(self) -> None:
    positive(self, 'questions', 'pool')
    require(PATCH % self.pool == 0, 'pool', self.pool, f'must divide {PATCH}')

  @property
  def length(self) -> int:
    return PATCHES + self.questions

  @property
  def input_spec(self) -> Features:
    return Features((PATCH // self.pool) ** 2 * 3 + PLACES + QUESTION)

  @property
  def output_spec(self) -> Tokens:
    return Tokens(ANSWERS)

  @property
  def labels(self) -> int:
    return self.questions

  @property
  def labels_are_inputs(self) -> bool:
    return False

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    """Halves and shapes are even; of 5 others, 2 or 3 have the same shape."""
    count = math.comb(5, 2) / 2**5
    relational = (0.5 + 0.5 + count) / 3
    by_question = {
      'accuracy': (0.5 + relational) / 2,
      'non_relational': 0.5,
      'relational': relational,
    }
    chance = {'loss': {'chance': math.log(ANSWERS)}}
    return chance | {k: {'by question': v} for k, v in by_question.items()}

  def example(self, key: RowKey) -> Example:
    of_places, of_shapes, of_question = jax.random.split(key, 3)
    centre_O2 = scatter(of_places)
    circle_O = jax.random.bernoulli(of_shapes, 0.5, (OBJECTS,))
    picture = paint(centre_O2, circle_O)
    colour_Q, kind_Q, subject_Q = jax.random.randint(
      of_question,
      (3, self.questions),
      0,
      jnp.array([[OBJECTS], [KINDS], [SUBJECTS]]),
    )
    answer_O = jax.vmap(answers, (None, None, 0))(
      centre_O2, circle_O, jnp.arange(OBJECTS)
    )
    question_Q = jnp.concatenate(
      [
        jax.nn.one_hot(colour_Q, OBJECTS),
        jax.nn.one_hot(kind_Q, KINDS),
        jax.nn.one_hot(subject_Q, SUBJECTS),
      ],
      axis=1,
    )
    seen_P = cut(picture, self.pool)
    patches = jnp.concatenate([seen_P, jnp.asarray(places())], axis=1)
    none_P = jnp.zeros(PATCHES, jnp.int32)
    return Example(
      jnp.concatenate(
        [
          jnp.pad(patches, ((0, 0), (0, QUESTION))),
          jnp.pad(question_Q, ((0, 0), (patches.shape[1], 0))),
        ]
      ),
      jnp.concatenate([none_P, answer_O[colour_Q, kind_Q, subject_Q]]),
      (jnp.arange(self.length) >= PATCHES).astype(jnp.float32),
    )

  def measure(self, y: jax.Array, batch: Batch) -> Metrics:
    bit_BT = batch.inputs[..., -RELATIONAL]
    kinds = {'non_relational': bit_BT == 0, 'relational': bit_BT > 0}
    metrics: Metrics = classification(y, batch)
    for name, of_kind_BT in kinds.items():
      weights_BT = jnp.where(of_kind_BT, batch.loss_weights_BT, 0.0)
      part = batch._replace(loss_weights_BT=weights_BT)
      right = classification(y, part)['accuracy']
      metrics[name] = Metric(right.sum, right.count)
    return metrics


def scatter(key: RowKey) -> jax.Array:
  """`(O, 2)` centres, x and y; each is the first of its tries that fits."""
  shape = OBJECTS, TRIES, 2
  low, high = float(RADIUS), float(SIDE - RADIUS)
  try_ON2 = jax.random.uniform(key, shape, minval=low, maxval=high)

  def place(
    centre_O2: jax.Array, this: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    number, try_N2 = this
    apart_NO2 = try_N2[:, None] - centre_O2[None]
    far_NO = (apart_NO2**2).sum(axis=2) >= (2 * RADIUS) ** 2
    placed_O = jnp.arange(OBJECTS) < number
    fits_N = (far_NO | ~placed_O[None]).all(axis=1)
    return centre_O2.at[number].set(try_N2[jnp.argmax(fits_N)]), None

  start = jnp.zeros((OBJECTS, 2))
  return jax.lax.scan(place, start, (jnp.arange(OBJECTS), try_ON2))[0]


def paint(centre_O2: jax.Array, circle_O: jax.Array) -> jax.Array:
  """The picture, `(SIDE, SIDE, 3)`; a pixel is whole in or out of a shape."""
  middle_P = jnp.arange(SIDE, dtype=jnp.float32) + 0.5
  x_OP, y_OP = (jnp.abs(middle_P[None] - c[:, None]) for c in centre_O2.T)
  reach = RADIUS + 0.5
  square = (x_OP[:, None] <= reach) & (y_OP[:, :, None] <= reach)
  disc = x_OP[:, None] ** 2 + y_OP[:, :, None] ** 2 <= reach**2
  inside = jnp.where(circle_O[:, None, None], disc, square)
  # Squares may touch: where two lie, the later colour is seen.
  order = jnp.arange(1, OBJECTS + 1)[:, None, None]
  number = jnp.where(inside, order, 0).max(axis=0)
  table = jnp.asarray(((0.0, 0.0, 0.0), *COLOURS))
  return table[number]


def answers(
  centre_O2: jax.Array, circle_O: jax.Array, colour: jax.Array
) -> jax.Array:
  """`(KINDS, SUBJECTS)`, the answers to all questions about one object."""
  centre, circle = centre_O2[colour], circle_O[colour]
  left, upper = centre[0] < SIDE / 2, centre[1] < SIDE / 2
  squared_O = ((centre_O2 - centre[None]) ** 2).sum(axis=1)
  itself_O = jnp.arange(OBJECTS) == colour
  nearest = jnp.argmin(jnp.where(itself_O, jnp.inf, squared_O))
  farthest = jnp.argmax(squared_O)
  same = (circle_O == circle).sum(dtype=jnp.int32)

  def shape(is_circle: jax.Array) -> jax.Array:
    return jnp.where(is_circle, CIRCLE, SQUARE)

  def yes(is_true: jax.Array) -> jax.Array:
    return jnp.where(is_true, YES, NO)

  alone = [shape(circle), yes(left), yes(upper)]
  among = [shape(circle_O[nearest]), shape(circle_O[farthest]), ONE + same - 1]
  return jnp.stack([jnp.stack(alone), jnp.stack(among)]).astype(jnp.int32)


def cut(picture: jax.Array, pool: int) -> jax.Array:
  """`(PATCHES, F)`, row by row, the mean of each `pool` x `pool` pixels."""
  few = SIDE // pool
  means = picture.reshape(few, pool, few, pool, 3).mean(axis=(1, 3))
  side = PATCH // pool
  grid = means.reshape(ACROSS, side, ACROSS, side, 3)
  return grid.swapaxes(1, 2).reshape(PATCHES, -1)


def places() -> np.ndarray:
  """`(PATCHES, 2)`, the column and the row of each patch, from -1 to 1."""
  row, column = np.divmod(np.arange(PATCHES), ACROSS)
  both = np.stack([column, row], axis=1).astype(np.float32)
  return 2 * both / (ACROSS - 1) - 1
