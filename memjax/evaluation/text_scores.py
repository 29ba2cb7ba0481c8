"""Overlap of texts with references, as counts: BLEU and ROUGE-L.

BLEU: Papineni et al. 2002, https://aclanthology.org/P02-1040, over all texts
together, with one reference each, n-grams up to 4, and words as in the
tokeniser `13a` that sacreBLEU uses (Post 2018,
https://aclanthology.org/W18-6319). An order without a match counts as half a
match, then a quarter, and so on ('exp' smoothing there).
ROUGE-L: Lin 2004, https://aclanthology.org/W04-1013: of each text, the harmonic
mean of precision and recall of the longest common subsequence of lower-case
words of letters and digits, without stemming.
"""

from collections import Counter
import math
import re
from typing import NamedTuple

ORDERS = 4  # longest n-gram
ENTITIES = {'&quot;': '"', '&amp;': '&', '&lt;': '<', '&gt;': '>'}
SIGNS = re.compile(r'([\{-\~\[-\` -\&\(-\+\:-\@\/])')
WORDS = re.compile(r'[a-z0-9]+')


class Overlap(NamedTuple):
  """Counts that add up over texts.

  Attributes:
    matches: n-grams of the text that the reference has, by order 1 to 4.
    ngrams: n-grams of the text, by order.
    words: number of words of the text.
    reference_words: number of words of the reference.
  """

  matches: tuple[int, ...]
  ngrams: tuple[int, ...]
  words: int
  reference_words: int


def split_words(text: str) -> list[str]:
  """The words and signs of a text, as sacreBLEU's `13a`."""
  text = text.replace('<skipped>', '').replace('-\n', '').replace('\n', ' ')
  for entity, sign in ENTITIES.items():
    text = text.replace(entity, sign)
  text = SIGNS.sub(r' \1 ', f' {text} ')
  text = re.sub(r'([^0-9])([\.,])', r'\1 \2 ', text)
  text = re.sub(r'([\.,])([^0-9])', r' \1 \2', text)
  text = re.sub(r'([0-9])(-)', r'\1 \2 ', text)
  return text.split()


def overlap(text: str, reference: str) -> Overlap:
  """The counts of one text."""
  words, others = split_words(text.rstrip()), split_words(reference.rstrip())
  matches, ngrams = [], []
  for order in range(1, ORDERS + 1):
    found, there = _ngrams(words, order), _ngrams(others, order)
    matches.append((found & there).total())
    ngrams.append(found.total())
  return Overlap(tuple(matches), tuple(ngrams), len(words), len(others))


def _ngrams(words: list[str], order: int) -> Counter:
  return Counter(zip(*(words[i:] for i in range(order)), strict=False))


def bleu(counts: list[Overlap]) -> float:
  """BLEU of texts by their counts, from 0 to 100.

  0 if they share no word with their references, or are all shorter than 4.
  """
  matches = [sum(c) for c in zip(*(o.matches for o in counts), strict=True)]
  ngrams = [sum(c) for c in zip(*(o.ngrams for o in counts), strict=True)]
  words = sum(o.words for o in counts)
  reference_words = sum(o.reference_words for o in counts)
  if not matches or not matches[0] or not all(ngrams):
    return 0.0
  logs, half = [], 1.0
  for match, count in zip(matches, ngrams, strict=True):
    if match == 0:
      half /= 2
    logs.append(math.log((match or half) / count))
  brevity = min(0.0, 1 - reference_words / words)
  return 100 * math.exp(brevity + sum(logs) / len(logs))


def rouge_l(text: str, reference: str) -> float:
  """ROUGE-L of one text, from 0 to 1."""
  words = WORDS.findall(text.lower())
  others = WORDS.findall(reference.lower())
  common = longest_common(words, others)
  if not common:
    return 0.0
  precision, recall = common / len(words), common / len(others)
  return 2 * precision * recall / (precision + recall)


def longest_common(one: list[str], other: list[str]) -> int:
  """The length of the longest common subsequence."""
  row = [0] * (len(other) + 1)
  for word in one:
    before = row
    row = [0]
    for i, same in enumerate(other):
      longer = before[i] + 1 if word == same else max(before[i + 1], row[i])
      row.append(longer)
  return row[-1]
