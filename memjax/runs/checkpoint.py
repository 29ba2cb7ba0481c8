"""Checkpoints that are whole or absent.

Orbax writes the arrays in the background into `unfinished/`. There the step
gets its manifest (`manifest.py`); then one rename makes it `<step>/`. Older
steps are deleted only after that. So at any moment, through kill -9 and a full
disk, every step in the folder was whole once. A run resumes from the newest
step that still equals its manifest:

    checkpoints/1200/{params,ema,carry,rest}/  manifest.json
    checkpoints/frozen/                        what is never trained; frozen.py
    checkpoints/unfinished/                    the current save; wiped at start
    checkpoints/damaged/STEP-1000/             a damaged step, never deleted

`params`, `ema` and `carry` are items of their own, so each can be read without
the optimiser. `rest` holds the other fields of the state.
"""

from concurrent.futures import Future, ThreadPoolExecutor
import functools
import logging
from pathlib import Path
import shutil
import sys
import traceback
from typing import Any, TypeAlias

import jax
import orbax.checkpoint as ocp

from memjax.config.experiment import Experiment
from memjax.errors import ConfigError, NotSaved, require
from memjax.runs import frozen, manifest, processes
from memjax.runs.best import Figure
from memjax.runs.manifest import Damaged, Manifest

State: TypeAlias = Any  # a NamedTuple with the fields step and params
ITEMS = ('params', 'ema', 'carry')

log = logging.getLogger(__name__)


class Checkpoints:
  """Saves and restores states in one folder: the latest ones and the best.

  Every process of a run creates one and calls every method at the same point;
  the first process does the work that is done once. Used as a context manager,
  it is closed at the end, which waits for the current save.
  """

  def __init__(
    self, folder: Path, *, keep: int, best: str = '', best_is: str = 'min'
  ):
    """Creates the folder, and wipes the remains of an interrupted save.

    Args:
      folder: the folder of the steps; nothing else may write there.
      keep: number of latest steps to keep.
      best: the best step by this metric is kept as well; '' for none.
      best_is: 'min' or 'max'.

    Raises:
      ConfigError: a setting is wrong, or the folder cannot be written.
    """
    require(keep >= 1, 'keep', keep, 'must be at least 1')
    manifest.require_order(best_is)
    self._folder, self._keep = folder.absolute(), keep
    name = str(self._folder)
    readable = name == name.encode(errors='replace').decode()
    rule = 'has a name that this locale cannot read: set PYTHONUTF8=1'
    require(readable, 'workdir', ascii(name), rule)
    self._best, self._best_is = best, best_is
    self._unfinished = self._folder / 'unfinished'
    try:
      if processes.is_first():
        self._wipe()
        self._unfinished.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise ConfigError(
        'checkpoints', str(folder), f'cannot be written: {error.strerror}'
      ) from None
    processes.barrier('memjax.checkpoints.opened')
    silence_orbax()
    self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
    self._background = ThreadPoolExecutor(1, 'checkpoint')
    self._in_flight: Future[NotSaved | None] | None = None
    self._failure: NotSaved | None = None  # of the newest save

  def save(
    self,
    state: State,
    metrics: dict[str, Figure],
    diverged: dict[str, int] | None = None,
  ) -> None:
    """Copies the state to the host and returns; a thread writes it.

    Waits first for the previous save. A step that is already saved and whole is
    not written again; its manifest gets the metrics. If a save fails, because
    the disk is full, a line says so at once, older steps are unchanged, and the
    next save tries again; `wait` raises what the newest one met.

    Args:
      state: its buffers may be donated as soon as this returns.
      metrics: values measured at this step, a list for each metric with
        replicas; {} between evaluations.
      diverged: {seed: step} of the replicas that have stopped; None: none has.
    """
    self._settle()
    step = int(state.step)
    if self._newest([step]) is not None:
      if processes.is_first():
        manifest.add_metrics(self._folder / str(step), metrics)
      return
    state, base = _apart(state)
    leaves = manifest.leaf_types(state._asdict())
    note = Manifest(step, metrics, leaves, diverged or {}, files={})
    try:
      if base:
        frozen.save(self._orbax, self._folder, self._unfinished, base)
      self._orbax.save(
        self._unfinished / str(step),
        args=ocp.args.Composite(
          **{
            name: ocp.args.PyTreeSave(item)
            for name, item in _items(state).items()
          }
        ),
      )
    except Exception as error:
      self._failure = self._report(f'step {step}', error)
      return
    self._in_flight = self._background.submit(self._finish, note)

  def restore(self, abstract_state: State) -> State | None:
    """The newest state that equals its manifest, or None without any step.

    Damaged steps are moved to `damaged/`, with a line in the log.

    Args:
      abstract_state: a ShapeDtypeStruct with a sharding for each array.

    Raises:
      ConfigError: the saved state has other arrays or types, or every step is
        damaged.
    """
    self.wait()
    abstract_state, base = _apart(abstract_state)
    step = self._newest(manifest.steps_in(self._folder))
    if step is None:
      require(
        not (self._folder / 'damaged').exists(),
        'checkpoints',
        str(self._folder),
        'all checkpoints are damaged; move the folder away to start over',
      )
      if base:
        frozen.discard(self._folder)
      return None
    folder = self._folder / str(step)
    manifest.require_leaves(
      manifest.read_manifest(folder).leaves,
      manifest.leaf_types(abstract_state._asdict()),
      folder,
    )
    targets = {
      name: ocp.args.PyTreeRestore(
        item, restore_args=ocp.checkpoint_utils.construct_restore_args(item)
      )
      for name, item in _items(abstract_state).items()
    }
    items = dict(
      self._orbax.restore(folder, args=ocp.args.Composite(**targets)).items()
    )
    if base:
      items['frozen'] = frozen.restore(self._orbax, self._folder, base)
    return abstract_state._replace(**items.pop('rest', {}), **items)

  def close(self) -> None:
    """Waits until the last save is complete and in its place.

    Raises:
      ConfigError: the save failed.
    """
    try:
      self.wait()
    finally:
      self._release()

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    if kind is None:
      self.close()
      return
    self._release()

  def follow(self, folder: Path) -> None:
    """Goes on in another folder, to which this one was moved."""
    self._settle()
    self._folder = folder.absolute()
    self._unfinished = self._folder / 'unfinished'
    self._wipe()

  def _finish(self, note: Manifest) -> NotSaved | None:
    """In the background: waits for Orbax, seals, publishes, deletes."""
    try:
      self._orbax.wait_until_finished()
      if processes.is_first():
        sealed = self._unfinished / str(note.step)
        manifest.seal(sealed, note)
        manifest.publish(sealed, self._folder / str(note.step))
        self._delete_old()
    except Exception as error:
      return self._report(f'step {note.step}', error)
    return None

  def _delete_old(self) -> None:
    """Deletes all steps except the latest ones and the best."""
    manifests = manifest.manifests_in(self._folder)
    kept: set[int | None] = {*sorted(manifests)[-self._keep :]}
    if self._best:
      kept.add(manifest.best_of(manifests, self._best, self._best_is))
    for step in manifests.keys() - kept:
      deleted = self._unfinished / f'deleted-{step}'
      (self._folder / str(step)).rename(deleted)
      shutil.rmtree(deleted)

  def _wipe(self) -> None:
    if processes.is_first() and self._unfinished.is_dir():
      for path in self._unfinished.iterdir():
        shutil.rmtree(path, ignore_errors=True)

  def wait(self) -> None:
    """Waits for the current save.

    Raises:
      NotSaved: the newest save failed.
    """
    self._settle()
    if self._failure:
      raise self._failure

  def _settle(self) -> None:
    """Waits for the current save; keeps what it met."""
    if self._in_flight is None:
      return
    failure, self._in_flight = self._in_flight.result(), None
    if processes.any_process(failure is not None) and failure is None:
      failure = self._not_saved('a step', 'failed in another process')
    self._failure = failure

  def _report(self, step: str, reason: Exception) -> NotSaved:
    """Wipes what was written of a step, and says why it was not saved."""
    self._wipe()
    failure = self._not_saved(step, reason)
    failure.__cause__ = reason
    log.error('%s', failure)
    return failure

  def _not_saved(self, step: str, reason: object) -> NotSaved:
    """One line from Orbax's many."""
    first_line = str(reason).strip().partition('\n')[0]
    short = ': '.join(first_line.split(': ')[-2:])
    rule = f'{step} was not saved: {short}'
    return NotSaved('checkpoints', str(self._folder), rule)

  def _release(self) -> None:
    self._background.shutdown()
    self._orbax.close()

  def _newest(self, steps: list[int]) -> int | None:
    """The last whole step of these; damaged ones are moved away."""
    newest = -1
    if processes.is_first():
      newest = next((s for s in reversed(steps) if self._is_whole(s)), -1)
    newest = processes.broadcast(newest)
    return None if newest < 0 else newest

  def _is_whole(self, step: int) -> bool:
    folder = self._folder / str(step)
    if not folder.exists():
      return False
    try:
      manifest.verify(folder)
    except Damaged as damage:
      self._move_damaged(folder, damage)
      return False
    return True

  def _move_damaged(self, folder: Path, damage: Damaged) -> None:
    target = self._folder / 'damaged' / f'STEP-{folder.name}'
    target.parent.mkdir(exist_ok=True)
    copy = 1
    while target.exists():
      copy += 1
      target = target.with_name(f'STEP-{folder.name}-{copy}')
    folder.rename(target)
    log.warning(
      'step %s is damaged: %s; moved to %s', folder.name, damage, target
    )


