"""The JSON files of a workdir.

    config.json     the config of the run
    interface.json  what the model has to know of its task: input, output and
                    tokenizer; so a trained model loads without the task's data
    run.json        how the run stands, and every start: when, by which
                    command, with which versions, on which machine, with
                    which sources of the user's own

All three are written whole.
"""

from collections.abc import Iterator, Mapping
import contextlib
import functools
from pathlib import Path
import time
from typing import Any, NamedTuple

from memjax.config.experiment import Experiment
from memjax.config.find import make_importable, own_folders
from memjax.config.sections import flatten
from memjax.errors import ConfigError, Diverged, Stopped, require
from memjax.guards import ending
from memjax.guards.place import OpenRun, Place
from memjax.runs import manifest, processes
from memjax.runs.environment import environment
from memjax.runs.interface import interface_to_json
from memjax.runs.json_files import read_json, require_keys, write_json
from memjax.runs.lock import InUse, lock
from memjax.runs.sources import save_sources, saved_sources

# These change no result.
MAY_DIFFER = ('log.', 'parallel.', 'train.remat', 'train.limits.')
# Fields of train that change only the end, or results by round-off at most.
ENDS = ('steps', 'patience', 'stop_when', 'nonfinite', 'steps_per_call')
DYING = 0.2  # seconds until the lock of a process that was killed is free
ENDED_BY: dict[type, str] = {Diverged: 'diverged', Stopped: 'stopped'}


class RunRecord(NamedTuple):
  """What `run.json` says.

  Attributes:
    state: 'running', 'finished', 'stopped' (saved after SIGTERM or Ctrl-C),
      'diverged' or 'failed'. A run whose only process, or every process, was
      killed stays 'running'; the workdir's lock is free then.
    step: the newest saved step, from which a resume starts.
    starts: of every start: its first step, time, command, what bits depend on
      (`environment.py`), the fingerprint of the data, digests and copies of the
      user's own sources, and the folders where they were looked up.
    reason: why the run ended, in one line: the last step, `train.patience`,
      `train.stop_when`, or an error; empty while it is running.
  """

  state: str
  step: int
  starts: list[dict[str, Any]]
  reason: str


@contextlib.contextmanager
def open_run(experiment: Experiment, workdir: Path) -> Iterator[OpenRun]:
  """Locks and claims a workdir; at the end `run.json` says how the run ended.

  With several processes only the first does so.

  Raises:
    ConfigError: another process uses the workdir, or `claim` refuses it.
  """
  run = OpenRun()
  if not processes.is_first():
    with ending.recorded_by(functools.partial(record_for_first, workdir)):
      yield run
    return
  with contextlib.ExitStack() as stack:
    file = stack.enter_context(lock(workdir))
    claim(workdir, experiment)
    run.place = place = stack.enter_context(
      contextlib.closing(Place(workdir, file))
    )
    with ending.recorded_by(
      lambda state, reason: record_first(place.folder, state, reason)
    ):
      try:
        yield run
      except BaseException as error:
        if ending.has_begun():
          raise
        state = ENDED_BY.get(type(error), 'failed')
        # The first error counts.
        with contextlib.suppress(ConfigError, OSError):
          reason = (str(error) or type(error).__name__).splitlines()[0]
          record_state(place.folder, state, reason)
        raise
    state, reason = 'stopped', place.end or 'SIGTERM or Ctrl-C'
    if run.end:
      state, reason = 'finished', run.end
    record_state(place.folder, state, reason)
    place.check(manifest.newest_step(place.folder))


