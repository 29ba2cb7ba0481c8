"""The view of a run in Weights & Biases."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
import netrc
import os
from pathlib import Path
import secrets
from typing import Any
from urllib.parse import urlsplit

from memjax.logs.console import first_line, print_error
from memjax.logs.metrics_file import Row
from memjax.logs.series import series
from memjax.logs.settings import LogSettings

CONNECT_SECONDS, UPLOAD_SECONDS = 10, 60


class Wandb:
  """A Weights & Biases run; a resumed workdir continues the same one.

  Rows are logged against a metric of their own, `step`, because wandb drops
  rows whose step is below its own counter, as after a resume.

  An offline run is a folder of its own, and of two folders with one id the
  server keeps the one that is synchronised last. So a resumed run logs the rows
  so far into the new folder first.
  """

  def __init__(
    self,
    workdir: Path,
    config: Mapping[str, Any],
    settings: LogSettings,
    rows: Sequence[Row],
  ):
    import wandb

    self._wandb = wandb
    wandb.setup(wandb.Settings(silent=True))
    options: dict[str, Any] = {
      'project': settings.wandb_project,
      'name': settings.wandb_name or workdir.resolve().name,
      'group': settings.wandb_group or None,
      'tags': settings.wandb_tags,
      'id': run_id(workdir / 'wandb_id'),
      'dir': str(workdir),
      'config': {**config, 'parameters': settings.parameters},
      'settings': wandb.Settings(
        silent=True,
        console='off',
        init_timeout=CONNECT_SECONDS,
        finish_timeout=UPLOAD_SECONDS,
      ),
    }
    chosen: Any = settings.wandb_mode
    if chosen == 'auto':
      chosen = find_mode()
    if chosen == 'online':
      try:
        self._run = wandb.init(**options, mode='online', resume='allow')
      except (wandb.errors.UsageError, wandb.errors.CommError) as error:
        print_error(f'wandb: offline: {first_line(error)}')
        wandb.teardown()
        chosen = 'offline'
    if chosen != 'online':
      self._run = wandb.init(**options, mode=chosen)
    self._run.define_metric('step')
    self._run.define_metric('*', step_metric='step')
    self._step = 0
    for row in rows if chosen != 'online' else ():
      self.write(row)

  def write(self, row: Row) -> None:
    self._step = row['step']
    self._run.log({'step': self._step, **series(row)})

  def text(self, name: str, text: str) -> None:
    table = self._wandb.Table(columns=['step', 'text'])
    table.add_data(self._step, text)
    self._run.log({'step': self._step, name: table})

  def figure(self, name: str, path: Path) -> None:
    self._run.log({'step': self._step, name: self._wandb.Image(str(path))})

  def close(self) -> None:
    self._run.finish()


def is_wanted(mode: str) -> bool:
  """Whether the view is to be opened: `auto` asks for no library it lacks."""
  missing = mode == 'auto' and find_spec('wandb') is None
  return mode != 'disabled' and not missing


def find_mode() -> str:
  """WANDB_MODE, else online if this machine has an API key, else offline."""
  if mode := os.environ.get('WANDB_MODE'):
    return mode
  if os.environ.get('WANDB_API_KEY'):
    return 'online'
  address = os.environ.get('WANDB_BASE_URL') or 'https://api.wandb.ai'
  try:
    hosts = netrc.netrc(os.environ.get('NETRC')).hosts
  except (OSError, netrc.NetrcParseError):
    return 'offline'
  return 'online' if urlsplit(address).netloc in hosts else 'offline'


def run_id(path: Path) -> str:
  """The id in the file; if there is none, a sweep agent's or a new one."""
  if not path.exists():
    path.write_text(os.environ.get('WANDB_RUN_ID') or secrets.token_hex(4))
  return path.read_text()
