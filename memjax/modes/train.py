"""Trains to the end, or until a signal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memjax.config.reader import read_experiment
from memjax.laws.probe import refuse_broken
from memjax.report import summary
from memjax.runs import exit_codes, processes
from memjax.runs.compilation_cache import enable_compilation_cache
from memjax.training import loop


def train(config: Mapping[str, Any], workdir: Path) -> int:
  """Trains to the end, or until SIGTERM or Ctrl-C; returns the exit code."""
  experiment = read_experiment(config)
  processes.connect(experiment.parallel)
  if processes.is_first():
    for line in experiment.describe():
      print(line)
  enable_compilation_cache()
  refuse_broken(experiment.model, experiment.train.dtype)
  finished = loop.train(experiment, workdir, summary.draw)
  if not finished:
    if processes.is_first():
      print(f'stopped and saved in {workdir}: the same command resumes')
    return exit_codes.STOPPED
  if processes.is_first():
    summary.summarise(experiment, workdir)
  return exit_codes.FINISHED
