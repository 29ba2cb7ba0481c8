"""Trains memories on text, at equal parameters and equal time.

    python -m experiments.text.run [CORPUS ...] [--minutes=3] [--path=FILE]

Every model has the width whose number of parameters is nearest to half a
million. First, a step of each model is timed in turns, and each model gets the
number of steps that fits into the minutes. Then each seed of each model is an
ordinary run, runs/text/CORPUS/MODEL/SEED. Time is processor time, so other work
on the machine does not count. The timing is kept in
runs/text/CORPUS/timing.json, and the same command resumes the study. At the
end, table.py writes a table and curves.

CORPUS is tinyshakespeare, by characters, from MEMJAX_DATA or --path, or
standard_library, by bytes; both if none is given.
"""

import argparse
import bisect
from collections.abc import Callable, Mapping
import itertools
import json
import os
from pathlib import Path
import time
from typing import Any

import jax
from ml_collections import ConfigDict
import numpy as np

from experiments.babi.run import reach_the_end
from experiments.text.table import TIMING, Timing, write
from memjax.config.build import build_model
from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.configs import text
from memjax.configs.models import model as model_of
from memjax.errors import ConfigError, Diverged
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.tasks.base import TRAINING, Stream, Task
from memjax.training import parallel
from memjax.training.prefetch import prefetch
from memjax.training.program import program
from memjax.training.state import initial_params

CORPORA = ('tinyshakespeare', 'standard_library')
MODELS = ('lstm', 'gru', 'transformer', 'transformer_xl', 'rmn')
PARAMETERS, LAYERS, CONTEXT = 500_000, 2, 128
ROWS = 16
SEEDS = 3
POINTS = 20  # of a curve
ROUNDS, STEPS = 5, 4  # of the timing

