"""Writes the parameters of a workdir into one file."""

from pathlib import Path

from memjax.runs import exit_codes
from memjax.runs.load import load


def export(
  workdir: Path, *, output: str | None, step: int | str, replica: int
) -> int:
  """Writes one replica of a step, `memjax.load` reads it.

  Args:
    workdir: the folder of a run.
    output: the file; None: `weights.safetensors` in the workdir.
    step: 'latest', 'best' or a number.
    replica: number of the replica, from 0.
  """
  path = Path(output or workdir / 'weights.safetensors')
  run = load(workdir, step, replica, carry=False)
  run.save(path)
  print(f'{run!r}\nis in {path}: {path.stat().st_size:,} bytes')
  return exit_codes.FINISHED
