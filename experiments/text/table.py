"""The results on one corpus, as a table and as curves.

    python -m experiments.text.table [--folder=runs/text/tinyshakespeare]

`experiments.text.run` ends with this. Bits are measured on the whole validation
split under each protocol: medians and quartiles over the seeds. curves.png
shows them against time. context.png shows the loss on some labels of the
validation split that are given 1, 2, 4 and so on tokens. RECL is the median
over the seeds, each seed a group of all models, for the hardest tenth, the
harder half and all of these labels.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memjax.analysis.loss_by_context import ContextLosses, loss_by_context
from memjax.analysis.recl import relative_effective_context_length
from memjax.analysis.windows import contexts
from memjax.logs import metrics_file
from memjax.logs.learning_curves import learning_curve
from memjax.logs.plots import EVALUATIONS, Curve, draw
from memjax.runs import workdir as workdirs
from memjax.runs.load import load

TIMING, METRICS = 'timing.json', 'metrics.jsonl'
BATCHES, LABELS = 12, 64  # of RECL; LABELS from each batch
Timing = dict[str, dict[str, Any]]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  folder = Path('runs/text/tinyshakespeare')
  parser.add_argument('--folder', type=Path, default=folder)
  print(write(parser.parse_args().folder))


def write(folder: Path) -> str:
  """Writes table.md and two pictures into the folder; returns the table."""
  timing = json.loads((folder / TIMING).read_text())
  first = load(seeds(folder / next(iter(timing)))[0], carry=False).experiment
  references = first.evals['validation'].baselines
  along = 'seconds of the processor'
  rows = list(curves(timing, folder))
  learning_curve(rows, references, folder / 'curves.png', along=along)
  found = {model: lost(seeds(folder / model)) for model in timing}
  panel = {'bits per label': [*by_context(found)]}
  picture = draw(panel, 'tokens of context', xscale='log')
  picture.savefig(folder / 'context.png', dpi=150)
  page = '\n'.join(table(timing, folder, reach(found), references))
  (folder / 'table.md').write_text(f'{page}\n')
  return page


def by_context(found: Mapping[str, ContextLosses]) -> Iterator[Curve]:
  """Bits per label by the number of given tokens, medians over the seeds."""
  colours = itertools.cycle(EVALUATIONS)
  for (model, of), colour in zip(found.items(), colours, strict=False):
    bits_NC = of.loss / np.log(2)
    low_C, half_C, high_C = np.quantile(bits_NC, [0.25, 0.5, 0.75], axis=0)
    band = list(zip(low_C, high_C, strict=True))
    yield Curve(model, colour, of.contexts.tolist(), half_C, quartiles=band)


def reach(found: Mapping[str, ContextLosses]) -> dict[str, list[float]]:
  """RECL, the median over the seeds. The models of a seed are a group."""
  lengths: dict[str, list[np.ndarray]] = {model: [] for model in found}
  for seed in range(min(len(of.losses) for of in found.values())):
    group = {
      model: of._replace(losses=of.losses[seed, None])
      for model, of in found.items()
    }
    of_seed = relative_effective_context_length(group).lengths
    for model, (length_R,) in of_seed.items():
      lengths[model].append(length_R)
  return {m: np.median(of, axis=0).tolist() for m, of in lengths.items()}


def lost(ended: Sequence[Path]) -> ContextLosses:
  """The loss on some validation labels by the length of the given context."""
  runs = [load(workdir, carry=False) for workdir in ended]
  validation = runs[0].experiment.evals['validation']
  return loss_by_context(
    validation.model,
    jax.tree.map(lambda *x: jnp.stack(x), *(run.params for run in runs)),
    validation.task,
    contexts(validation.task, validation.batch_size).tolist(),
    validation.batch_size,
    BATCHES,
    labels=LABELS,
  )


def seeds(folder: Path) -> list[Path]:
  """The workdirs of a model's finished runs, one per seed."""
  found = sorted(path.parent for path in folder.glob(f'*/{METRICS}'))
  ended = [w for w in found if trained_steps(w) == steps(w)]
  if not ended:
    raise SystemExit(f'{folder}: no run has finished yet')
  return ended


