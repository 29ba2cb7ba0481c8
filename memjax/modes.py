"""The modes of `launch.py`: train, evaluate, sample, report."""

from collections.abc import Mapping
import os
from pathlib import Path
import sys
from typing import Any

import jax
import jax.numpy as jnp

from memjax.config.experiment import Experiment
from memjax.config.reader import read_experiment
from memjax.errors import ConfigError, require
from memjax.generation import session
from memjax.generation.sampler import SamplerConfig
from memjax.report import summary, write
from memjax.runs import exit_codes, processes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.runs.load import load
from memjax.runs.snapshot import WEIGHTS, Snapshot
from memjax.runs.workdir import Interface, differences
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.loop import train as train_loop


def train(config: Mapping[str, Any], workdir: Path) -> int:
  """Trains to the end, or until SIGTERM or Ctrl-C; returns the exit code."""
  experiment = read_experiment(config)
  processes.connect(experiment.parallel)
  enable_compilation_cache()
  finished = train_loop(experiment, workdir, summary.draw)
  if not finished:
    if processes.is_first():
      print(f'stopped and saved in {workdir}: the same command resumes')
    return exit_codes.STOPPED
  if processes.is_first():
    summary.summarise(experiment, workdir)
  return exit_codes.FINISHED


def evaluate(config: Mapping[str, Any], workdir: Path) -> int:
  """Prints the figures of every evaluation set for the newest checkpoint."""
  experiment = read_experiment(config)
  require(
    bool(experiment.evals),
    'evals',
    {},
    'is empty: give at least one evaluation set',
  )
  processes.connect(experiment.parallel)
  enable_compilation_cache()
  snapshot = Snapshot(workdir)
  check_same_model(snapshot, experiment)
  params = jax.tree.map(jnp.asarray, snapshot.read(WEIGHTS))
  mesh = parallel.make_mesh(experiment.parallel)
  parallel.check_divides(mesh, experiment)
  for name in experiment.evals:
    row = Evaluator(name, experiment, mesh).row(snapshot.step, params)
    if processes.is_first():
      summary.print_evaluation(experiment, row)
  return exit_codes.FINISHED


def check_same_model(snapshot: Snapshot, experiment: Experiment) -> None:
  """Requires a config with the trained model, its input and its output.

  The data may differ: an evaluation set may be longer or another corpus.
  """

  def fields(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
      'model': config['model'],
      'optim.ema': config['optim']['ema'],
      'train.replicas': config['train']['replicas'],
    }

  task = experiment.task
  interface = Interface(task.input_spec, task.output_spec, task.tokenizer)
  trained, config = fields(snapshot.config), fields(experiment.config)
  differing = differences(trained, config)
  if not differing and snapshot.interface != interface:
    differing = ['the task has another input, output or tokenizer']
  rule = f'was trained with another config: {"; ".join(differing)}'
  require(not differing, 'workdir', str(snapshot.workdir), rule)


def sample(
  workdir: Path,
  *,
  prompt: str | None,
  prompt_file: str | None,
  length: int,
  temperature: float,
  top_k: int,
  top_p: float,
  seed: int | None,
  replica: int,
  save_carry: str | None,
  carry: str | None,
) -> int:
  """Streams text to the terminal, up to its length or Ctrl-C.

  The text continues a prompt, a saved carry, or a saved carry and then a
  prompt. With a carry, a seed samples another continuation.
  """
  sampler = SamplerConfig(temperature, top_k, top_p)
  require(length >= 1, 'length', length, 'must be at least 1')
  text = read_prompt(prompt, prompt_file)
  if save_carry:
    exists = Path(save_carry).absolute().parent.is_dir()
    require(exists, 'save_carry', save_carry, 'its folder does not exist')
  enable_compilation_cache()
  run = load(workdir, replica=replica)
  if carry:
    current = session.load(carry, run)
    if seed is not None:
      current = session.with_seed(current, seed)
    current = session.extend(run, current, text or b'')
  else:
    first = b'\n' if text is None else text
    current = session.prefill(run, first, seed or 0)
  try:
    for piece, after in session.stream(run, current, length, sampler):
      sys.stdout.write(piece)
      sys.stdout.flush()
      current = after
  except KeyboardInterrupt:  # what was generated is kept
    pass
  sys.stdout.write('\n')
  if save_carry:
    session.save(save_carry, run, current)
  return exit_codes.FINISHED


def read_prompt(prompt: str | None, file: str | None) -> bytes | None:
  """The bytes of the prompt; None if neither flag is set.

  Raises:
    ConfigError: both flags are set, or the file cannot be read.
  """
  if file is None:
    return None if prompt is None else os.fsencode(prompt)
  require(
    prompt is None, 'prompt_file', file, 'cannot be used together with --prompt'
  )
  try:
    if file != '-':
      return Path(file).read_bytes()
    with open(0, 'rb', closefd=False) as standard_input:
      return standard_input.read()
  except OSError as error:
    rule = f'cannot be read: {error.strerror}'
    raise ConfigError('prompt_file', file, rule) from None


def report(workdir: Path) -> int:
  """Writes a report on a workdir, or on several that commas separate."""
  enable_compilation_cache()
  names = [workdir] if workdir.is_dir() else str(workdir).split(',')
  path = write.write([Path(name) for name in names])
  print(f'\nThe report is {path}')
  return exit_codes.FINISHED
