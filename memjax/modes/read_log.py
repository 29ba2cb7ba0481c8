"""What an evaluation read from a store: how old it was, and what it gained.

    gain = ln p'(label) - ln p(label)   nats, of the mixture over the model

A label counts at the age of its nearest record: 1 for the newest one, else the
number of records written since, itself included. Nothing that the store holds
is kept, only numbers of records: a reader with a grant can read them there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

BASE = 4  # bands of ages: 1 to 3, 4 to 15, ...
EXAMPLES, CONTEXT = 5, 24  # labels that are shown, tokens before each


class Label(NamedTuple):
  """A label that read a record.

  Attributes:
    before: the tokens up to it.
    token: the label.
    seq: the number of its nearest record.
  """

  before: tuple[int, ...]
  token: int
  seq: int


class Example(NamedTuple):
  """A label that gained or lost much.

  Attributes:
    gain: nats.
    share: a, of the records.
    age: of the nearest record, in records.
    at: when that was written, seconds since 1970.
    label: where it stands.
  """

  gain: float
  share: float
  age: int
  at: float
  label: Label


class ReadLog:
  """Sums by band of age, and the labels with the most and the least gain."""

  def __init__(self) -> None:
    self.clear()

  def clear(self) -> None:
    """Forgets what was measured."""
    self._bands: dict[int, np.ndarray] = {}
    self._times: dict[int, tuple[float, float]] = {}
    self.examples: list[Example] = []

  def add(
    self,
    age_L: np.ndarray,
    at_L: np.ndarray,
    share_L: np.ndarray,
    gain_L: np.ndarray,
    label: Callable[[int], Label],
  ) -> None:
    """Adds L labels; `label(i)` is the i-th, asked for examples only."""
    band_L = np.searchsorted(BASE ** np.arange(1, 31), age_L, side='right')
    for band in np.unique(band_L).tolist():
      of = band_L == band
      sums = [of.sum(), share_L[of].sum(), gain_L[of].sum()]
      sums.append((gain_L[of] > 0).sum())
      self._bands[band] = self._bands.get(band, np.zeros(4)) + sums
      first, last = self._times.get(band, (np.inf, -np.inf))
      ends = float(at_L[of].min()), float(at_L[of].max())
      self._times[band] = min(first, ends[0]), max(last, ends[1])
    order = np.argsort(gain_L, kind='stable')
    for i in {*order[:EXAMPLES].tolist(), *order[-EXAMPLES:].tolist()}:
      place = float(gain_L[i]), float(share_L[i]), int(age_L[i]), float(at_L[i])
      self.examples.append(Example(*place, label(i)))
    self.examples.sort(key=lambda example: -example.gain)
    if len(self.examples) > 2 * EXAMPLES:
      best, worst = self.examples[:EXAMPLES], self.examples[-EXAMPLES:]
      self.examples = [*best, *worst]

  def bands(self) -> list[dict[str, Any]]:
    """A row for each band: its ages, labels, mean share and gain, and times."""
    return [
      {
        'youngest': BASE**band,
        'oldest': BASE ** (band + 1) - 1,
        'labels': int(labels),
        'share': float(share / labels),
        'gain': float(gain / labels),
        'helped': float(helped / labels),
        'first_written': self._times[band][0],
        'last_written': self._times[band][1],
      }
      for band, (labels, share, gain, helped) in sorted(self._bands.items())
    ]

  def shown(self, decode: Callable[[tuple[int, ...]], str]) -> list[dict]:
    """The examples, with their text."""
    return [
      {
        'before': decode(example.label.before[-CONTEXT:]),
        'label': decode((example.label.token,)),
        'gain': example.gain,
        'share': example.share,
        'age': example.age,
        'record': example.label.seq,
        'written': example.at,
      }
      for example in self.examples
    ]