# Protocols besides that of training, where the carry flows between segments.
ALSO: Mapping[str, dict[str, Any]] = {
  'transformer': {'task': {'carry_over': False, 'stride': 16}},
  'transformer_xl': {
    'model': {'layer': {'window': 4 * CONTEXT, 'clamp': CONTEXT}}
  },
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('corpora', nargs='*', default=CORPORA, metavar='CORPUS')
  parser.add_argument('--minutes', type=float, default=3.0)
  parser.add_argument('--path', default='', help='of tinyshakespeare')
  parser.add_argument('--runs', type=Path, default=Path('runs/text'))
  given = parser.parse_args()
  for unknown in set(given.corpora) - set(CORPORA):
    parser.error(f'no corpus {unknown}; known: {", ".join(CORPORA)}')
  data = os.environ.get('MEMJAX_DATA', '')
  path = given.path or str(Path(data) / 'tinyshakespeare' / 'input.txt')
  if 'tinyshakespeare' in given.corpora and not Path(path).is_file():
    parser.error(f'--path: {path}: no such file; MEMJAX_DATA is {data!r}')
  enable_compilation_cache()
  for corpus in given.corpora:
    of_corpus = {'corpus': 'standard_library', 'path': '', 'tokens': 'bytes'}
    if corpus == 'tinyshakespeare':
      of_corpus = {'corpus': 'files', 'path': path, 'tokens': 'characters'}
    try:
      study(corpus, of_corpus, 60 * given.minutes, given.runs / corpus)
    except (ConfigError, Diverged, OSError) as error:
      print(f'{corpus} failed: {error}', flush=True)


def study(
  corpus: str, task: dict[str, str], seconds: float, folder: Path
) -> None:
  """Times, trains and compares all models on one corpus."""
  folder.mkdir(parents=True, exist_ok=True)
  kept = folder / TIMING
  if not kept.exists():
    part = kept.with_suffix('.part')
    part.write_text(json.dumps(timed(task), indent=1))
    part.replace(kept)
  timing: Timing = json.loads(kept.read_text())
  for seed, (model, of) in itertools.product(range(SEEDS), timing.items()):
    steps = max(round(seconds / of['seconds_a_step'] / POINTS), 1) * POINTS
    print(f'{corpus}: {model}, seed {seed}, {steps} steps, {of}', flush=True)
    config = configured(model, task, of['width'], steps)
    config.seed = seed
    reach_the_end(config, folder / model / str(seed))
  print(write(folder), flush=True)


def timed(task: dict[str, str]) -> Timing:
  """Each model's width and its seconds per step."""
  experiments, timing = {}, Timing()
  for model in MODELS:
    width, parameters = sized(model, task)
    timing[model] = {
      'width': width,
      'parameters': parameters,
      'tokens_a_step': ROWS * CONTEXT,
    }
    config = configured(model, task, width, POINTS)
    experiments[model] = read_experiment(config.to_dict())
  a_step = step_seconds(experiments)
  for model, of in timing.items():
    of['seconds_a_step'] = round(a_step[model], 5)
  return timing


def sized(model: str, task: dict[str, str]) -> tuple[int, int]:
  """The width whose number of parameters is nearest, and that number."""
  reads = read_experiment(configured(model, task, 32, POINTS).to_dict()).task
  count = counter(model, reads)
  widths = [w for w in range(32, 512, 2) if w % max(w // 64, 1) == 0]
  above = bisect.bisect_left(widths, PARAMETERS, key=count)
  near = {width: count(width) for width in widths[above - 1 : above + 1]}
  width = min(near, key=lambda w: abs(near[w] - PARAMETERS))
  return width, near[width]


def counter(model: str, task: Task) -> Callable[[int], int]:
  """A function from a width to the model's number of parameters."""

  def count(width: int) -> int:
    spec = model_of(model, width, LAYERS, CONTEXT).to_dict()
    built = build_model(spec, task.input_spec, task.output_spec)
    params = jax.eval_shape(
      lambda: initial_params(built, task, jax.random.key(0))
    )
    return sum(leaf.size for leaf in jax.tree.leaves(params))

  return count


def step_seconds(experiments: dict[str, Experiment]) -> dict[str, float]:
  """Median processor seconds of a training step; the models take turns."""
  turns = {model: stepper(e) for model, e in experiments.items()}
  taken: dict[str, list[float]] = {model: [] for model in turns}
  for _ in range(ROUNDS):
    for model, turn in turns.items():
      began = time.process_time()
      turn()
      taken[model].append((time.process_time() - began) / STEPS)
  return {model: float(np.median(t)) for model, t in taken.items()}


def stepper(experiment: Experiment) -> Callable[[], None]:
  """A function that runs STEPS steps on one batch; it is compiled already."""
  mesh = parallel.make_mesh(experiment.parallel)
  run = program(experiment, mesh)
  stream = Stream(experiment.seed, TRAINING, experiment.train.batch_size)
  (host_batch,) = prefetch(experiment.task, stream, mesh, range(1), 1, 1)
  state = run.advance(run.initial_state(), host_batch)

  def turn() -> None:
    nonlocal state
    for _ in range(STEPS):
      state = run.advance(state, host_batch)
    jax.block_until_ready(state)

  return turn


def configured(
  model: str, task: dict[str, str], width: int, steps: int
) -> ConfigDict:
  """The family's config for one model on one corpus."""
  config = text.get_config(model).unlock()
  config.task.update(task, length=CONTEXT)
  config.model = model_of(model, width, LAYERS, CONTEXT)
  config.train.update(steps=steps, batch_size=ROWS, steps_per_call=1)
  config.optim.update(learning_rate=3e-3, warmup_steps=steps // POINTS)
  config.parallel.data = 1
  config.log.update(every=steps // POINTS, sample=0)
  config.log.wandb.mode = 'disabled'
  config.checkpoint.update(every=steps // 4, best='', keep=1)
  whole = {'batch_size': ROWS, 'steps': 0, 'task': {'split': 'validation'}}
  config.evals = ConfigDict(
    {'validation': {'every': 2 * steps // POINTS} | whole}
  )
  if model in ALSO:
    config.evals.otherwise = ConfigDict({'every': steps} | whole)
    config.evals.otherwise.update(ALSO[model])
  return config


if __name__ == '__main__':
  main()
