"""Records of parquet and arrow files; they need pyarrow."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from memjax.errors import ConfigError

SPLIT_FIELD = 'split'


def _arrow(path: Path) -> Any:
  try:
    import pyarrow.ipc
    import pyarrow.parquet
  except ImportError:
    rule = "needs pyarrow: pip install 'memjax[data]'"
    raise ConfigError('path', str(path), rule) from None
  return pyarrow


def _parquet_records(path: Path, field: str) -> Iterator[dict[str, Any]]:
  library = _arrow(path)
  try:
    with library.parquet.ParquetFile(path) as file:
      names = _wanted(file.schema_arrow.names, field)
      for batch in file.iter_batches(batch_size=1024, columns=names):
        yield from batch.to_pylist()
  except (library.ArrowException, OSError) as error:
    raise _damaged(path, 'parquet', error) from None


def _arrow_records(path: Path, field: str) -> Iterator[dict[str, Any]]:
  """Records of a file of the `datasets` library, or of any arrow file."""
  library = _arrow(path)
  try:
    with library.memory_map(str(path)) as file:
      batches: Any
      if file.read(6) == b'ARROW1':
        whole = library.ipc.open_file(file)
        batches = map(whole.get_batch, range(whole.num_record_batches))
      else:
        file.seek(0)
        batches = library.ipc.open_stream(file)
      for batch in batches:
        names = _wanted(batch.schema.names, field)
        for start in range(0, batch.num_rows, 1024):
          yield from batch.select(names).slice(start, 1024).to_pylist()
  except (library.ArrowException, OSError) as error:
    raise _damaged(path, 'arrow', error) from None


def _wanted(names: list[str], field: str) -> list[str]:
  """The columns to read; all, for an error that names them, without `field`."""
  if field not in names:
    return names
  return [name for name in names if name in (field, SPLIT_FIELD)]


def _damaged(path: Path, kind: str, error: Exception) -> ConfigError:
  line = str(error).splitlines()[0]
  return ConfigError('path', str(path), f'cannot be read as {kind}: {line}')


TABLES: dict[str, Callable[[Path, str], Iterator[Mapping[str, Any]]]] = {
  '.parquet': _parquet_records,
  '.arrow': _arrow_records,
}
