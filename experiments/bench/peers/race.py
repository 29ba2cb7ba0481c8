"""What a race is: the same training step, once by memjax and once by others."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE, WEIGHT_DECAY, CLIP = 1e-3, 0.01, 1.0


class Competitor(NamedTuple):
  """One side of a race, ready to run.

  Attributes:
    step: trains on the batch once more and returns the loss before it.
    parameters: how many numbers it trains.
    version: of its library.
    weights: what it starts with: memjax's tree of parameters, or a module,
      whose parameters may be set before the first step.
  """

  step: Callable[[], float]
  parameters: int
  version: str
  weights: Any


@dataclasses.dataclass(frozen=True)
class Race:
  """One row of the table.

  Attributes:
    what: the row's words.
    ours: builds memjax's side.
    theirs: {name: builds another side}; the fastest counts.
  """

  what: str
  ours: Callable[[], Competitor]
  theirs: Mapping[str, Callable[[], Competitor]]


class Tokens(NamedTuple):
  """One batch, the same for both sides.

  Attributes:
    inputs_BT: int32.
    targets_BT: int32.
    label_BL: the positions that have labels, in order of time.
  """

  inputs_BT: np.ndarray
  targets_BT: np.ndarray
  label_BL: np.ndarray


def draw_tokens(rows: int, length: int, vocab: int, labels: int = 0) -> Tokens:
  """Uniform tokens; `labels` positions of a row are predicted, 0: all."""
  rng = np.random.default_rng(0)
  text = rng.integers(0, vocab, (rows, length + 1), np.int32)
  places = rng.permuted(np.tile(np.arange(length), (rows, 1)), axis=1)
  label_BL = np.sort(places[:, : labels or length], axis=1)
  return Tokens(text[:, :-1], text[:, 1:], label_BL)
