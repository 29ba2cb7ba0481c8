"""Makes a workdir of a pretrained model, as if a run had just begun."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from memjax.config.overrides import override
from memjax.config.reader import read_experiment
from memjax.errors import require
from memjax.interop import convert
from memjax.interop.family import family_of
from memjax.interop.files import read_pretrained
from memjax.interop.names import flat, nested
from memjax.runs import exit_codes
from memjax.runs.checkpoint import open_checkpoints
from memjax.runs.load import load
from memjax.runs.workdir import open_run
from memjax.training import parallel
from memjax.training.init_from import state_with
from memjax.training.program import program


def import_model(
  source: str | None, workdir: Path, overrides: Sequence[str]
) -> int:
  """Writes config, interface, tokenizer and a checkpoint at step 0.

  Args:
    source: the folder or file of the model.
    workdir: a new folder.
    overrides: `--config.a.b=value` on top of the config that is made.
  """
  require(bool(source), 'from', '', 'give the model: --from=FOLDER_OR_FILE')
  rule = 'has a run already: import into a new workdir'
  fresh = not (workdir / 'config.json').exists()
  require(fresh, 'workdir', str(workdir), rule)
  pretrained = read_pretrained(Path(source or ''))
  family = family_of(pretrained.config)
  config = convert.experiment_config(family, pretrained, workdir)
  config = override(config, overrides)
  convert.keep_tokenizer(pretrained, family.vocab, workdir)
  experiment = read_experiment(config)
  functions = program(experiment, parallel.make_mesh(experiment.parallel))
  shapes = {
    path: leaf.shape[1:]  # behind the replicas
    for path, leaf in flat(functions.abstract.params).items()
  }
  imported = convert.import_tensors(family, pretrained, shapes)
  with open_run(experiment, workdir) as run:
    convert.keep_source(imported, pretrained, workdir)
    params: Any = nested(imported.leaves)
    replicas = experiment.train.replicas
    state = state_with(
      functions,
      jax.tree.map(lambda leaf: leaf[None].repeat(replicas, 0), params),
    )
    with open_checkpoints(experiment, workdir) as checkpoints:
      checkpoints.save(state, {})
    run.end = f'imported from {source}'
  unused = f'; {len(imported.unused)} tensors are kept unread'
  print(f'{load(workdir, carry=False)!r} of the family {family.name}{unused}')
  print(f'is in {workdir}: train.init_from={workdir} trains on from it')
  return exit_codes.FINISHED
