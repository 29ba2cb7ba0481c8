"""What `launch.py --mode` offers: train, evaluate, sample, report."""

from collections.abc import Mapping
from pathlib import Path
import sys
from typing import Any

from memjax import summary
from memjax.errors import require
from memjax.experiment import read
from memjax.loading import Run, load, load_replicas
from memjax.report import write
from memjax.training import compiled, parallel, processes
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train as train_loop
from memjax.training.settings import Experiment
from memjax.training.workdir import Interface, differences, read_interface


def train(config: Mapping[str, Any], workdir: Path) -> int:
  """Trains to the end, or to SIGTERM; returns the exit code."""
  experiment = read(config)
  processes.connect(experiment.parallel)
  compiled.keep()
  finished = train_loop(experiment, workdir, summary.draw)
  if not processes.is_first():
    return 0
  if finished:
    summary.summarise(experiment, workdir)
  else:
    print(f'stopped and saved in {workdir}: the same command goes on from here')
  return 0


def evaluate(config: Mapping[str, Any], workdir: Path) -> int:
  """Prints every evaluation set's figures for the newest checkpoint."""
  experiment = read(config)
  require(bool(experiment.evals), 'evals', {}, 'names no set to evaluate on')
  processes.connect(experiment.parallel)
  compiled.keep()
  run = load_replicas(workdir)
  check_same_model(run, experiment, workdir)
  mesh = parallel.make_mesh(experiment.parallel)
  parallel.check_divides(mesh, experiment)
  for name in experiment.evals:
    row = Evaluator(name, experiment, mesh).row(run.step, run.params)
    if processes.is_first():
      summary.print_evaluation(experiment, row)
  return 0


def check_same_model(run: Run, experiment: Experiment, workdir: Path) -> None:
  """Requires a config that describes the trained model and how it is read.

  The data may be others, an evaluation set longer or from elsewhere.
  """

  def described(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
      'model': config['model'],
      'optim.ema': config['optim']['ema'],
      'train.replicas': config['train']['replicas'],
    }

  task = experiment.task
  asked = Interface(task.input_spec, task.output_spec, task.tokenizer)
  differing = differences(described(run.config), described(experiment.config))
  if not differing and read_interface(workdir) != asked:
    differing = ['the task reads or answers something else']
  rule = f'was trained by another config: {"; ".join(differing)}'
  require(not differing, 'workdir', str(workdir), rule)


def sample(
  workdir: Path, prompt: str, length: int, temperature: float, seed: int
) -> int:
  """Streams text that goes on from the prompt to the terminal."""
  require(length >= 1, 'length', length, 'must be at least 1')
  compiled.keep()
  run = load(workdir)
  for piece in summary.sample(run, prompt, length, temperature, seed):
    sys.stdout.write(piece)
    sys.stdout.flush()
  sys.stdout.write('\n')
  return 0


def report(workdir: Path) -> int:
  """Writes a page about the workdir, or about several with commas between."""
  compiled.keep()
  several = (
    [workdir] if workdir.is_dir() else map(Path, str(workdir).split(','))
  )
  print(f'\nThe report is {write.write(list(several))}')
  return 0
