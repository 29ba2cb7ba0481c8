"""Where the rows of a run go: a file that is the truth, and views of it.

`metrics.jsonl` gets every row, at once, and a failure to write it stops the
run. The console, Weights & Biases and TensorBoard only show it: a view that
fails is dropped with one line on the terminal, and training goes on.
"""

from collections.abc import Callable, Mapping
import contextlib
import netrc
import os
from pathlib import Path
import secrets
import sys
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from memjax.logs import metrics_file
from memjax.logs.console import Console
from memjax.logs.metrics_file import Row

CONNECT_SECONDS, UPLOAD_SECONDS = 10, 60


class LogSettings(NamedTuple):
  """Which views there are.

  Attributes:
    wandb_mode: auto (online where an API key is found, else offline), online,
      offline or disabled.
    wandb_project: the project of the run.
    wandb_name: the run's name; empty: the name of the workdir.
    tensorboard: whether to write TensorBoard's files.
    total_steps: steps of the whole run, for the time that is left.
  """

  wandb_mode: str
  wandb_project: str
  wandb_name: str
  tensorboard: bool
  total_steps: int


class View(Protocol):
  """Something that shows rows and figures."""

  def write(self, row: Row) -> None: ...
  def figure(self, name: str, path: Path) -> None: ...
  def close(self) -> None: ...


class Writers:
  """`metrics.jsonl` and its views, open while a run lasts.

  Args:
    workdir: the run's folder; made if need be.
    config: the run's config as plain nested dicts, for the views that show it.
    log: which views there are.
  """

  def __init__(
    self, workdir: Path, config: Mapping[str, Any], log: LogSettings
  ):
    workdir.mkdir(parents=True, exist_ok=True)
    self._truth = JsonLines(workdir / 'metrics.jsonl')
    self._views: dict[str, View] = {}
    self._open('console', lambda: Console(log.total_steps))
    if log.wandb_mode != 'disabled':
      self._open('wandb', lambda: Wandb(workdir, config, log))
    if log.tensorboard:
      self._open('tensorboard', lambda: TensorBoard(workdir / 'tensorboard'))

  def write(self, row: Row) -> None:
    """Writes a row.

    Args:
      row: {'step': int, 'split': 'train' or an evaluation set's name,
        'metrics': {name: float}} and anything else JSON can hold.

    Raises:
      OSError: the row is not in `metrics.jsonl`.
    """
    self._truth.write(row)
    self._show(lambda view: view.write(row))

  def figure(self, name: str, path: Path) -> None:
    """Shows a PNG wherever pictures are shown."""
    self._show(lambda view: view.figure(name, path))

  def close(self) -> None:
    """Closes all views and the file."""
    self._show(lambda view: view.close())
    self._views = {}
    self._truth.close()

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def _open(self, name: str, make: Callable[[], View]) -> None:
    try:
      self._views[name] = make()
    except Exception as error:
      self._say(name, error)

  def _show(self, action: Callable[[View], None]) -> None:
    for name, view in list(self._views.items()):
      try:
        action(view)
      except Exception as error:
        del self._views[name]
        with contextlib.suppress(Exception):
          view.close()
        self._say(name, error)

  def _say(self, name: str, error: Exception) -> None:
    say(f'{name}: dropped: {reason(error)}; metrics.jsonl goes on')


class NullWriter:
  """The writers of all processes but the first."""

  def write(self, row: Row) -> None: ...
  def figure(self, name: str, path: Path) -> None: ...


class JsonLines:
  """One row a line, each flushed to the operating system at once."""

  def __init__(self, path: Path):
    if path.exists():
      whole = path.read_bytes().rpartition(b'\n')
      os.truncate(path, len(whole[0] + whole[1]))
    self._file = path.open('a', encoding='utf-8')

  def write(self, row: Row) -> None:
    self._file.write(metrics_file.encode(row))
    self._file.flush()

  def close(self) -> None:
    self._file.close()


class Wandb:
  """A Weights & Biases run, the same one each time a workdir is taken up.

  Rows are logged against a metric of their own, `step`, since wandb drops what
  comes at a step of its own counter that has passed, as after a resume.
  """

  def __init__(
    self, workdir: Path, config: Mapping[str, Any], log: LogSettings
  ):
    import wandb

    self._wandb = wandb
    wandb.setup(wandb.Settings(silent=True))
    options: dict[str, Any] = {
      'project': log.wandb_project,
      'name': log.wandb_name or workdir.resolve().name,
      'id': run_id(workdir / 'wandb_id'),
      'dir': str(workdir),
      'config': dict(config),
      'settings': wandb.Settings(
        silent=True,
        console='off',
        init_timeout=CONNECT_SECONDS,
        finish_timeout=UPLOAD_SECONDS,
      ),
    }
    mode: Any = wandb_mode() if log.wandb_mode == 'auto' else log.wandb_mode
    if mode == 'online':
      try:
        self._run = wandb.init(**options, mode='online', resume='allow')
      except (wandb.errors.UsageError, wandb.errors.CommError) as error:
        say(f'wandb: offline: {reason(error)}')
        wandb.teardown()
        mode = 'offline'
    if mode != 'online':
      self._run = wandb.init(**options, mode=mode)
    self._run.define_metric('*', step_metric='step')

  def write(self, row: Row) -> None:
    named = {f'{row["split"]}/{k}': v for k, v in row['metrics'].items()}
    self._run.log({'step': row['step'], **named})

  def figure(self, name: str, path: Path) -> None:
    self._run.log({name: self._wandb.Image(str(path))})

  def close(self) -> None:
    self._run.finish()


def wandb_mode() -> str:
  """WANDB_MODE, or online if an API key is to be found on this machine."""
  if mode := os.environ.get('WANDB_MODE'):
    return mode
  if os.environ.get('WANDB_API_KEY'):
    return 'online'
  address = os.environ.get('WANDB_BASE_URL') or 'https://api.wandb.ai'
  try:
    known = netrc.netrc(os.environ.get('NETRC')).hosts
  except (OSError, netrc.NetrcParseError):
    return 'offline'
  return 'online' if urlsplit(address).netloc in known else 'offline'


def run_id(path: Path) -> str:
  """The id in the file; at first a sweep agent's, or a new one."""
  if not path.exists():
    path.write_text(os.environ.get('WANDB_RUN_ID') or secrets.token_hex(4))
  return path.read_text()


class TensorBoard:
  """TensorBoard's event files, written without TensorFlow."""

  def __init__(self, folder: Path):
    from tensorboardX import SummaryWriter

    self._writer = SummaryWriter(str(folder), flush_secs=30)
    self._step = 0

  def write(self, row: Row) -> None:
    self._step = row['step']
    for name, value in row['metrics'].items():
      self._writer.add_scalar(f'{row["split"]}/{name}', value, self._step)

  def figure(self, name: str, path: Path) -> None:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
      pixels = np.asarray(image.convert('RGB'))
    self._writer.add_image(name, pixels, self._step, dataformats='HWC')

  def close(self) -> None:
    self._writer.close()


def say(line: str) -> None:
  """One line on standard error."""
  print(line, file=sys.stderr, flush=True)


def reason(error: Exception) -> str:
  """The first line of what an error says."""
  return (str(error) or type(error).__name__).splitlines()[0]
