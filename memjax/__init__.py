"""Training and measuring sequence models that remember."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from memjax.runs.load import Run

__version__ = '0.1.0'


def load(
  workdir: str | Path,
  step: int | str = 'latest',
  replica: int = 0,
  *,
  carry: bool = True,
) -> 'Run':
  """Loads a trained model from its workdir; see `memjax.runs.load.load`."""
  from memjax.runs import load

  return load.load(workdir, step, replica, carry=carry)
