"""What readers without a model score in the study, on rows of the same sets.

Tones: the loudest pitch in the spectrum of a tone's mean frame. The others
count, in as many rows as a model trains on. Masked: the most frequent byte, of
all or of those between the same two neighbours. Kinship: the most frequent
answer, of all rows, of those with the same word in the fact that is about the
asked person, and of those that also have the same step in the fact that leads
from the other person.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from memjax.analysis.streams import NUMBER, batch_at
from memjax.config.experiment import Experiment
from memjax.tasks.base import TRAINING, Stream
from memjax.tasks.language.masked import Masked
from memjax.tasks.recall.kinship import WORDS, Kinship
from memjax.tasks.recall.tones import Tones
from memjax.types import Batch

BYTES = 256
Scores = dict[str, dict[str, float]]


class Labels(NamedTuple):
  """P labels, and what each reader knows of them.

  Attributes:
    contexts: {reader: `(P,)` int}, from 0.
    label_P: int.
  """

  contexts: Mapping[str, np.ndarray]
  label_P: np.ndarray


def baselines(
  experiment: Experiment, figures: Mapping[str, tuple[str, ...]]
) -> list[list[str]]:
  """A row for each reader; `figures` is {evaluation set: metrics}."""
  found = {name: scores(experiment, name) for name in figures}
  shown = [(name, m) for name, metrics in figures.items() for m in metrics]
  return [
    [reader, *(f'{found[name][reader][metric]:.3f}' for name, metric in shown)]
    for reader in next(iter(found.values()))
  ]


def scores(experiment: Experiment, name: str) -> Scores:
  """{reader: its figures on an evaluation set}; empty if none is defined."""
  evaluation, train = experiment.evals[name], experiment.train
  task, size = evaluation.task, evaluation.batch_size
  fresh = Stream(0, NUMBER, size)
  asked = [batch_at(task, fresh, i) for i in range(evaluation.number_of_steps)]
  if isinstance(task, Tones):
    return {'spectrum': {'accuracy': by_spectrum(task, asked)}}
  if not isinstance(task, Masked | Kinship):
    return {}
  known = by_facts if isinstance(task, Kinship) else by_neighbours
  rows = Stream(experiment.seed, TRAINING, train.batch_size)
  seen = [batch_at(experiment.task, rows, i) for i in range(train.steps)]
  if isinstance(task, Masked):  # what was not hidden in training is known, too
    seen = [b._replace(loss_weights_BT=np.ones_like(b.targets)) for b in seen]
  classes = task.output_spec.size
  return by_counts(joined(known, seen), joined(known, asked), classes)


def by_spectrum(task: Tones, batches: list[Batch]) -> float:
  """The share of tones whose pitch is the loudest."""
  heard = task.tones * task.frames
  right = []
  for batch in batches:
    sound = np.asarray(batch.inputs)[:, :heard, : task.samples]
    frames = sound.reshape(len(sound), task.tones, task.frames, task.samples)
    power = np.abs(np.fft.rfft(frames.mean(axis=2)))
    pitch = power[..., 1 : task.pitches + 1].argmax(axis=-1)
    right.append(pitch == batch.targets[:, heard:])
  return float(np.mean(right))


def by_neighbours(batch: Batch) -> Labels:
  """The tokens with a weight, and those on either side."""
  token_BT = np.asarray(batch.targets)
  asked_BT = np.asarray(batch.loss_weights_BT) > 0
  beside = np.pad(token_BT, ((0, 0), (1, 1)), constant_values=BYTES)
  between_BT = (BYTES + 1) * beside[:, :-2] + beside[:, 2:]
  contexts = {
    'most frequent': np.zeros_like(token_BT),
    'between two neighbours': between_BT,
  }
  return Labels(
    {name: context_BT[asked_BT] for name, context_BT in contexts.items()},
    token_BT[asked_BT],
  )


def by_facts(batch: Batch) -> Labels:
  """The answers, the word about the asked person, the step from the other."""
  fact_BF3 = np.asarray(batch.inputs).reshape(len(batch.inputs), -1, 3)
  asked_B1, other_B1 = fact_BF3[:, -1, :1], fact_BF3[:, -1, 2:]
  subject_BF, word_BF, object_BF = np.moveaxis(fact_BF3[:, :-1], 2, 0)
  row_B = np.arange(len(fact_BF3))
  last_B = word_BF[row_B, (subject_BF == asked_B1).argmax(axis=1)] - 1
  first_B = word_BF[row_B, (object_BF == other_B1).argmax(axis=1)] - 1
  return Labels(
    {
      'most frequent': np.zeros_like(last_B),
      'one fact': last_B,
      'two facts': WORDS * (first_B // 2) + last_B,
    },
    np.asarray(batch.targets)[:, -1],
  )


def joined(known: Callable[[Batch], Labels], batches: list[Batch]) -> Labels:
  """The labels of all batches."""
  each = [known(batch) for batch in batches]
  return jax.tree.map(lambda *parts: np.concatenate(parts), *each)


def by_counts(seen: Labels, asked: Labels, classes: int) -> Scores:
  """Figures of the most frequent label of each context.

  A label's probability is its count in the context, and one count more that is
  shared as labels are in all contexts, each counted once more than seen.
  """
  all_C = np.bincount(seen.label_P, minlength=classes) + 1.0
  all_C /= all_C.sum()
  found = {}
  for reader, context_P in seen.contexts.items():
    asked_Q = asked.contexts[reader]
    number = 1 + max(context_P.max(), asked_Q.max())
    flat_P = context_P.astype(np.int64) * classes + seen.label_P
    count = np.bincount(flat_P, minlength=number * classes)
    share_QC = count.reshape(number, classes)[asked_Q] + all_C
    share_QC /= share_QC.sum(axis=1, keepdims=True)
    right_Q = share_QC.argmax(axis=1) == asked.label_P
    row_Q = np.arange(len(asked_Q))
    found[reader] = {
      'accuracy': float(right_Q.mean()),
      'loss': float(-np.log(share_QC[row_Q, asked.label_P]).mean()),
    }
  return found