def claim(workdir: Path, experiment: Experiment) -> None:
  """Makes the workdir this experiment's, or checks that it already is.

  Writes `config.json` and `interface.json`, and adds this start to `run.json`.

  Raises:
    ConfigError: the folder holds another experiment, or the corpus that it
      was trained on has changed.
  """
  path = workdir / 'config.json'
  if path.exists():
    before = read_config(workdir)
    ends = tuple(f'train.{field} ' for field in ENDS)
    found = differences(before, experiment.config)
    differing = [line for line in found if not line.startswith(ends)]
    require(
      not differing,
      'workdir',
      str(workdir),
      f'has a run of another config ({"; ".join(differing)}): use a new '
      'workdir; train.init_from starts from the parameters of this one',
    )
    steps, steps_before = experiment.train.steps, before['train']['steps']
    rule = f'is less than the {steps_before} of the run in {workdir}; more '
    rule += 'steps go on, fewer need a new workdir'
    require(steps >= steps_before, 'train.steps', steps, rule)
  starts = read_run(workdir).starts if (workdir / 'run.json').exists() else []
  fingerprint = experiment.task.fingerprint()
  if starts and starts[-1]['data_fingerprint'] != fingerprint:
    raise ConfigError(
      'task',
      experiment.config['task']['name'],
      f'its data have changed since {workdir} was created; use a new workdir',
    )
  write_json(path, experiment.config)
  task, saved = experiment.task, manifest.newest_step(workdir)
  interface = interface_to_json(
    task.input_spec, task.output_spec, task.text_tokenizer
  )
  write_json(workdir / 'interface.json', interface)
  start = {
    **environment(),
    'step': saved,
    'steps_per_call': experiment.steps_per_call(saved),
    'data_fingerprint': fingerprint,
    'sources': save_sources(workdir, experiment.config),
    'folders': own_folders(),
  }
  _write_run(workdir, 'running', '', [*starts, start])


def record_state(workdir: Path, state: str, reason: str) -> None:
  """Writes how the run ended, and its newest saved step, to `run.json`."""
  _write_run(workdir, state, reason, read_run(workdir).starts)


def record_first(workdir: Path, state: str, reason: str) -> None:
  """Writes how the run ended, unless it is written already."""
  if read_run(workdir).state == 'running':
    record_state(workdir, state, reason)


def record_for_first(workdir: Path, state: str, reason: str) -> None:
  """Another process writes how the run ended, unless the first one lives."""
  for wait in (DYING, 0.0):
    try:
      with lock(workdir):
        record_first(workdir, state, reason)
        return
    except InUse:
      time.sleep(wait)


def _write_run(
  workdir: Path, state: str, reason: str, starts: list[dict[str, Any]]
) -> None:
  record = RunRecord(state, manifest.newest_step(workdir), starts, reason)
  write_json(workdir / 'run.json', record._asdict())


def read_config(workdir: Path) -> dict[str, Any]:
  """The config of a workdir's run; its classes become importable.

  Raises:
    ConfigError: the folder is not a workdir, or its config is damaged.
  """
  path = workdir / 'config.json'
  config = read_json(path)
  require_keys(path, config, ('model', 'task', 'train', 'optim'))
  _make_sources_importable(workdir)
  return config


def _make_sources_importable(workdir: Path) -> None:
  """The user's own classes lie where the last start found them.

  The current folder comes first, and the copies in the workdir last: they serve
  a machine without these folders.
  """
  make_importable('.')
  with contextlib.suppress(ConfigError):  # a model can be read without run.json
    for start in read_run(workdir).starts[-1:]:
      make_importable(*start.get('folders', ()))
  make_importable(*saved_sources(workdir))


def read_run(workdir: Path) -> RunRecord:
  """How the run of a workdir stands, and every start of it.

  Raises:
    ConfigError: the folder is not a workdir, or its run.json is damaged.
  """
  path = workdir / 'run.json'
  record = read_json(path)
  require_keys(path, record, RunRecord._fields)
  return RunRecord(*(record[field] for field in RunRecord._fields))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """`field was A, is B` for every field that a resume may not change."""
  before, now = flatten(old), flatten(new)
  return [
    f'{field} was {before.get(field)!r}, is {now.get(field)!r}'
    for field in sorted(before.keys() | now.keys())
    if before.get(field) != now.get(field) and not field.startswith(MAY_DIFFER)
  ]
