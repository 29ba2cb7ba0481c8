"""Phonebook: names with numbers, and the number of one name to recall.

Paper: Jelassi et al. 2024, Repeat After Me, https://arxiv.org/abs/2402.01032;
also De et al. 2024, Griffin, https://arxiv.org/abs/2402.19427.
Specification: n entries, n uniform in fewest..entries. An entry is a name of
`name_letters` letters, the token colon, a number of `digits` uniform digits,
and the token end; no two names of a row are equal. Then one of the names,
uniform, the colon, and its number without the last digit. Tokens: letters
0..25, digits 26..35, colon 36, end 37, which also pads the row.
Labels: the digits of that number, from the colon on. The distance is the number
of steps back to the same digit of the entry.
Metrics: `loss`, nats per digit; `accuracy` over digits; `exact_match`, the
share of rows with every digit right. Chance is 1/10 per digit. Answering with
the number of a random entry scores 1/n.
Deviations: the papers write the book in words, ask pretrained models, and show
two answered questions first.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from memjax.errors import require
from memjax.tasks.base import TokenTask, ordered, positive
from memjax.tasks.draws import between, distinct
from memjax.types import Example, RowKey

LETTERS, TEN = 26, 10
COLON, END = LETTERS + TEN, LETTERS + TEN + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phonebook(TokenTask):
  """Entries of a name and a number, and one question.

  Attributes:
    entries: the most entries of a row.
    fewest: the fewest entries of a row.
    name_letters: letters of a name, 1 to 5.
    digits: digits of a number.
  """

  entries: int = 16
  fewest: int = 1
  name_letters: int = 3
  digits: int = 4
  score_axis = 'label_distance'

  def __post_init__(self) -> None:
    positive(self, 'digits')
    ordered(self, 'fewest', 'entries')
    require(
      1 <= self.name_letters <= 5,
      'name_letters',
      self.name_letters,
      'must be in 1..5',
    )
    names = LETTERS**self.name_letters
    rule = f'must be at most {names}, the number of names'
    require(self.entries <= names, 'entries', self.entries, rule)

  @property
  def vocab(self) -> int:
    return END + 1

  @property
  def length(self) -> int:
    return (self.entries + 1) * self._entry - 2

  @property
  def _entry(self) -> int:
    return self.name_letters + self.digits + 2

  @property
  def labels(self) -> int:
    return self.digits

  @property
  def baselines(self) -> dict[str, dict[str, float]]:
    sizes = range(self.fewest, self.entries + 1)
    right = sum(1 / n for n in sizes) / len(sizes)
    return {
      'loss': {'chance': math.log(TEN)},
      'accuracy': {
        'chance': 1 / TEN,
        'any entry': right + (1 - right) / TEN,
      },
      'exact_match': {
        'chance': TEN**-self.digits,
        'any entry': right + (1 - right) * TEN**-self.digits,
      },
    }

  def example(self, key: RowKey) -> Example:
    of_count, of_names, of_digits, of_query = jax.random.split(key, 4)
    count = between(of_count, self.fewest, self.entries)
    names_E = distinct(of_names, self.entries, LETTERS**self.name_letters)
    powers_L = LETTERS ** jnp.arange(self.name_letters)[::-1]
    letters_EL = names_E[:, None] // powers_L[None] % LETTERS
    shape = self.entries, self.digits
    digits_ED = LETTERS + jax.random.randint(of_digits, shape, 0, TEN)
    query = jax.random.randint(of_query, (), 0, count)
    marks_E1 = jnp.zeros((self.entries, 1), jnp.int32)
    book_EI = jnp.concatenate(
      [letters_EL, marks_E1 + COLON, digits_ED, marks_E1 + END], axis=1
    )
    step_T, end = jnp.arange(self.length), count * self._entry
    question_T = book_EI[query].take(step_T - end, mode='clip')
    inputs_T = jnp.where(
      step_T < end, book_EI.ravel().take(step_T, mode='clip'), question_T
    )
    place_T = step_T - end - self.name_letters  # of the digit that is the label
    labelled_T = (place_T >= 0) & (place_T < self.digits)
    answer_T = digits_ED[query].take(place_T, mode='clip')
    beyond_T = place_T >= self.digits
    distance = (
      end + self.name_letters - (query * self._entry + self.name_letters + 1)
    )
    return Example(
      jnp.where(beyond_T, END, inputs_T),
      jnp.where(labelled_T, answer_T, 0),
      labelled_T.astype(jnp.float32),
      jnp.where(labelled_T, distance, 0),
    )
