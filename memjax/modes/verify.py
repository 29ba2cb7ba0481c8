"""Compares everything that a workdir keeps with what was written."""

from collections.abc import Iterator
from pathlib import Path

from memjax.config.reader import read_experiment
from memjax.errors import ConfigError, require
from memjax.guards.memory import format_bytes
from memjax.logs import metrics_file
from memjax.runs import exit_codes, frozen, manifest
from memjax.runs.interface import read_interface
from memjax.runs.manifest import Damaged
from memjax.runs.workdir import read_config, read_run


def verify(workdir: Path) -> int:
  """Prints a line a checkpoint, and a line for each fault.

  Every byte of every checkpoint is hashed, and the data of training and of the
  evaluation sets. Nothing in the workdir changes.

  Args:
    workdir: the folder of a run, which may be in progress.

  Returns:
    The exit code: 0 if there is no fault, else 1.

  Raises:
    ConfigError: the folder is not a workdir.
  """
  exists = (workdir / 'config.json').exists()
  require(exists, 'workdir', str(workdir), 'has no config.json')
  faults = 0
  for fault in [*faults_of_files(workdir), *faults_of_data(workdir)]:
    print(fault)
    faults += 1
  folder = workdir / 'checkpoints'
  steps = manifest.steps_in(folder)
  places = {f'step {step}': folder / str(step) for step in steps}
  if (folder / frozen.ITEM).exists():
    places |= {frozen.ITEM: folder / frozen.ITEM / '0'}
  for name, place in places.items():
    found = list(faults_of_step(place))
    for fault in found:
      print(f'{name}: {fault}')
    if not found:
      print(f'{name}: whole, {describe(place)}')
    faults += len(found)
  word = 'fault' if faults == 1 else 'faults'
  print(f'{len(steps)} checkpoints, {faults} {word} in {workdir}')
  return exit_codes.FAILED if faults else exit_codes.FINISHED


def describe(folder: Path) -> str:
  """'14 files, 3.4 MB'."""
  files = manifest.read_manifest(folder).files.values()
  total = format_bytes(sum(size for size, _ in files))
  return f'{len(files)} files, {total}'


def faults_of_step(folder: Path) -> Iterator[str]:
  """What differs between a step's folder and its manifest, a line a file."""
  try:
    found = manifest.read_manifest(folder)
  except Damaged as damage:
    yield str(damage)
    return
  yield from manifest.find_faults(folder, found)
  for path in sorted(folder.rglob('*')):
    name = path.relative_to(folder).as_posix()
    known = name == manifest.NAME or name in found.files
    if not known and (path.is_symlink() or not path.is_dir()):
      yield f'{name} is not in {manifest.NAME}'


def faults_of_files(workdir: Path) -> Iterator[str]:
  """What is wrong with the files beside the checkpoints."""
  for read in (read_config, read_interface, read_run):
    try:
      read(workdir)
    except ConfigError as error:
      yield str(error)
  try:
    metrics_file.load_rows(workdir / 'metrics.jsonl')
  except ConfigError as error:
    yield str(error)


def faults_of_data(workdir: Path) -> Iterator[str]:
  """What has changed in the data that the run reads."""
  try:
    config, interface = read_config(workdir), read_interface(workdir)
    experiment = read_experiment(config, interface.tokenizer)
    last = read_run(workdir).starts[-1]['data_fingerprint']
  except ConfigError as error:
    yield f'the data cannot be read: {error}'
    return
  if experiment.task.fingerprint() != last:
    yield 'task: its data are not those of the last start'
  tasks = [experiment.task, *(e.task for e in experiment.evals.values())]
  faults = (fault for task in tasks for fault in task.data_faults())
  yield from dict.fromkeys(faults)
