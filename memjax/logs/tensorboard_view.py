"""The view of a run in TensorBoard, written without TensorFlow."""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import json
from pathlib import Path
import textwrap
from typing import Any

from memjax.logs.headline import shown
from memjax.logs.metrics_file import Row
from memjax.logs.series import QUARTILES, series
from memjax.logs.settings import LogSettings


class TensorBoard:
  """TensorBoard's event files.

  A resumed run writes the rows so far into a new file and removes the earlier
  ones: the file of a killed process lacks its last rows.
  """

  def __init__(
    self,
    folder: Path,
    config: Mapping[str, Any],
    settings: LogSettings,
    rows: Sequence[Row],
  ):
    from tensorboardX import SummaryWriter

    for file in folder.glob('events.out.tfevents.*'):
      file.unlink()
    self._writer = SummaryWriter(str(folder), flush_secs=30)
    self._step, self._best = 0, settings.best
    self._splits = ('train', *config['evals'])
    self._has_charts = False
    self.text('parameters', f'{settings.parameters:,}')
    self.text('config', json.dumps(config, indent=2, default=str))
    for row in rows:
      self.write(row)

  def write(self, row: Row) -> None:
    self._step = row['step']
    for name, value in series(row).items():
      self._writer.add_scalar(name, value, self._step)
    if 'replicas' in row and not self._has_charts:
      names = shown(row['metrics'], self._best)
      self._writer.add_custom_scalars(charts(self._splits, names))
      self._has_charts = True

  def figure(self, name: str, path: Path) -> None:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
      pixels = np.asarray(image.convert('RGB'))
    self._writer.add_image(name, pixels, self._step, dataformats='HWC')

  def text(self, name: str, text: str) -> None:
    """Shows a text as it is: TensorBoard reads Markdown."""
    code = textwrap.indent(text, '    ', lambda line: True)
    self._writer.add_text(name, code, self._step)

  def close(self) -> None:
    self._writer.close()


def charts(
  splits: Iterable[str], metrics: Iterable[str]
) -> dict[str, dict[str, list[Any]]]:
  """The charts of the tab Custom scalars, for runs with replicas.

  For each split and metric there are two: the median with a band between the
  quartiles, and a line for each replica.
  """
  layout: dict[str, dict[str, list[Any]]] = {split: {} for split in splits}
  for split, metric in itertools.product(layout, metrics):
    quartiles = [f'{split}_quartiles/{metric}/{end}' for end in QUARTILES]
    median = ['Margin', [f'{split}/{metric}', *quartiles]]
    each = ['Multiline', [f'{split}_replicas/{metric}/replica_.*']]
    layout[split] |= {
      f'{metric}: median and quartiles': median,
      f'{metric}: each replica': each,
    }
  return layout
