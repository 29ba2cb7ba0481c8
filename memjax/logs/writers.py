"""Writes the rows of a run: to `metrics.jsonl`, and to views of it.

`metrics.jsonl` gets every row at once, and a failure to write it stops the run.
The console, Weights & Biases and TensorBoard are views. All but the console are
opened when they first have something to show, which the file then has: to
import and start wandb takes as long as to import jax. A view that fails is
dropped with one line on standard error, and training continues.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
from pathlib import Path
from typing import Any, Protocol

from memjax.logs import metrics_file
from memjax.logs.console import Console, first_line, print_error
from memjax.logs.documents_file import move_documents
from memjax.logs.metrics_file import Row
from memjax.logs.settings import LogSettings
from memjax.logs.tensorboard_view import TensorBoard
from memjax.logs.wandb_view import Wandb, is_wanted


class View(Protocol):
  """Something that shows rows and figures."""

  def write(self, row: Row) -> None: ...
  def figure(self, name: str, path: Path) -> None: ...
  def text(self, name: str, text: str) -> None: ...
  def close(self) -> None: ...


class Writers:
  """`metrics.jsonl` and its views, open during a run.

  Args:
    workdir: the run's folder; created if it does not exist.
    config: the run's config as plain nested dicts, for the views that show it.
    settings: which views to open, and what they say.
    rows: the run's rows so far, for the views that start anew.
  """

  def __init__(
    self,
    workdir: Path,
    config: Mapping[str, Any],
    settings: LogSettings,
    rows: Sequence[Row] = (),
  ):
    workdir.mkdir(parents=True, exist_ok=True)
    self._truth = JsonLines(workdir / 'metrics.jsonl')
    self._views: dict[str, View] = {}
    self._unopened: dict[str, Callable[[], View]] = {}
    self._open('console', lambda: Console(settings.total_steps, settings.best))
    if is_wanted(settings.wandb_mode):
      self._unopened['wandb'] = lambda: Wandb(workdir, config, settings, rows)
    if settings.tensorboard:
      folder = workdir / 'tensorboard'
      self._unopened['tensorboard'] = lambda: TensorBoard(
        folder, config, settings, rows
      )

  def write(self, row: Row) -> None:
    """Writes a row.

    Args:
      row: step, split, metrics and other fields; see `metrics_file.py`.

    Raises:
      OSError: the row could not be written to `metrics.jsonl`.
    """
    self._truth.write(row)
    self._show(lambda view: view.write(row))

  def figure(self, name: str, path: Path) -> None:
    """Shows a PNG in every view that shows images."""
    self._show(lambda view: view.figure(name, path))

  def text(self, name: str, text: str) -> None:
    """Shows a text in every view that shows texts."""
    self._show(lambda view: view.text(name, text))

  def close(self) -> None:
    """Closes all views and the file."""
    for name in list(self._views):
      self._act(name, lambda view: view.close())
    self._views, self._unopened = {}, {}
    self._truth.close()

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def _show(self, action: Callable[[View], None]) -> None:
    for name in [*self._views, *self._unopened]:
      if make := self._unopened.pop(name, None):
        self._open(name, make)
      if name in self._views:
        self._act(name, action)

  def _open(self, name: str, make: Callable[[], View]) -> None:
    try:
      self._views[name] = make()
    except ModuleNotFoundError as error:
      rule = f"{first_line(error)}: pip install 'memjax[{name}]'"
      print_error(f'{name}: dropped: {rule}; metrics.jsonl is still written')
    except Exception as error:
      self._drop_line(name, error)

  def _act(self, name: str, action: Callable[[View], None]) -> None:
    view = self._views[name]
    try:
      action(view)
    except Exception as error:
      del self._views[name]
      with contextlib.suppress(Exception):
        view.close()
      self._drop_line(name, error)

  def _drop_line(self, name: str, error: Exception) -> None:
    print_error(
      f'{name}: dropped: {first_line(error)}; metrics.jsonl is still written'
    )


class NullWriter:
  """Writes nothing: the writer of every process except the first."""

  def write(self, row: Row) -> None: ...
  def figure(self, name: str, path: Path) -> None: ...
  def text(self, name: str, text: str) -> None: ...


class JsonLines:
  """One row per line, each handed to the operating system at once."""

  def __init__(self, path: Path):
    metrics_file.drop_partial_line(path)
    self._workdir = path.parent
    self._file = path.open('a', encoding='utf-8')

  def write(self, row: Row) -> None:
    row = move_documents(self._workdir, row)
    self._file.write(metrics_file.encode_row(row))
    self._file.flush()

  def close(self) -> None:
    self._file.close()
