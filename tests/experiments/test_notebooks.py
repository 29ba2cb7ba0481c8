"""Every notebook runs unchanged and shows the kinds of output stored in it."""

from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.flags import xla_flags

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / 'experiments/notebooks').glob('*.ipynb'))
LARGEST = 100_000  # bytes, pictures and all


def shown(cell: nbformat.NotebookNode) -> list[list[str]]:
  """The kinds of a cell's picture outputs, in their order."""
  return [
    sorted(output.data)
    for output in cell.outputs
    if output.output_type != 'stream' and 'image/png' in output.data
  ]


def test_all_notebooks_are_found() -> None:
  assert len(NOTEBOOKS) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_unchanged(
  path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('XLA_FLAGS', xla_flags(1))
  stored, run = (nbformat.read(path, 4) for _ in range(2))
  folder = {'metadata': {'path': str(path.parent)}}
  nbclient.NotebookClient(run, timeout=600, resources=folder).execute()
  pictures = 0
  for before, after in zip(stored.cells, run.cells, strict=True):
    if before.cell_type == 'code':
      assert before.execution_count == after.execution_count
      assert shown(before) == shown(after)
      pictures += len(shown(after))
  assert pictures


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_small_and_without_errors(path: Path) -> None:
  assert path.stat().st_size < LARGEST
  outputs = [
    output
    for cell in nbformat.read(path, 4).cells
    if cell.cell_type == 'code'
    for output in cell.outputs
  ]
  assert outputs
  assert all(output.output_type != 'error' for output in outputs)