def steps(workdir: Path) -> int:
  return workdirs.read_config(workdir)['train']['steps']


def trained_steps(workdir: Path) -> int:
  return max([0, *(row['step'] for row in measured(workdir, 'train'))])


def curves(timing: Timing, folder: Path) -> Iterator[dict[str, Any]]:
  """Validation rows of all models by time; each model is a split.

  Bits and accuracy are medians over the seeds, with quartiles.
  """
  for model, of in timing.items():
    runs = [measured(w, 'validation') for w in seeds(folder / model)]
    for rows in zip(*runs, strict=True):
      (step,) = {row['step'] for row in rows}
      metrics, quartiles = {}, {}
      for name in rows[0]['metrics']:
        low, metrics[name], high = spread([r['metrics'][name] for r in rows])
        quartiles[name] = (low, high)
      when = step * of['seconds_a_step']
      row = {'split': model, 'step': when, 'metrics': metrics}
      yield row | {'quartiles': quartiles}


def measured(workdir: Path, split: str) -> list[dict[str, Any]]:
  rows = metrics_file.load_rows(workdir / METRICS)
  return [row for row in rows if row['split'] == split]


def spread(values: Sequence[float]) -> list[float]:
  """First quartile, median and third quartile."""
  return np.quantile(values, [0.25, 0.5, 0.75]).tolist()


def table(
  timing: Timing,
  folder: Path,
  recl: Mapping[str, Sequence[float]],
  references: Mapping[str, Mapping[str, float]],
) -> Iterator[str]:
  """A line for each model and protocol, then the references."""
  yield (
    '| model | read by | bits, median (quartiles) | RECL, r 0.1 / 0.5 / 1 '
    '| parameters | width | steps | ms a step | processor seconds | seconds |'
  )
  yield f'|{"---|" * 10}'
  for model, of in timing.items():
    ended = seeds(folder / model)
    trained = [measured(w, 'train') for w in ended]
    took = [seconds(rows, of['tokens_a_step']) for rows in trained]
    costs = [
      f'{of["parameters"]:,}',
      str(of['width']),
      str(steps(ended[0])),
      f'{1e3 * of["seconds_a_step"]:.0f}',
      f'{of["seconds_a_step"] * steps(ended[0]):.0f}',
      f'{np.median(took):.0f}',
    ]
    for split in ('validation', 'otherwise'):
      ends = [rows[-1] for w in ended if (rows := measured(w, split))]
      if ends:
        low, half, high = spread([bits(row['metrics']) for row in ends])
        cells = [model, short(ends[0]['protocol'])]
        cells.append(f'{half:.3f} ({low:.3f}, {high:.3f})')
        cells.append(' / '.join(f'{length:g}' for length in recl[model]))
        yield f'| {" | ".join([*cells, *costs])} |'
  for name, value in bits(references).items():
    yield f'| {name} | | {value:.3f} |{" |" * 7}'


def short(protocol: Mapping[str, Any]) -> str:
  """A protocol in a few words."""
  carry = 'carry over' if protocol['carry_over'] else 'fresh carry'
  words = f'{carry}, segment {protocol["segment_length"]}'
  if protocol['stride'] != protocol['segment_length']:
    words += f', stride {protocol["stride"]}'
  return words + (f', horizon {h}' if (h := protocol['horizon']) else '')


def bits(metrics: Mapping[str, Any]) -> Any:
  """Bits per character if they were measured, else per byte."""
  return metrics.get('bits_per_character', metrics.get('bits_per_byte', {}))


def seconds(rows: Sequence[Mapping[str, Any]], tokens_a_step: int) -> float:
  """Wall-clock seconds of training, without evaluation and compilation."""
  rates = [row.get('tokens_per_second', np.nan) for row in rows]
  return float(np.nanmean(tokens_a_step / np.array(rates)) * rows[-1]['step'])


if __name__ == '__main__':
  main()
