"""Writes the parameters of a workdir into one file, or as a family has them."""

from pathlib import Path

from memjax.data.file_tokenizer import FileTokenizer
from memjax.interop.convert import export_tensors
from memjax.interop.files import write_pretrained
from memjax.interop.tokenizer_files import unpadded
from memjax.runs import exit_codes
from memjax.runs.load import load


def export(
  workdir: Path,
  *,
  output: str | None,
  step: int | str,
  replica: int,
  family: str = '',
) -> int:
  """Writes one replica of a step.

  Args:
    workdir: the folder of a run.
    output: the file, which `memjax.load` reads; None: `weights.safetensors` in
      the workdir. With a family, the folder; None: FAMILY in the workdir.
    step: 'latest', 'best' or a number.
    replica: number of the replica, from 0.
    family: the `model_type` of the config.json to write, such as llama; empty:
      the file is memjax's own.
  """
  run = load(workdir, step, replica, carry=False)
  if family:
    folder = Path(output or workdir / family)
    config, tensors = export_tensors(family, run.model, run.params, workdir)
    tokenizer = ''
    if isinstance(run.tokenizer, FileTokenizer):
      tokenizer = unpadded(run.tokenizer.content)
    write_pretrained(folder, config, tensors, tokenizer)
    print(f'{run!r}\nis in {folder}: {len(tensors)} tensors of {family}')
    return exit_codes.FINISHED
  path = Path(output or workdir / 'weights.safetensors')
  run.save(path)
  print(f'{run!r}\nis in {path}: {path.stat().st_size:,} bytes')
  return exit_codes.FINISHED