def open_checkpoints(experiment: Experiment, workdir: Path) -> Checkpoints:
  """The run's checkpoints, with the settings of its config."""
  settings = experiment.checkpoint
  return Checkpoints(
    workdir / 'checkpoints',
    keep=settings.keep,
    best=settings.best,
    best_is=settings.best_is,
  )


@functools.cache
def silence_orbax() -> None:
  """Keeps Orbax's log lines off the terminal; its errors are still raised.

  If one write of a step fails, Orbax gives up the others: they may come back to
  an event loop that it has closed, or fail with nobody to ask them. Python
  would print a traceback for each.
  """
  for name in ('absl', 'asyncio'):
    logging.getLogger(name).addFilter(_not_from_orbax)
  show = sys.unraisablehook

  def hook(raised: Any) -> None:
    if str(raised.exc_value) != 'Event loop is closed':
      show(raised)

  sys.unraisablehook = hook


def _not_from_orbax(record: logging.LogRecord) -> bool:
  raised = record.exc_info[1] if record.exc_info else None
  frames = traceback.format_exception(raised) if raised else []
  return '/orbax/' not in ' '.join(
    [record.pathname, record.getMessage(), *frames]
  )


def _apart(state: State) -> tuple[State, Any]:
  """The state without what is never trained, and that."""
  base = getattr(state, frozen.ITEM, ())
  return (state._replace(**{frozen.ITEM: ()}), base) if base else (state, ())


def _items(state: State) -> dict[str, Any]:
  """The items that Orbax saves, by name; fields without arrays are left out."""
  fields = {
    name: field
    for name, field in state._asdict().items()
    if jax.tree.leaves(field)
  }
  items = {name: fields.pop(name) for name in ITEMS if name in fields}
  return {**items, 'rest': fields} if fields else items
