"""From a pretrained model to our config and parameters, and back.

An imported workdir has a folder `pretrained/` that export needs:

    config.json         theirs, as it was
    tokenizer.json      with a token for each row of the table
    unused.safetensors  the tensors that our model does not read
    source.json         family, files with their SHA-256, names and types
"""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict
import numpy as np

from memjax.config.build import build_model
from memjax.configs.base import base
from memjax.errors import ConfigError, require
from memjax.interop.family import Family, find_family, require_same
from memjax.interop.files import (
  Pretrained,
  read_json_file,
  read_tensors,
  write_tensors,
)
from memjax.interop.names import Arrays, flat, to_ours, to_theirs
from memjax.interop.tokenizer_files import id_of, padded
from memjax.types import Params

FOLDER = 'pretrained'
UNUSED = 'unused.safetensors'
TYPED = ('float16', 'bfloat16', 'float64')  # what float32 does not give back


class Source(NamedTuple):
  """What export must know of the files that were imported.

  Attributes:
    family: its name.
    files: {name: SHA-256}.
    bare: whether names lack the family's `main`.
    copies: the tensors that were held twice.
    dtypes: of tensors that are not float32.
  """

  family: str
  files: dict[str, str]
  bare: bool
  copies: list[str]
  dtypes: dict[str, str]


class Imported(NamedTuple):
  """A pretrained model in our terms.

  Attributes:
    leaves: our parameters by path.
    unused: tensors that our model does not read, by name as in the file.
    source: what export must know.
  """

  leaves: dict[str, np.ndarray]
  unused: dict[str, np.ndarray]
  source: Source


def experiment_config(
  family: Family, pretrained: Pretrained, workdir: Path
) -> dict[str, Any]:
  """The config of a workdir that holds the model, before any override.

  Its task is the text of Python's library, as the tokenizer cuts it. Training
  in the workdir itself takes one step; `train.init_from` trains on.
  """
  config: ConfigDict = base()
  config.model = ConfigDict(family.model())
  text: dict[str, Any] = {'name': 'text.Text', 'length': 128}
  if pretrained.tokenizer:
    place = workdir.absolute() / FOLDER / 'tokenizer.json'
    text |= {'corpus': 'standard_library', 'tokenizer': str(place)}
  else:
    text |= {'corpus': 'files', 'tokens': 'ids', 'vocab': family.vocab}
    text['path'] = ''  # an override names the ids
  config.task = ConfigDict(text)
  if family.masked:
    text['carry_over'] = False
    hidden = id_of(pretrained.tokenizer, '[MASK]')
    task = {'name': 'masked.Masked', 'mask_id': hidden, 'task': text}
    config.task = ConfigDict(task)
  config.train.update(steps=1, batch_size=1)
  config.parallel.data = 1  # one row needs one device
  config.optim.update(name='sgd', schedule='constant')
  config.checkpoint.update(every=1)
  config.log.every = 1
  split: dict[str, Any] = {'split': 'validation'}
  changes = {'passes': 8, 'task': split} if family.masked else split
  config.evals.validation = ConfigDict(
    {'every': 1, 'batch_size': 1, 'task': changes}
  )
  return config.to_dict()


def import_tensors(
  family: Family, pretrained: Pretrained, shapes: Mapping[str, tuple[int, ...]]
) -> Imported:
  """The model's parameters, and what export must know.

  Args:
    family: of the model.
    pretrained: its files.
    shapes: of our leaves, by path.

  Raises:
    ConfigError: the tensors are not those of the family.
  """
  bare = family.is_bare(pretrained.tensors)
  main = family.main if bare else ''
  tensors = {main + name: t for name, t in pretrained.tensors.items()}
  unused = {name: t for name, t in tensors.items() if family.is_unused(name)}
  rest = {name: t for name, t in tensors.items() if name not in unused}
  copies = family.check_copies(rest)
  rest = {name: t for name, t in rest.items() if name not in copies}
  leaves = to_ours(family.table(), rest, shapes, family.name)
  types = {name: str(t.dtype) for name, t in rest.items()}
  for name, kind in types.items():
    rule = f'has the type {kind}: parameters are floats'
    require(kind in (*TYPED, 'float32'), 'from', name, rule)
  source = Source(
    family.name,
    pretrained.files,
    bare,
    copies,
    {name: kind for name, kind in types.items() if kind in TYPED},
  )
  cut = {name.removeprefix(main): t for name, t in unused.items()}
  return Imported(leaves, cut, source)


def keep_source(
  imported: Imported, pretrained: Pretrained, workdir: Path
) -> None:
  """Writes what export needs to the workdir.

  Raises:
    OSError: it cannot be written.
  """
  folder = workdir / FOLDER
  records = {'source': imported.source._asdict(), 'config': pretrained.config}
  for name, record in records.items():
    text = json.dumps(record, indent=2)
    (folder / f'{name}.json').write_text(f'{text}\n', encoding='utf-8')
  write_tensors(folder / UNUSED, imported.unused)


def keep_tokenizer(pretrained: Pretrained, vocab: int, workdir: Path) -> None:
  """Writes the tokenizer, which the config of the workdir names.

  Raises:
    ConfigError: it has more tokens than the model has rows.
    OSError: it cannot be written.
  """
  folder = workdir / FOLDER
  folder.mkdir(parents=True, exist_ok=True)
  if pretrained.tokenizer:
    content = padded(pretrained.tokenizer, vocab)
    (folder / 'tokenizer.json').write_text(content, encoding='utf-8')


def export_tensors(
  kind: str, model: Any, params: Params, workdir: Path
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """The config.json and the tensors of a model as a family has them.

  A workdir that was imported gives back its names, its types and the tensors
  that our model did not read.

  Args:
    kind: the family's `model_type`.
    model: ours, as it was built.
    params: its parameters.
    workdir: of the run.

  Raises:
    ConfigError: the family does not hold this model.
  """
  cls = find_family(kind, 'family')
  vocab = model.output_spec.size
  folder = workdir / FOLDER
  source = Source(kind, {}, False, [], {})
  unused: Arrays = {}
  try:
    config = cls.theirs(model, vocab)
  except AttributeError:  # of another memory
    rule = f'does not hold a {type(model).__name__} with these layers'
    raise ConfigError('family', kind, rule) from None
  if (folder / 'source.json').is_file():
    kept = Source(**read_json_file(folder / 'source.json'))
    if kept.family == cls.model_types[0]:
      source, unused = kept, read_tensors(folder / UNUSED)
      config |= read_json_file(folder / 'config.json')
  family = cls(config)
  wanted = build_model(family.model(), model.input_spec, model.output_spec)
  require_same(model, wanted, family.name)
  leaves = {path: np.asarray(leaf) for path, leaf in flat(params).items()}
  tensors = to_theirs(family.table(), leaves, family.name)
  for name, dtype in source.dtypes.items():
    tensors[name] = tensors[name].astype(np.dtype(dtype))
  tensors |= {name: tensors[family.copies[name]] for name in source.copies}
  main = family.main if source.bare else ''
  tensors = {name.removeprefix(main): t for name, t in tensors.items()}
  return config, tensors | dict(unused)
