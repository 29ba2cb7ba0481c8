"""BM25: how well the words of a query match each document of an index.

Paper: Robertson & Zaragoza 2009, https://doi.org/10.1561/1500000019; the form
of Lucene, https://arxiv.org/abs/2005.14053, table 1. Of N documents, df have
the word w; document d has it f times, and |d| words, on average L:

    score(q, d) = sum over the words of q of
      ln(1 + (N - df + 0.5) / (df + 0.5)) f / (f + k1 (1 - b + b |d| / L))

Words are runs of letters and digits in lower case, so `read_line` is two.
"""

from collections import Counter
from collections.abc import Sequence
import re

import numpy as np

K1, B = 1.5, 0.75
WORD = re.compile(r'[^\W_]+')


def split_words(text: str) -> list[str]:
  return WORD.findall(text.lower())


class BM25:
  """An index of documents."""

  def __init__(self, documents: Sequence[str]) -> None:
    counts = [Counter(split_words(text)) for text in documents]
    sizes_N = np.array([sum(count.values()) for count in counts], float)
    mean = max(sizes_N.mean(), 1)
    lengths_N = K1 * (1 - B + B * sizes_N / mean)
    found: dict[str, list[int]] = {}
    for number, count in enumerate(counts):
      for word in count:
        found.setdefault(word, []).append(number)
    self._size = len(counts)
    self._words: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for word, numbers in found.items():
      number_J = np.array(numbers)
      times_J = np.array([counts[number][word] for number in numbers], float)
      rare = np.log1p((self._size - len(numbers) + 0.5) / (len(numbers) + 0.5))
      share_J = times_J / (times_J + lengths_N[number_J])
      self._words[word] = number_J, rare * share_J

  def scores(self, query: str) -> np.ndarray:
    """`(N,)` float64, of all documents in their order."""
    score_N = np.zeros(self._size)
    for word in split_words(query):
      if word in self._words:
        number_J, score_J = self._words[word]
        score_N[number_J] += score_J
    return score_N
