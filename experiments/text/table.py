"""What the memories of one corpus reached, as a table and as curves.

    python -m experiments.text.table [--folder=runs/text/tinyshakespeare]

`experiments.text.run` ends with it. Bits are those of the whole validation
split, for each way of reading it; curves.png has them against the time. RECL is
that of the models as one group, for the hardest tenth, the harder half and all
of some labels of the validation split, given 1, 2, 4 and so on characters.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from memjax.analysis.context import LossByContext, contexts, loss_by_context
from memjax.analysis.figures import learning_curve
from memjax.analysis.recl import relative_effective_context_length
from memjax.loading import load
from memjax.training import history

TIMING = 'timing.json'
BATCHES, LABELS = 12, 64  # of RECL; from each batch so many labels
Timing = dict[str, dict[str, Any]]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  folder = Path('runs/text/tinyshakespeare')
  parser.add_argument('--folder', type=Path, default=folder)
  print(write(parser.parse_args().folder))


def write(folder: Path) -> str:
  """Writes table.md and curves.png into the folder; returns the table."""
  timing = json.loads((folder / TIMING).read_text())
  first = load(folder / next(iter(timing))).experiment
  references = first.evals['validation'].baselines
  along = 'seconds of the processor'
  rows = list(curves(timing, folder))
  learning_curve(rows, references, folder / 'curves.png', along=along)
  page = '\n'.join(table(timing, folder, reach(timing, folder), references))
  (folder / 'table.md').write_text(f'{page}\n')
  return page


def reach(timing: Timing, folder: Path) -> dict[str, list[int]]:
  """RECL of every model, in a group of all."""
  found = {model: lost(folder / model) for model in timing}
  lengths = relative_effective_context_length(found).lengths
  return {model: of[0].tolist() for model, of in lengths.items()}


def lost(workdir: Path) -> LossByContext:
  """The loss on some validation labels by how much context is given."""
  run = load(workdir)
  validation = run.experiment.evals['validation']
  return loss_by_context(
    validation.model,
    jax.tree.map(lambda x: x[None], run.params),
    validation.task,
    contexts(validation.task, validation.batch_size),
    validation.batch_size,
    BATCHES,
    labels=LABELS,
  )


def curves(timing: Timing, folder: Path) -> Iterator[dict[str, Any]]:
  """Validation rows of all models, each a split, by time instead of step."""
  for model, of in timing.items():
    for row in history.read(folder / model / 'metrics.jsonl'):
      if row['split'] == 'validation':
        when = row['step'] * of['seconds_a_step']
        yield row | {'split': model, 'step': when}


def table(
  timing: Timing,
  folder: Path,
  recl: Mapping[str, Sequence[int]],
  references: Mapping[str, Mapping[str, float]],
) -> Iterator[str]:
  """A line for each model and way of reading, the references below."""
  yield (
    '| model | read by | bits | RECL, r 0.1 / 0.5 / 1 | parameters | width '
    '| steps | ms a step | processor seconds | seconds |'
  )
  yield f'|{"---|" * 10}'
  for model, of in timing.items():
    rows = history.read(folder / model / 'metrics.jsonl')
    steps = rows[-1]['step']
    costs = [
      f'{of["parameters"]:,}',
      str(of['width']),
      str(steps),
      f'{1e3 * of["seconds_a_step"]:.0f}',
      f'{of["seconds_a_step"] * steps:.0f}',
      f'{trained_for(rows, of["tokens_a_step"]):.0f}',
    ]
    last = {row['split']: row for row in rows}
    for split in ('validation', 'otherwise'):
      if split in last:
        row = last[split]
        cells = [model, said(row['protocol']), f'{bits(row["metrics"]):.3f}']
        cells.append(' / '.join(map(str, recl[model])))
        yield f'| {" | ".join([*cells, *costs])} |'
  for name, value in bits(references).items():
    yield f'| {name} | | {value:.3f} |{" |" * 7}'


def said(protocol: Mapping[str, Any]) -> str:
  """A protocol in few words."""
  words = f'{protocol["carry"]}, segment {protocol["segment"]}'
  if protocol['stride'] != protocol['segment']:
    words += f', stride {protocol["stride"]}'
  return words + (f', memory {m}' if (m := protocol['memory']) else '')


def bits(metrics: Mapping[str, Any]) -> Any:
  """Per character where that is measured, else per byte."""
  return metrics.get('bits_per_character', metrics.get('bits_per_byte', {}))


def trained_for(rows: Sequence[Mapping[str, Any]], tokens_a_step: int) -> float:
  """Seconds by the clock, without evaluations and compiling."""
  train = [row for row in rows if row['split'] == 'train']
  rates = [row.get('tokens_per_second', np.nan) for row in train]
  return float(np.nanmean(tokens_a_step / np.array(rates)) * train[-1]['step'])


if __name__ == '__main__':
  main()
