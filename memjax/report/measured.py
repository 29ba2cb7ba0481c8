"""What instruments measured, kept beside the page for the next report.

A figure depends on the checkpoint, the instrument and its sizes, the code of
models, tasks and instruments, the data and the machine. The name of a file has
a digest of all of them, so a file that is found holds what would be measured.
Files hold numbers and names, and reading one runs no code of it.
"""

from collections.abc import Iterator, Mapping
import contextlib
import functools
import hashlib
import io
import json
import os
from pathlib import Path
import sys
from typing import Any
import zipfile

import jax
import numpy as np

from memjax.analysis.base import Instrument, Result
from memjax.report.runs import ReportedRun
from memjax.runs import manifest
from memjax.runs.environment import processor

FOLDER, TREE = 'measured', 'tree'
OF_FIGURES = ('analysis', 'data', 'models', 'ops', 'tasks')
PLAIN = (str, int, float, bool, type(None))


class NotKept(Exception):
  """A value that a file cannot hold, or a file that holds no result."""


def result(
  instrument: Instrument[Any], name: str, run: ReportedRun, folder: Path
) -> Result[Any]:
  """What was measured, if a file has it, else it is measured and written.

  Args:
    instrument: what to measure.
    name: of the instrument.
    run: what to measure it on.
    folder: of the page. The folder of the run's own report is searched too.
  """
  key = digest(instrument, run)
  place = f'{name}.{run.name.replace("/", "_")}.{key}.npz'
  for report in (folder, run.workdir / folder.name):
    with contextlib.suppress(NotKept, OSError):
      return load(report / FOLDER / place)
  found = instrument.measure(run.model, run.params_N, run.task)
  with contextlib.suppress(NotKept):
    save(found, folder / FOLDER / place)
  return found


def digest(instrument: Instrument[Any], run: ReportedRun) -> str:
  """Of everything that the figures depend on."""
  step = run.workdir / 'checkpoints' / str(run.trained.step)
  facts = {
    'checkpoint': _sha256(step / manifest.NAME),
    'config': run.config,
    'instrument': [type(instrument).__qualname__, repr(instrument)],
    'sources': [_package_source(), *map(_sha256, _own_files(instrument, run))],
    'data': [run.task.fingerprint(), run.held_out_set],
    'versions': [jax.__version__, np.__version__, sys.version_info[:2]],
    'machine': [processor(), [d.device_kind for d in jax.devices()]],
  }
  text = json.dumps(facts, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:20]


def _own_files(instrument: Instrument[Any], run: ReportedRun) -> list[Path]:
  """The files of the user's own classes, among those that were named."""
  names = {type(instrument).__module__}
  names |= {name.rpartition('.')[0] for name in _names(run.config)}
  modules = [sys.modules[name] for name in sorted(names) if name in sys.modules]
  files = [Path(module.__file__) for module in modules if module.__file__]
  return [path for path in files if not path.is_relative_to(_package())]


def _names(config: Any) -> Iterator[str]:
  """The names of all classes in a config."""
  if isinstance(config, Mapping):
    for key, value in config.items():
      if key == 'name' and isinstance(value, str):
        yield value
      yield from _names(value)


def _package() -> Path:
  return Path(__file__).parents[1]


@functools.cache
def _package_source() -> str:
  """A digest of the code that figures depend on."""
  files = [p for room in OF_FIGURES for p in (_package() / room).rglob('*.py')]
  code = [[p.as_posix(), _sha256(p)] for p in sorted(files)]
  return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def _sha256(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def save(found: Result[Any], path: Path) -> None:
  """Writes a result whole, in place of those of earlier checkpoints.

  Raises:
    NotKept: it holds something other than numbers, texts, arrays, dicts,
      tuples, lists and NamedTuples.
  """
  arrays: dict[str, np.ndarray] = {}
  tree = _pack([list(found.rows), dict(found.units), found.arrays], arrays)
  arrays[TREE] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
  content = io.BytesIO()
  np.savez_compressed(content, allow_pickle=False, **arrays)
  path.parent.mkdir(exist_ok=True)
  earlier = f'{path.name.rsplit(".", 2)[0]}.*.npz'
  for old in path.parent.glob(earlier):
    old.unlink()
  partial = path.with_suffix(f'.{os.getpid()}.partial')
  partial.write_bytes(content.getvalue())
  partial.replace(path)


def load(path: Path) -> Result[Any]:
  """The result in a file.

  Raises:
    NotKept: the file is damaged, or of another version.
    OSError: there is no such file.
  """
  try:
    content = io.BytesIO(path.read_bytes())
    with np.load(content, allow_pickle=False) as arrays:
      tree = json.loads(arrays[TREE].tobytes())
      rows, units, values = _unpack(tree, arrays)
    return Result(rows, units, values)
  except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
    raise NotKept(str(error)) from None


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
  """The value as JSON: ['kind', ...]; arrays are taken out."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, PLAIN):
    return value
  if isinstance(value, np.ndarray) and value.dtype != object:
    name = f'array_{len(arrays)}'
    arrays[name] = value
    return ['array', name]
  if isinstance(value, Mapping):
    items = value.items()
    return ['dict', [[_pack(k, arrays), _pack(v, arrays)] for k, v in items]]
  if isinstance(value, (tuple, list)):
    inner = [_pack(one, arrays) for one in value]
    kind = type(value)
    if hasattr(value, '_fields'):
      return ['record', f'{kind.__module__}:{kind.__qualname__}', inner]
    return [kind.__name__, inner]
  raise NotKept(f'{type(value).__name__} is not kept')


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
  if not isinstance(value, list):
    return value
  kind, *rest = value
  if kind == 'array':
    return arrays[rest[0]]
  if kind == 'dict':
    return {_unpack(k, arrays): _unpack(v, arrays) for k, v in rest[0]}
  inner = [_unpack(one, arrays) for one in rest[-1]]
  if kind == 'record':
    return _record(rest[0])(*inner)
  return tuple(inner) if kind == 'tuple' else inner


def _record(name: str) -> type:
  """A NamedTuple of a module that is loaded; nothing else can be made."""
  module, _, path = name.partition(':')
  found: Any = vars(sys.modules[module])[path]
  if not (isinstance(found, type) and issubclass(found, tuple)):
    raise KeyError(name)
  return found
